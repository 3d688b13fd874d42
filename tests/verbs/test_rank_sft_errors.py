"""``curate rank-sft``: everything that a person can get wrong is counted by its reason or told in a line."""

import json

import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import names, rank
from typer.testing import CliRunner

from curate.cli import app
from curate.errors import CorpusError, ModelError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def invoke(*arguments):
    found = CliRunner().invoke(app, ["rank-sft", *arguments])
    return found.exit_code, found.output


def test_an_empty_dataset_is_an_error_that_names_it(tmp_path, llama):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(CorpusError, match="empty is empty"):
        rank(str(tmp_path / "empty.jsonl"), model=llama, out=str(tmp_path / "ranked"))


def test_rows_without_anything_to_learn_are_counted_by_reason(tmp_path, llama):
    say = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there, friend."}]
    rows = [{"messages": say}, {"messages": say[:1]}, {"messages": say[1:]}, {"messages": []}, {"messages": 3}]
    rows += [{"messages": [say[1], *say]}, {"messages": [say[0], {"role": "assistant", "content": " "}]}]
    found = rank(sft.write(tmp_path / "odd.jsonl", rows), model=llama, out=str(tmp_path / "ranked"))
    one = found.datasets[0]
    assert one.rows == 7 == one.available + sum(one.refused.values()) + sum(one.unreadable.values())
    assert one.available == 2 and sum(one.unreadable.values()) == 1 and found.exit_code == 3
    assert any("speaks first" in reason for reason in one.refused)
    assert "no example  odd" in found.render() and "unreadable  odd" in found.render()


def test_a_row_that_a_template_refuses_is_counted_with_the_templates_words(tmp_path, maths):
    strict = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Roles must alternate') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    place = sft.tiny(tmp_path / "model", chat_template=strict)
    twice = [{"role": "user", "content": "Hi"}] * 2 + [{"role": "assistant", "content": "Hello there."}]
    good = sft.as_messages(sft.MATHS[:3])
    found = rank(sft.write(tmp_path / "d.jsonl", [*good, {"messages": twice}]), model=place, out=str(tmp_path / "r"))
    assert list(found.datasets[0].not_scored.values()) == [1]
    assert "Roles must alternate" in next(iter(found.datasets[0].not_scored))
    only = sft.write(tmp_path / "only.jsonl", [{"messages": twice}] * 2)
    with pytest.raises(ModelError, match="none of 2 examples can be scored"):
        rank(only, model=place, out=str(tmp_path / "r2"))


def test_a_template_that_drops_the_system_turn_says_so(tmp_path):
    dropping = (
        "{% for m in messages %}{% if m.role != 'system' %}"
        "[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    )
    place = sft.tiny(tmp_path / "model", chat_template=dropping)
    rows = [
        {"messages": [{"role": "system", "content": "Be brief."}, *row["messages"]]}
        for row in sft.as_messages(sft.MATHS[:3])
    ]
    found = rank(sft.write(tmp_path / "d.jsonl", rows), model=place, out=str(tmp_path / "r"))
    assert found.datasets[0].notes == {"system turn dropped by the template": 3}
    assert "template    d 3: system turn dropped by the template" in found.render()


def test_an_example_longer_than_the_window_is_read_in_windows_and_counted(tmp_path, llama):
    long = {"question": "Say it. " * 10, "answer": "one two three four five six " * 100}
    data = sft.write(tmp_path / "long.jsonl", [*sft.MATHS[:3], long])
    found = rank(data, model=llama, out=str(tmp_path / "r"))
    assert found.datasets[0].long >= 1 and "longer than the window, read in several" in found.render()
    rows = pq.read_table(next((tmp_path / "r" / "responses").rglob("long.parquet"))).to_pylist()
    assert rows[3]["windows"] > 1 and rows[3]["tokens"] > 512  # nothing was cut off


def test_one_example_that_outweighs_its_dataset_is_named(tmp_path, llama):
    heavy = {"question": "Say it.", "answer": "one two three four five six " * 1500}
    found = rank(sft.write(tmp_path / "d.jsonl", [*sft.MATHS[:30], heavy]), model=llama, out=str(tmp_path / "r"))
    tokens = pq.read_table(next((tmp_path / "r" / "responses").rglob("d.parquet")))["tokens"].to_numpy()
    share = f"{tokens.max() / tokens.sum():.0%}".replace("%", " %")
    assert tokens.max() / tokens.sum() > 10 / 31 and f"careful     d: one example holds {share} of" in found.render()


def test_mixed_schemas_in_one_file_are_all_read(tmp_path, llama):
    rows = sft.MATHS[:4] + sft.as_messages(sft.MATHS[4:7])
    found = rank(sft.write(tmp_path / "mixed.jsonl", rows), model=llama, out=str(tmp_path / "r"))
    assert found.datasets[0].schemas == {"question": 4, "messages": 3} and found.datasets[0].schema == "question +"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "ifd_ppl"], "--by must be one of ppl, bpb, "),
        (["--turns", "first"], "first"),
        (["--sample-size", "-1"], "--sample-size must be 0 (all examples) or more, not -1"),
        (["--draws", "3"], "--draws must be at least 100"),
        (["--show-mask", "0"], "--show-mask must be at least 1"),
        (["--schema", "nonsense"], "not nonsense"),
        (["--model", "none"], "needs a base model"),
        (["--overlap", "99999"], "must be from 0 to"),
        (["--model", "./nowhere"], "there is no folder ./nowhere"),
        (["--template", "missing.jinja"], "missing.jinja"),
    ],
)
def test_a_mistake_is_one_line_and_a_hint(maths, tmp_path, options, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = invoke(maths, *options)
    assert code in (1, 2) and "error: " in text.lower() and said in text and "Traceback" not in text


def test_a_dataset_named_twice_and_a_folder_of_something_else_are_refused(maths, tmp_path, llama):
    with pytest.raises(UsageError, match="given twice"):
        rank(maths, maths, model=llama, out=str(tmp_path / "r"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds something else than a ranking: thesis\.tex"):
        rank(maths, model=llama, out=str(tmp_path / "mine"))
    for name, text in {"ranking.json": '{"mine": 1}', "ranking.html": "<html>mine", "responses/a.txt": "mine"}.items():
        file = tmp_path / name[:12] / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        with pytest.raises(UsageError, match="curate did not make it"):
            rank(maths, model=llama, out=str(tmp_path / name[:12]))
        assert file.read_text() == text


def test_names_are_the_stems_or_what_the_user_says(maths, tmp_path, llama):
    found = rank(f"sums={maths}", model=llama, out=str(tmp_path / "r"))
    assert names(found) == ["sums"]


def test_json_is_one_object_with_the_datasets_best_first(maths, tmp_path, llama):
    other = sft.write(tmp_path / "other.jsonl", sft.MATHS[20:30])
    code, text = invoke(maths, other, "--model", llama, "--out", str(tmp_path / "r"), "--json", "--draws", "100")
    record = json.loads(text[text.index("{") :])
    assert code == 0 and [one["rank"] for one in record["datasets"]] == [1, 2]
    assert record["datasets"][0]["perplexity"] <= record["datasets"][1]["perplexity"]
    assert {"rsr", "ifd_ppl", "ifd_loss", "bits_per_byte", "first_64"} <= set(record["datasets"][0])
