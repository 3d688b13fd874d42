"""``curate rank-sft``: columns and roles that are named, languages, length, few examples, and what is set aside."""

import json

import pytest
from helpers import sft_datasets as sft
from helpers.languages import rows_in
from helpers.sft_rankings import names, rank
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def invoke(*arguments):
    found = CliRunner().invoke(app, [*arguments])
    return found.exit_code, found.output


@pytest.fixture
def mapped(tmp_path):
    """The same questions and answers under three schemas, two of which nobody knows."""
    rows = sft.MATHS[:12]
    talks = [[{"who": "Kid", "content": row["question"]}, {"who": "Tutor", "content": row["answer"]}] for row in rows]
    talks = [[{"speaker": one["who"], "utterance": one["content"]} for one in talk] for talk in talks]
    return [
        sft.write(tmp_path / "plain.jsonl", rows),
        sft.write(
            tmp_path / "pairs.jsonl", [{"data": {"ask": row["question"]}, "reply": row["answer"]} for row in rows]
        ),
        sft.write(tmp_path / "talks.jsonl", [{"talk": talk, "label": 1} for talk in talks]),
    ]


NAMES = {
    "prompt_field": "pairs=data.ask",
    "response_field": ["pairs=reply"],
    "messages_field": "talks=talk",
    "role": ["talks=kid=user", "talks=Tutor=assistant"],
}


def test_datasets_of_other_names_give_the_numbers_of_the_known_schema(mapped, tmp_path, llama):
    found = rank(*mapped, model=llama, out=str(tmp_path / "r"), examples=str(tmp_path / "runs"), **NAMES)
    values = [one.scores["perplexity"].value for one in found.table.datasets]
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)
    assert found.dataset("talks").as_dict()["fields"]["roles"] == {"kid": "user", "tutor": "assistant"}
    page = (tmp_path / "r" / "ranking.html").read_text()
    assert "--prompt-field pairs=data.ask --response-field pairs=reply --messages-field talks=talk" in page
    for run in found.runs:
        kept = curate.select_sft(run=run, by="ppl", rate=0.5, dry_run=True)
        assert "kept                                          6" in kept.render()


