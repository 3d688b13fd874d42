"""Turns that are marked not to be learnt are read and not scored, as with labels of −100."""

import json

import numpy as np
import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

from curate.corpus.chat.messages import ROLES
from curate.reference.protocol import ScoringConfig
from curate.sft.datasets import draw_sample, open_set
from curate.sft.examples import read_examples, scored_turns
from curate.sft.measuring import responses
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader
from curate.verbs.rank_sft import rank_sft

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def talk(*marks, names=("role", "content")):
    """Questions and answers by turns, each answer with its marks."""
    said = []
    for number, mark in enumerate(marks):
        said.append(dict(zip(names, ("user", f"question {number}"), strict=True)))
        said.append(dict(zip(names, ("assistant", f"answer {number}"), strict=True)) | mark)
    return said


def learnt(row, schema, which="all"):
    return [[one.turns[at].text for at in scored_turns(one, which)] for one in read_examples(row, schema)]


THREE = talk({}, {}, {})
ROWS = {
    "marks of messages": ({"messages": talk({"weight": 0}, {}, {"train": False})}, "messages"),
    "ShareGPT": ({"conversations": talk({"loss": 0}, {}, {"masked": True}, names=("from", "value"))}, "conversations"),
    "messages as JSON": ({"messages": json.dumps(talk({"weight": 0}, {}, {"loss": False}))}, "messages"),
    "an entry a message": ({"messages": THREE, "loss_mask": [0, 0, 0, 1, 1, 0]}, "messages"),
    "an entry an answer": ({"messages": THREE, "train_on_turn": [False, True, False]}, "messages"),
    "messages without text": (
        {"messages": [{"role": "user", "content": ""}, *THREE], "loss_mask": [1, 0, 0, 0, 1, 0, 0]},
        "messages",
    ),
    "a system column": ({"system": "s", "messages": THREE, "trainable": [0, 0, 0, 1, 0, 0]}, "messages"),
    "a list that hides": ({"messages": THREE, "masked": [1, 1, 1, 0, 1, 1]}, "messages"),
    "a list as JSON": ({"messages": json.dumps(THREE), "loss_mask": [0, 0, 0, 1, 0, 0]}, "messages"),
}


@pytest.mark.parametrize("which", ["all", "last"])
@pytest.mark.parametrize(("row", "schema"), ROWS.values(), ids=ROWS)
def test_only_the_answer_that_is_not_marked_is_scored(row, schema, which):
    assert learnt(row, schema, which) == [["answer 1"]]
    (example,) = read_examples(row, schema)
    assert [turn.text for turn in example.turns if turn.role == "assistant"] == ["answer 0", "answer 1", "answer 2"]


def test_a_history_and_its_answer_have_an_entry_each():
    row = {"history": [["u0", "a0"], ["u1", "a1"]], "instruction": "u2", "output": "a2", "system": "s"}
    assert learnt(row | {"loss_mask": [1, 0, 1, 0, 1, 1]}, "alpaca") == [["a2"]]
    assert learnt(row | {"loss_mask": [0, 0, 0, 1, 0, 0]}, "alpaca") == [["a1"]]
    assert learnt(row | {"weight": 1}, "alpaca") == [["a0", "a1", "a2"]]


def test_an_answer_of_a_tree_that_is_marked_is_on_the_path_and_not_scored():
    def node(role, text, *replies, **marks):
        return {"role": role, "text": text, "replies": list(replies), **marks}

    first = node("assistant", "a", node("prompter", "v", node("assistant", "b")), weight=0)
    tree = {"prompt": node("prompter", "u", first, node("assistant", "c", train=False))}
    assert learnt(tree, "tree") == [["b"]]


def test_a_list_of_another_length_is_not_followed_and_said():
    row = {"messages": THREE, "loss_mask": [0, 1]}
    assert learnt(row, "messages") == [["answer 0", "answer 1", "answer 2"]]
    (example,) = read_examples(row, "messages")
    assert example.notes == ("loss_mask: as many entries as the row has messages are needed; it is not followed",)


@pytest.mark.parametrize("turns", ["all", "last"])
def test_the_nats_are_those_of_the_loop_with_labels_of_minus_100_on_marked_turns(tmp_path, llama, turns):
    rows = [{"messages": talk({"weight": 0}, {}, {"loss": 1})}, {"messages": talk({}, {"train": False})}]
    rows += [{"messages": THREE, "loss_mask": [0, 0, 0, 1, 0, 0]}, {"messages": talk({}, {})}]
    data = sft.write(tmp_path / "marked.jsonl", rows)
    options = RankingOptions(turns, True, None, 0, 100, "perplexity", None)
    reader = open_reader(ModelVariant(llama, "chatml"), ScoringConfig(exact=True), options)
    drawn = draw_sample(open_set(data), None, 0, turns)
    (table,) = responses.measure_examples(reader, drawn.examples)
    rendered = responses.render_examples(reader, drawn.examples)
    wanted = {"all": [[1, 2], [0], [1], [0, 1]], "last": [[2], [0], [1], [1]]}[turns]
    for row, one, answers in zip(table.to_pylist(), rendered, wanted, strict=True):
        text, labels = one.rendered.text, np.zeros(len(one.tokens.ids), bool)
        for number in answers:
            begin = text.index(f"answer {number}")
            end = text.index("<|im_end|>", begin) + len("<|im_end|>")
            labels |= (one.tokens.spans[:, 0] >= begin) & (one.tokens.spans[:, 0] < end)
        nats = sft.loop(llama, one.tokens.ids.tolist(), labels)
        assert row["answers"] == len(answers) and row["tokens"] == labels.sum()
        assert row["nats"] == pytest.approx(nats, abs=1e-5 * row["tokens"])


