"""A solution is found whatever its names and layout; common code, short code and other functions are not."""

import ast
import json
import re

import pytest
from helpers.eval_items import FILLER, Item

from curate.stages.decontaminate.detector import make_detector
from curate.stages.decontaminate.solutions import make_solution_search
from curate.stages.decontaminate.solutions.search import hints_at_code

WATER = Item(
    "made",
    ('def trapped_litres(heights, walls):\n    """ Litres that stand between the walls. """\n',),
    answer="""    litres = 0
    for left, right in zip(walls, walls[1:]):
        level = min(heights[left], heights[right]) - 2
        for place in range(left + 1, right):
            if heights[place] < level:
                litres += (level - heights[place]) * 7
            elif place % 3 == 1:
                litres -= 1
    return litres
""",
)
SHORT = Item("made", ("Add the numbers up.",), answer="def total(xs):\n    return sum(xs)\n")
PROSE = Item("made", ("How many?",), answer="Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nIn all 48+24 = 72.")
ITEMS = [WATER, SHORT, PROSE]
WHOLE = "def trapped_litres(heights, walls):\n" + WATER.answer
NAMES = {"trapped_litres": "volume", "heights": "ys", "walls": "cuts", "litres": "out", "left": "a", "right": "b"}
NAMES |= {"level": "cap", "place": "k"}
OTHER = """def report(rows):
    \"\"\"Print what was read.\"\"\"
    parser = argparse.ArgumentParser(description="Read rows.")
    parser.add_argument("--path", type=str, default="rows.csv")
    args = parser.parse_args()
    for number, row in enumerate(rows):
        if not row:
            continue
        print(number, row)


if __name__ == "__main__":
    main()
"""


def rename(text):
    return re.sub(r"[a-z_]+", lambda match: NAMES.get(match[0], match[0]), text)


RENAMED = rename(WHOLE)
WAYS = {
    "as it is": WHOLE,
    "its body alone": WATER.answer,
    "renamed": RENAMED,
    "renamed and unparsed": ast.unparse(ast.parse(RENAMED)),
    "renamed with types": RENAMED.replace("(ys, cuts):", "(ys: list[int], cuts: Sequence[int]) -> int:"),
    "renamed with comments": re.sub(r"\n( +)", r"  # so\n\1# then\n\1", RENAMED),
    "renamed in a fence": f"It goes as follows.\n\n```python\n{RENAMED}```\n\nThat is all.",
    "renamed in a row": json.dumps({"instruction": "Write it.", "output": RENAMED}),
    "renamed in a notebook": json.dumps({"cells": [{"source": RENAMED.splitlines(keepends=True)}]}, indent=1),
    "renamed on a page": FILLER + f"<pre>{RENAMED.replace('<', '&lt;')}</pre>" + FILLER,
}


@pytest.fixture(scope="module")
def search():
    return make_solution_search(ITEMS)


@pytest.mark.parametrize("way", WAYS)
def test_a_solution_is_found_in_every_wrapping(search, way):
    text = OTHER + "\n\n" + WAYS[way] + "\n\n" + OTHER
    (match,) = search.scan(["nothing", text])
    assert (match.document, match.item, match.part, match.verdict) == (1, 0, "solution", "contaminated")
    assert match.rule == ("renamed" if "renamed" in way else "exact" if "is" in way else "aligned")
    found = text[match.start : match.end]
    assert "elif" in found and "zip" in found and "argparse" not in found


def test_common_code_short_code_and_prose_are_not_found(search):
    assert search.scan([OTHER, SHORT.answer, PROSE.answer, FILLER, ""]) == []
    assert search.queries.items.tolist() == [0]
    assert make_solution_search([SHORT, PROSE]) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [(" - 2", " + 2"), ("% 3", "% 4"), ("< level", "> level"), ("min(", "max("), ("litres -= 1", "litres += 1")],
)
def test_another_operator_number_or_function_is_for_review(search, old, new):
    (match,) = search.scan([rename(WHOLE.replace(old, new))])
    assert match.verdict == "review"


def test_another_solution_of_the_same_task_is_not_found(search):
    other = """def trapped(heights, walls):
    total = 0
    while len(walls) > 1:
        first = walls.pop(0)
        top = sorted([heights[first], heights[walls[0]]])[0] - 2
        inner = [top - h for h in heights[first + 1 : walls[0]] if h < top]
        total += 7 * sum(inner) - len([k for k in range(first + 1, walls[0]) if k % 3 == 1])
    return total
"""
    assert search.scan([other]) == []


def test_names_that_are_mixed_up_are_no_copy(search):
    mixed = rename(WHOLE).replace("ys[a]", "cuts[b]").replace("ys[k]", "out[a]").replace("return out", "return cap")
    mixed = mixed.replace("range(a + 1, b)", "range(ys + 1, cap)").replace("k % 3", "a % 3").replace("< cap", "< ys")
    assert all(match.verdict == "review" for match in search.scan([mixed]))


def test_an_end_that_the_document_cuts_off_is_not_held_against_it(search):
    lines = rename(WHOLE).splitlines(keepends=True)
    (match,) = search.scan([OTHER + "".join(lines[:-3])])
    assert match.verdict == "contaminated" and match.coverage < 0.9


@pytest.mark.parametrize(
    "text",
    [WHOLE, WAYS["renamed in a row"], WAYS["renamed in a notebook"], "x = f(\n  return y;\n", "```\nreturn f(y)\n```"],
)
def test_texts_with_statements_may_hold_code(text):
    assert hints_at_code(text)


@pytest.mark.parametrize("text", [FILLER, "", "He asked for a return (of the goods) in print.", "f(x) = 3"])
def test_prose_does_not(text):
    assert not hints_at_code(text)


def test_the_detector_joins_both_searches_and_can_do_without():
    text = FILLER + WAYS["renamed in a fence"] + FILLER
    found = make_detector(ITEMS).scan([text, WHOLE])
    assert [(match.document, match.part) for match in found if match.verdict == "contaminated"] == [
        (0, "solution"),
        (1, "solution"),
    ]
    assert make_detector(ITEMS).scan(["return f(x)"]) == []
    first = found[0]
    assert text[first.start : first.end].startswith("def volume")
    assert make_detector(ITEMS, code=False).solutions is None
    assert not [match for match in make_detector(ITEMS, code=False).scan([text]) if match.verdict == "contaminated"]


def test_an_item_that_only_its_solution_identifies_can_be_matched():
    items = [Item("made", ("Do it.",), answer=answer) for answer in ("Yes.", WHOLE)]
    weak = make_detector(items, code=False)
    assert 0 in weak.unmatchable and weak.unmatchable == weak.queries.unmatchable
    assert make_detector(items).unmatchable == (0,)
