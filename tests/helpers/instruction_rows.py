"""Rows of every schema of SFT data, and datasets made of them."""

from helpers.corpora import write_records

from curate.corpus.chat.types import join_turns
from curate.sft.datasets import open_set


def said(*texts):
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 9, texts, strict=False)]


def tree(number):
    replies = [{"role": "assistant", "text": f"so {number} {part}", "replies": []} for part in range(number % 3 + 1)]
    return {"role": "prompter", "text": f"why {number}?", "replies": replies}


# A row of each schema, and how many examples it gives.
ROWS = {
    "tree": lambda n: ({"message_tree_id": n, "prompt": tree(n)}, n % 3 + 1),
    "preference": lambda n: ({"prompt": f"why {n}?", "chosen": f"so {n}", "rejected": "no"}, 1),
    "messages": lambda n: ({"messages": said(f"why {n}?", f"so {n}", "and?")}, 1),
    "conversations": lambda n: ({"conversations": said(f"why {n}?", f"so {n}")}, 1),
    "instances": lambda n: ({"instruction": f"add {n}", "instances": [{"output": "1"}, {"output": "2"}]}, 2),
    "alpaca": lambda n: ({"instruction": f"why {n}?", "input": "", "output": f"so {n}", "text": "all of it"}, 1),
    "prompt": lambda n: ({"prompt": f"why {n}?", "completion": f"so {n}"}, 1),
    "question": lambda n: ({"question": f"why {n}?", "answer": f"so {n}"}, 1),
    "query": lambda n: ({"query": f"why {n}?", "response": f"so {n}"}, 1),
    "problem": lambda n: ({"problem": f"why {n}?", "solution": f"so {n}"}, 1),
}
# A row of each schema that has nothing to learn.
NOTHING = {
    "tree": {"message_tree_id": 1, "prompt": {"role": "assistant", "text": "so", "replies": []}},
    "preference": {"prompt": "why?", "chosen": "", "rejected": "no"},
    "messages": {"messages": said("", "so")},
    "conversations": {"conversations": said("why?")},
    "instances": {"instruction": "add", "instances": []},
    "alpaca": {"instruction": "why?", "input": "", "output": "", "text": "all of it"},
    "prompt": {"prompt": "why?", "completion": "so", "label": False},
    "question": {"question": "", "answer": "so"},
    "query": {"query": "why?", "response": None},
    "problem": {"problem": "why?", "solution": " "},
}


def rows_of(schema, count=12):
    return [ROWS[schema](number)[0] for number in range(count)]


def set_of(folder, name, records, schema=None, **options):
    return open_set(str(write_records(folder / name, records)), schema, **options)


def texts_of(found):
    return [join_turns(one.example.turns) for one in found.examples]
