"""A run that has every kind of document."""

from helpers.runs import make_run, write_lines


def make_mixed_run(tmp_path):
    """Two files; one document each that is empty, unreadable, without an id, and one id twice."""
    rows = [{"id": f"web-{n}", "text": f"document {n} " + "word " * n} for n in range(8)]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows, {"id": "hollow", "text": "\n"}, b"{broken", {"text": "document 8"}])
    write_lines(tmp_path / "c" / "b.jsonl", [{"id": "web-3", "text": "document 9 \x1b[31m\u202e \n`tick`"}])
    numbers = [{"perplexity": 10.0 * (n + 1), "tokens": n + 2} for n in range(10)]
    return make_run(tmp_path / "run", [tmp_path / "c"], lambda text: numbers[int(text.split()[1])], slice_bytes=300)