def test_the_same_names_are_read_from_a_command_and_from_a_recipe(mapped, tmp_path, llama, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [
        f"--{name.replace('_', '-')}={','.join([value] if isinstance(value, str) else value)}"
        for name, value in NAMES.items()
    ]
    code, text = invoke("rank-sft", *mapped, "--model", llama, "--out", "r", "--json", "--draws", "100", *options)
    assert code == 0, text
    first = json.loads(text[text.index("{") :])
    lines = [f"      {option.removeprefix('--').replace('=', ': ', 1)}" for option in options]
    lines += [f"      {name}: {value}" for name, value in {"model": llama, "out": "r", "draws": 100}.items()]
    (tmp_path / "a.yaml").write_text("\n".join(["- rank-sft:", f"      data: [{', '.join(mapped)}]", *lines]))
    code, text = invoke("run", "a.yaml")
    assert code == 0, text
    again = json.loads((tmp_path / "r" / "ranking.json").read_text())
    assert [one["perplexity"] for one in again["datasets"]] == [one["perplexity"] for one in first["datasets"]]


def test_a_cached_answer_is_measured_again_where_other_columns_are_named(tmp_path, llama):
    rows = [{"ask": f"Why {n}?", "a": f"So it is, {n}.", "b": f"Of {n} reasons, all are good."} for n in range(8)]
    path = sft.write(tmp_path / "d.jsonl", rows)
    found = [
        rank(path, model=llama, out=str(tmp_path / "r"), prompt_field="ask", response_field=column) for column in "ab"
    ]
    one, two = (each.table.datasets[0].scores["perplexity"].value for each in found)
    assert one != two


def test_a_schema_and_a_named_column_exclude_each_other(mapped, llama, tmp_path):
    with pytest.raises(UsageError, match="--schema and --prompt-field are both given"):
        rank(
            mapped[1], model=llama, out=str(tmp_path / "r"), schema="alpaca", prompt_field="ask", response_field="reply"
        )


def make_lengths(folder, counts, examples=40):
    """Datasets of the same words, each with answers of another length; the shorter the less likely."""
    words = "one two three four five six seven eight nine ten"
    return [
        sft.write(
            folder / f"d{count}.jsonl",
            [{"question": f"Count {n}.", "answer": f"{words} {n} " * count} for n in range(examples)],
        )
        for count in counts
    ]


def test_an_order_of_length_is_warned_of(tmp_path):
    found = rank(*make_lengths(tmp_path, (1, 2, 4, 8)), out=str(tmp_path / "r"), exact=False)
    assert names(found) == ["d8", "d4", "d2", "d1"] and found.table.length.correlation == -1
    text = " ".join(found.render().split())
    assert "rank correlation of the order with response length −1.00 over 4 datasets" in text
    assert "this is an order by response length, longest first" in text and "--by residual" in text
    assert (
        found.as_dict()["is_order_of_length"]
        and "nearly an order by length" in (tmp_path / "r/ranking.html").read_text()
    )


def test_fewer_than_thirty_examples_have_no_letter_of_their_own(tmp_path):
    """Premise: with as many examples as the others, the dataset is told apart from both."""
    rows = sft.MATHS[:40]
    data = [sft.write(tmp_path / "a.jsonl", rows), sft.write(tmp_path / "c.jsonl", sft.with_shuffled_words(rows))]
    full = rank(*data, out=str(tmp_path / "r"), exact=False)
    assert [one.group for one in full.table.datasets] == ["a", "b"]
    few = sft.write(tmp_path / "c.jsonl", sft.with_shuffled_words(rows)[:20])
    found = rank(data[0], few, out=str(tmp_path / "r2"), exact=False)
    assert [one.group for one in found.table.datasets] == ["a", "a"] and not found.table.pairs[0].separated
    assert "about 30 would do" in found.render()
    assert rank(few, out=str(tmp_path / "r3"), exact=False).table.datasets[0].group == ""


def test_what_is_set_aside_is_ranked_on_demand_and_labels_always(tmp_path, llama):
    rows = sft.MATHS[:36]
    one = sft.write(tmp_path / "one.jsonl", [{"question": row["question"], "answer": "It depends."} for row in rows])
    label = sft.write(
        tmp_path / "label.jsonl", [{"question": row["question"], "answer": "AB"[n % 2]} for n, row in enumerate(rows)]
    )
    found = rank(one, label, model=llama, out=str(tmp_path / "r"))
    assert names(found) == ["label", "one"] and found.table.names == ("label",)
    assert "its answers are labels: 2 different among 36" in " ".join(found.render().split())
    anyway = rank(one, label, model=llama, out=str(tmp_path / "r"), set_aside=False)
    assert set(anyway.table.names) == {"one", "label"} and "repeats its answers" in anyway.render()


def test_rows_in_two_languages_are_one_dataset_with_a_warning(tmp_path):
    mixed = sft.write(tmp_path / "mixed.jsonl", rows_in("en") + rows_in("ru")[:6])
    russian = sft.write(tmp_path / "ru.jsonl", rows_in("ru"))
    found = rank(mixed, russian, sft.write(tmp_path / "en.jsonl", rows_in("en")), out=str(tmp_path / "r"), exact=False)
    assert [one.name for one in found.table.datasets if one.apart] == ["ru"]
    assert "careful     mixed: 33 % of it in Russian" in found.render()


def test_an_option_of_words_may_be_typed_again_and_none_is_lost(tmp_path, monkeypatch):
    seen = {}

    def look(names, **options):
        seen.update(options)
        raise UsageError("seen")

    monkeypatch.setattr("curate.sft.datasets.name_fields", look)
    typed = [
        "--prompt-field",
        "a=task,more",
        "--prompt-field",
        "b=ask",
        "--role",
        "kunde=user",
        "--role",
        "bot=assistant",
    ]
    done = CliRunner().invoke(app, ["rank-sft", "a.jsonl", "b.jsonl", *typed])
    assert done.exit_code == 2 and seen["prompt_field"] == "a=task,more,b=ask"
    assert seen["role"] == "kunde=user,bot=assistant"
