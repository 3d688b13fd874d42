"""The card of an export: what was read, scored and dropped, and no name breaks out of it."""

from helpers.exports import FORMATS, load
from helpers.runs import make_run, numbered_run, write_lines
from hypothesis import given
from hypothesis import strategies as st

from curate.exports.dataset_card import code
from curate.verbs.export import export
from curate.verbs.filter import filter as choose


def test_the_card_says_what_was_read_which_model_and_what_was_dropped(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": float(n)} for n in range(1, 11)])
    choose(str(run.path), max_ppl=7, where="tokens > 0")
    export(str(tmp_path / "out"), str(run.path))
    card = (tmp_path / "out" / "README.md").read_text()
    for part in (
        "a.jsonl",
        "made-up",
        "max-ppl: `7`",
        "where: `tokens > 0`",
        "`perplexity > 7`: 3",
        "read: 10",
        "kept: 7",
    ):
        assert part in card
    assert str(tmp_path) not in card


def test_the_card_names_a_local_model_without_the_path_to_it(tmp_path):
    run = numbered_run(tmp_path, [{}])
    score = run.stage("score")
    score["made_from"]["model"]["model"] = str(tmp_path / "secret" / "my-model")
    run.save("score", score)
    export(str(tmp_path / "out"), str(run.path))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "model: `my-model`" in card
    assert "secret" not in card


def test_hostile_names_stay_inside_the_card(tmp_path):
    name = "a`b|c\n# heading <script>---.jsonl"
    column = "col`umn\n---\n# x: *y*"
    write_lines(tmp_path / "c" / name, [{"text": "document 0", column: 1, "\U0001f600": 2, "\x85": 3}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    choose(str(run.path), where="id is null or id = '\n---\n`# x`'")
    for kind in FORMATS:
        export(str(tmp_path / kind), str(run.path), format=kind)
        card = (tmp_path / kind / "README.md").read_text()
        _, body = card.removeprefix("---\n").split("\n---\n", 1)
        assert "\n---\n" not in body
        assert not any(line.startswith(("# heading", "# x", "`# x")) for line in body.splitlines())
        (row,) = load(tmp_path / kind)
        assert (row[column], row["\U0001f600"], row["\x85"], row["curate_file"]) == (1, 2, 3, name)


@given(st.text())
def test_inline_code_is_one_line_whose_fence_is_longer_than_any_inside(text):
    shown = code(text)
    fence = len(shown) - len(shown.lstrip("`"))
    assert "\n" not in shown
    assert shown.endswith("`" * fence)
    assert "`" * fence not in shown[fence:-fence] or not shown[fence:-fence].strip("`")
