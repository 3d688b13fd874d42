"""Conversations to test with: turns, messages as two schemas spell them, and rows of every schema in any format."""

import pytest
from helpers.corpora import write_records

from curate.corpus import open_corpus
from curate.corpus.chat.types import Turn


def system(text):
    return Turn("system", text)


def user(text):
    return Turn("user", text)


def assistant(text):
    return Turn("assistant", text)


def tool(text):
    return Turn("tool", text)


def openai(*said):
    return [{"role": role, "content": content} for role, content in said]


def sharegpt(*said):
    return [{"from": role, "value": value} for role, value in said]


QUESTION = openai(("user", "Why?"))
ANSWER = openai(("assistant", "So."))


def said(*texts):
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 9, texts, strict=False)]


def shared(*texts):
    return [{"from": name, "value": text} for name, text in zip(("human", "gpt") * 9, texts, strict=False)]


def tree(number):
    last = {"text": f"leaf {number}", "role": "prompter", "replies": []}
    reply = {"text": f"répond {number}", "role": "assistant", "replies": [last]}
    return {"text": f"root {number}", "role": "prompter", "replies": [reply]}


# What a row of each schema looks like; the column `source` is what lies beside a conversation.
ROWS = {
    "tree": lambda n: {"message_tree_id": f"t{n}", "prompt": tree(n)},
    "preference": lambda n: {"prompt": f"why {n}?", "chosen": said("é", f"so {n}")[1:], "rejected": said("", "no")[1:]},
    "messages": lambda n: {"messages": said(f"why {n}?", f"so {n} 🙂", "and?"), "source": "web"},
    "conversations": lambda n: {"conversations": shared(f"why {n}?", f"so {n}"), "system": "be brief"},
    "instances": lambda n: {"instruction": f"add {n}", "instances": [{"input": "1", "output": "2"}], "name": "sum"},
    "alpaca": lambda n: {"id": f"a{n}", "instruction": f"add {n}", "input": "1 and 2", "output": "3", "source": "web"},
    "prompt": lambda n: {"prompt": f"why {n}?", "completion": f"so {n}"},
    "question": lambda n: {"question": f"why {n}?", "answer": f"so {n}", "source": "web"},
    "query": lambda n: {"query": f"why {n}?", "response": f"so {n}"},
    "problem": lambda n: {"problem": f"why {n}?", "solution": f"so {n}"},
}
NAMES = ("part.jsonl", "part.json", "pretty.json", "part.jsonl.zst", "part.parquet", "file.arrow", "stream.arrow")
each_name = pytest.mark.parametrize("name", NAMES)


def rows_of(schema, count=7):
    return [ROWS[schema](number) for number in range(count)]


def corpus_of(folder, name, records, **options):
    write_records(folder / name, records)
    return open_corpus([str(folder / name)], **options)


def gathered(corpus, **options):
    """All slices of a corpus as one: turns, texts, statuses, reasons."""
    slices = list(corpus.slices(**options))
    return tuple([value for one in slices for value in getattr(one, name)] for name in OF_EACH)


OF_EACH = ("turns", "texts", "statuses", "reasons")
