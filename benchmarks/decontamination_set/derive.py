"""Derive the rows of the set that follow from an eval item by a rule, and write them to derived.jsonl.

    python benchmarks/decontamination_set/derive.py            # write
    python benchmarks/decontamination_set/derive.py --check    # compare, and exit with 1 where they differ

Every kind is drawn for every language and half from the items that are fit for it, by generators that are seeded with
names alone: the same items give the same bytes.
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from decontamination_set import code_rules, text_rules
from decontamination_set.rows import HALVES, HERE, Record, choose_half, read_items

PUBLIC = {"gsm8k": "en", "svamp": "en", "truthfulqa": "en"}
"""Samples of published sets in a natural language."""
CODE = ("tasks-code", "humaneval", "mbpp")
ANYWHERE = {"prose", "question only", "question and answer", "case", "html", "10 % words", "first 60 %", "quoted"}
"""Kinds that published sets are planted with; the others are for the sets of this folder."""
PER_KIND = {"tasks-code": 3}
"""Rows of a kind for each half; one where nothing is said."""


def read_item(name: str, record: Record) -> tuple[str, str, tuple[str, ...], str]:
    """Return context, question, choices and answer of an item in a natural language."""
    if name == "truthfulqa":
        return "", record["Question"], (), record["Best Answer"]
    if name == "svamp":
        return "", f"{record['Body']} {record['Question']}", (), f"{record['Answer']:g}"
    if name == "gsm8k":
        return "", record["question"], (), record["answer"]
    return record.get("context", ""), record["question"], tuple(record["choices"]), record["answer"]


def take_item(name: str, record: Record, kind: str, prose: Record) -> text_rules.Planted:
    """Return an item with the prose that a rule puts around it."""
    language = PUBLIC.get(name) or name.removeprefix("questions-")
    chance = random.Random(f"{name} {record['id']} {kind}")
    context, question, choices, answer = read_item(name, record)
    before, after = chance.choice(prose[language]["prose"])
    return text_rules.Planted(
        question, context, choices, answer, language, prose[language]["words"], before, after, chance
    )


def take_task(name: str, record: Record, kind: str, prose: Record) -> code_rules.Task:
    """Return a programming task with the prose that a rule puts around it."""
    chance = random.Random(f"{name} {record['id']} {kind}")
    before, after = chance.choice(prose["en"]["prose"])
    if name == "mbpp":
        code = "\n".join(line.rstrip() for line in record["code"].replace("\t", "    ").splitlines()) + "\n"
        return code_rules.Task(record["text"], record["text"], code, "python", (), before, after, chance)
    head = record.get("head") or find_head(record["prompt"], record["entry_point"])
    solution = f"{head}\n{record['canonical_solution'].rstrip()}\n"
    language = record.get("programming_language", "python")
    if language != "python":
        lines = record["prompt"].splitlines()
        description = " ".join(line.strip(" /-") for line in lines if line.strip().startswith(("//", "--")))
    else:
        description = " ".join(re.split(r"\"\"\"|'''", record["prompt"])[-2].split())
    names = tuple(record.get("names", ()))
    return code_rules.Task(description, record["prompt"], solution, language, names, before, after, chance)


def find_head(prompt: str, entry_point: str) -> str:
    """Return the line that defines the function of a prompt."""
    return next(line for line in prompt.splitlines() if line.startswith(f"def {entry_point}("))


def plant_text(kind: str, name: str, prose: Record, record: Record) -> str | None:
    return text_rules.LEAKS[kind](take_item(name, record, kind, prose))


def plant_code(kind: str, name: str, prose: Record, record: Record) -> str | None:
    return code_rules.LEAKS[kind](take_task(name, record, kind, prose))


def derive_text(name: str, items: Sequence[Record], prose: Record) -> Iterator[Record]:
    """Yield the rows of a set in a natural language: leaks of every kind, and every question with other numbers."""
    language = PUBLIC.get(name) or name.removeprefix("questions-")
    for kind in text_rules.LEAKS:
        if name not in PUBLIC or kind in ANYWHERE:
            yield from draw_rows(name, items, kind, language, partial(plant_text, kind, name, prose))
    for one in items:
        arithmetic = name in ("gsm8k", "svamp") or one.get("kind") == "arithmetic"
        text = text_rules.change_numbers(take_item(name, one, "numbers", prose)) if arithmetic else None
        if text:
            yield make_row(name, one["id"], "numbers", language, text, "variant")


def derive_code(name: str, items: Sequence[Record], prose: Record) -> Iterator[Record]:
    """Yield the rows of a set of programming tasks."""
    for kind in code_rules.LEAKS:
        yield from draw_rows(name, items, kind, "code", partial(plant_code, kind, name, prose))


def draw_rows(
    name: str, items: Sequence[Record], kind: str, language: str, apply: Callable[[Record], str | None]
) -> Iterator[Record]:
    """Yield the leaks of a kind for both halves, from items that are drawn in a fixed order."""
    order = sorted(items, key=lambda one: random.Random(f"{name} {kind} {one['id']}").random())
    for half in HALVES:
        made = 0
        for one in order:
            if made == PER_KIND.get(name, 1):
                break
            text = apply(one) if choose_half(name, one["id"]) == half else None
            if text:
                yield make_row(name, one["id"], kind, language, text, "leak")
                made += 1


def make_row(name: str, item: str, kind: str, language: str, text: str, label: str) -> Record:
    return {
        "id": f"{name} {item} {kind}",
        "text": text,
        "language": language,
        "kind": kind,
        "rule": f"{'code_rules' if language == 'code' else 'text_rules'}: {kind}",
        "set": name,
        "item": item,
        "label": label,
        "half": choose_half(name, item),
    }


def derive_rows() -> list[Record]:
    """Return all rows that rules make."""
    prose = json.loads((HERE / "prose.json").read_text(encoding="utf-8"))
    rows: list[Record] = []
    for name, items in read_items().items():
        rows += (derive_code if name in CODE else derive_text)(name, items, prose)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is there and write nothing")
    options = parser.parse_args()
    path = HERE / "derived.jsonl"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in derive_rows())
    if not options.check:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        raise SystemExit(f"error: {path} is not what the rules give now")


if __name__ == "__main__":
    main()
