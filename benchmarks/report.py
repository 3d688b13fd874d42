"""What the benchmarks write into their README."""

from pathlib import Path


def put_into(readme: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks; a file without them is left as it is, and that is an error."""
    whole = readme.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or end not in whole.split(begin)[1]:
        raise SystemExit(f"error: {readme} does not have {begin} once, and {end} after it")
    before, rest = whole.split(begin)
    readme.write_text(f"{before}{begin}\n\n{text.rstrip()}\n\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