def test_a_ranking_counts_the_rows_with_marks_and_refuses_those_without_an_answer(tmp_path, llama):
    rows = [{"messages": talk({"weight": 0}, {})}, {"messages": talk({"weight": 0.5})}, {"messages": talk({"loss": 0})}]
    found = rank(sft.write(tmp_path / "d.jsonl", rows), model=llama, out=str(tmp_path / "o"))
    (dataset,) = found.as_dict()["datasets"]
    note = "turns that are marked not to be learnt (weight) are not scored"
    assert dataset["marks"] == {note: 1, "weight: a weight other than 0 and 1 counts as 1": 1}
    assert dataset["refused"] == {"every answer is marked not to be learnt": 1}
    assert f"d 1: {note}" in " ".join(found.render().split())


def test_what_was_measured_of_a_dataset_without_marks_stays_in_the_cache(tmp_path, llama):
    """The fingerprint of such a dataset has no word on marks, so that an older cache is used."""
    from curate.sft.ranking.session import RankingSession

    found = {}
    for name, marks in (("plain", {}), ("marked", {"weight": 0})):
        data = open_set(sft.write(tmp_path / f"{name}.jsonl", [{"messages": talk({}, marks)}]))
        options = RankingOptions("all", True, None, 0, 100, "perplexity", None)
        reader = open_reader(ModelVariant(llama, "chatml"), ScoringConfig(), options)
        session = RankingSession([data], None, options)
        session.draw(name, None)
        found[name] = session._describe_origin(reader, data)[1]
        session.samples[name].marks.clear()
        assert (session._describe_origin(reader, data)[1] == found[name]) == (name == "plain")


def test_show_mask_shows_that_a_marked_turn_is_not_scored(tmp_path, llama):
    data = sft.write(tmp_path / "d.jsonl", [{"messages": talk({"trainable": False}, {})}])
    shown = rank_sft([data], model=llama, template="chatml", show_mask=1, out=str(tmp_path / "o")).render()
    assert "⟦answer 1" in shown and "⟦answer 0" not in shown and "answer 0" in shown
    assert "note: turns that are marked not to be learnt (trainable) are not scored" in shown


ALIASES = {
    "assistant": ("assistant", "gpt", "chatgpt", "model", "bot", "ai", "chatbot", "Assistant", "AI", "function_call"),
    "user": ("user", "human", "prompter", "Human"),
    "tool": ("tool", "function", "observation", "ipython", "tool_response"),
    "system": ("system", "developer"),
}


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in ALIASES.items() for name in names])
def test_a_role_is_read_under_each_of_its_names_in_every_schema(role, name):
    from curate.corpus.chat.schemas import read_turns

    message, answer = {"role": name, "content": "x"}, {"role": "assistant", "content": "y"}
    shared = {"from": name, "value": "x"}
    assert role in ROLES
    for schema, row in {
        "messages": {"messages": [message]},
        "conversations": {"conversations": [shared]},
        "prompt": {"prompt": [message], "completion": [answer]},
        "tree": {"prompt": {"role": name, "text": "x", "replies": []}},
        "preference": {"prompt": [message], "chosen": [answer], "rejected": [answer]},
    }.items():
        assert (read_turns(row, schema)[0].role, read_turns(row, schema)[0].text) == (role, "x")


@pytest.mark.parametrize("unknown", ["narrator", "user2", "", 7])
def test_an_unknown_role_is_refused_with_its_name_and_never_read_as_the_user(unknown):
    from curate.corpus.chat.schemas import read_turns
    from curate.corpus.chat.types import ConversationError

    strange = {"role": unknown, "content": "x"}
    asked = {"role": "user", "content": "u"}
    for schema, row in {
        "messages": {"messages": [strange]},
        "prompt": {"prompt": [asked, strange], "completion": "y"},
        "query": {"query": json.dumps([asked, strange]), "response": "y"},
        "tree": {"prompt": {"role": "user", "text": "x", "replies": [strange]}},
    }.items():
        with pytest.raises(ConversationError, match=f"role: found .*{unknown}") as raised:
            read_turns(row, schema)
        assert "expected one of" in str(raised.value)
