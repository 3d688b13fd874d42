"""A dataset whose columns are not known is refused with what it holds, and a command that reads it."""

import shlex

import pyarrow as pa
import pytest
from helpers import sft_datasets as sft
from helpers.corpora import write_columns

from curate.errors import CorpusError
from curate.sft.datasets import draw_sample, name_fields, name_sets, open_set, open_sets, recognition

HH = "\n\nHuman: Why {0}?\n\nAssistant: So {0}.\n\nHuman: And then?\n\nAssistant:{1}"


def talk(number, roles=("user", "assistant"), keys=("role", "content")):
    return [{keys[0]: roles[0], keys[1]: f"Why {number}?"}, {keys[0]: roles[1], keys[1]: f"So {number}."}]


def read(path, schema=None, **options):
    """Open a dataset with the options of the verb.  → the turns of its first example, as pairs"""
    (dataset,) = open_sets([path], schema, "quarantine", name_fields(list(name_sets([path])), **options))
    found = draw_sample(dataset, None, 0)
    assert not found.unreadable
    return [(turn.role, turn.text) for turn in found.examples[0].example.turns]


def follow(hint):
    """Run what a hint says, as far as the dataset is read.  → the turns of its first example"""
    words = shlex.split(hint)
    assert words[:2] == ["curate", "rank-sft"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    return read(words[2], **{name.removeprefix("--").replace("-", "_"): value for name, value in options.items()})


SAID = [("user", "Why 0?"), ("assistant", "So 0.")]
ROWS = {
    "dialogue": lambda n: {"id": n, "dialogue": talk(n, ("human", "gpt"), ("from", "value"))},
    "roles": lambda n: {"messages": talk(n, ("Customer", "Agent"))},
    "speakers": lambda n: {"dialog": talk(n, ("Visitor", "Guide"), ("speaker", "utterance"))},
    "json": lambda n: {"id": n, "chat": str(talk(n)).replace("'", '"')},
    "python": lambda n: {"id": n, "chat": str(talk(n))},
    "strings": lambda n: {"data": [f"Why {n}?", f"So {n}."]},
    "strings_of_messages": lambda n: {"messages": [f"Why {n}?", f"So {n}."]},
    "others": lambda n: {"topic": n, "ask": f"Why {n}?", "reply": f"So {n}."},
    "no_words": lambda n: {"a": f"Why {n}?", "b": f"So {n}."},
    "nested": lambda n: {"data": {"turns": talk(n)}},
    "nested_texts": lambda n: {"data": {"prompt": f"Why {n}?", "text": {"response": f"So {n}."}}},
}


@pytest.mark.parametrize("name", ROWS)
def test_the_hint_of_an_unknown_dataset_reads_it(tmp_path, name):
    path = sft.write(tmp_path / f"{name} x.jsonl", [ROWS[name](number) for number in range(6)])
    with pytest.raises(CorpusError) as raised:
        draw_sample(open_set(path), None, 0)
    assert follow(raised.value.hint) == SAID


@pytest.mark.parametrize("named", [True, False])
def test_columns_of_lists_in_parquet_are_messages(tmp_path, named):
    turns = [{"role": ["user", "assistant"], "content": [f"Why {n}?", f"So {n}."]} for n in range(6)]
    write_columns(tmp_path / "a.parquet", pa.table({"turns": turns}), 2)
    if named:
        assert read(str(tmp_path / "a.parquet"), messages_field="turns") == SAID
        return
    with pytest.raises(CorpusError, match="turns holds messages"):
        open_set(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    "row",
    [
        lambda n: {"chosen": HH.format(n, " Good."), "rejected": HH.format(n, " Bad.")},
        lambda n: {"prompt": HH.format(n, ""), "chosen": "Good.", "rejected": "Bad."},
        lambda n: {"prompt": HH.format(n, ""), "completion": "Good."},
        lambda n: {"text": HH.format(n, " Good.")},
        lambda n: {"transcript": HH.format(n, " Good."), "id": n, "task": f"harmless {n}"},
    ],
    ids=["both", "prompt", "completion", "text", "another"],
)
def test_transcripts_are_read_wherever_they_stand(tmp_path, row):
    path = sft.write(tmp_path / "hh.jsonl", [row(number) for number in range(6)])
    assert read(path) == [*SAID, ("user", "And then?"), ("assistant", "Good.")]


def test_a_prompt_that_quotes_a_transcript_stays_one_turn(tmp_path):
    quoted = "Summarise:\n\nHuman: Why?\n\nAssistant: So."
    path = sft.write(tmp_path / "a.jsonl", [{"prompt": quoted, "completion": "Short."}] * 4)
    assert read(path) == [("user", quoted), ("assistant", "Short.")]


def test_two_columns_of_messages_are_both_named(tmp_path):
    path = sft.write(tmp_path / "a.jsonl", [{"chat_a": talk(n), "chat_b": talk(n + 9)} for n in range(4)])
    with pytest.raises(CorpusError, match="chat_a and chat_b each hold messages"):
        open_set(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": talk(1), "conversations": talk(2)}, "messages are read (messages); conversations hold another"),
        ({"question": "a", "answer": "b", "query": "c", "response": "d"}, "which --schema query reads"),
        ({"messages": talk(1), "problem": "Why 1?", "solution": "So 1."}, ""),
        ({"question": "a", "answer": "b", "text": "c"}, ""),
    ],
)
def test_a_second_conversation_of_other_columns_is_warned_of(tmp_path, monkeypatch, row, said):
    path = sft.write(tmp_path / "a.jsonl", [row] * 4)
    warnings = []
    monkeypatch.setattr(recognition.console, "warn", warnings.append)
    open_set(path)
    text = " ".join(warnings)
    assert said in text and bool(said) == ("hold another conversation" in text)


def test_a_text_that_a_template_wrote_and_a_plain_one_say_so(tmp_path):
    rendered = sft.write(tmp_path / "a.jsonl", [{"text": f"<|im_start|>user\nhi {n}<|im_end|>"} for n in range(4)])
    with pytest.raises(CorpusError, match=r"text was rendered by a chat template \(<\|im_start\|>\)"):
        open_set(rendered)
    with pytest.raises(CorpusError, match=r"they have: text$"):
        open_set(sft.write(tmp_path / "b.jsonl", [{"text": "Of no turns."}] * 4))


def test_a_named_column_that_is_not_there_is_refused_with_a_near_one(tmp_path):
    path = sft.write(tmp_path / "a.jsonl", [{"task": "why?", "reply": "so"}] * 4)
    with pytest.raises(
        CorpusError, match="a has no column tsk, which --prompt-field names; they have: task, reply"
    ) as raised:
        read(path, prompt_field="tsk", response_field="reply")
    assert raised.value.hint == f"curate rank-sft {path} --prompt-field task"


def test_a_list_that_numpy_shortened_is_unreadable_with_its_reason(tmp_path):
    path = sft.write(tmp_path / "a.jsonl", [{"messages": "[{'role': 'user', 'content': 'x'}, ..., {}]"}] * 4)
    with pytest.raises(CorpusError, match="a text in brackets must be JSON or a complete Python list"):
        draw_sample(open_set(path), None, 0)
