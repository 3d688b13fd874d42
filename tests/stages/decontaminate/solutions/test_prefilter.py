"""The prefilter passes over code that holds no solution, never over one, and both of its forms add up alike."""

import inspect
import json

import numpy as np
import pytest
from helpers.eval_items import FILLER, Item

from curate.matching import numba_kernels
from curate.matching.code_tokens import split_uncovered
from curate.stages.decontaminate.solutions import make_solution_search, prefilter
from curate.stages.decontaminate.solutions.prefilter import count_covered, list_bodies, sum_blocks, sum_names

TEMPLATE = '''def {name}({one}, {two}: list[int] = ()) -> int:
    """What it's for: a = b if c else [1, 2]."""
    {total} = {start}
    for {three}, {four} in enumerate({two}):
        if {three} % {start} == {end} and {four} not in {one}:
            {total} += {one}.{attribute}({four}) ** {start} - {end}
    return sorted([{total}, {end}])[0]
'''
NAMES = ("name", "one", "two", "three", "four", "total", "attribute")


def write_solution(number, names=None):
    """Return one of many solutions that differ in numbers and attributes, with other names where some are given."""
    fill = dict(zip(NAMES, names or [f"{name}{number}" for name in NAMES], strict=True))
    fill["attribute"] = ("index", "count", "find", "rank", "size")[number % 5]
    return TEMPLATE.format(start=number + 2, end=number * 3 + 1, **fill)


SOLUTIONS = [write_solution(number) for number in range(30)]
ORDINARY = "\n\n".join(inspect.getsource(module) for module in (json.decoder, json.encoder, inspect))
WAYS = {
    "as it is": lambda text: text,
    "commented": lambda text: text.replace("\n    ", "  # for x in y: z\n    # isn't it = 1\n    "),
    "in a row": lambda text: json.dumps({"output": text}),
    "in a notebook": lambda text: json.dumps({"cells": [{"source": text.splitlines(True)}]}, indent=1),
    "on a page": lambda text: "<pre>" + text.replace(" = ", " <b>=</b> ").replace("'", "&#39;") + "</pre>",
    "as a difference": lambda text: "".join(f"+{line}" for line in text.splitlines(True)),
    "numbered": lambda text: "".join(f"{number:3}  {line}" for number, line in enumerate(text.splitlines(True), 1)),
    "at a prompt": lambda text: "".join(f">>> {line}" for line in text.splitlines(True)),
    "quoted in a string": lambda text: "source = " + json.dumps(text),
}


@pytest.fixture(scope="module")
def search():
    return make_solution_search([Item("made", ("Do it.",), answer=text) for text in SOLUTIONS])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("around", [FILLER, inspect.getsource(json.encoder)], ids=["prose", "code"])
def test_a_solution_with_other_names_is_selected_in_every_wrapping(search, way, around):
    text = WAYS[way](write_solution(11, ("f", "a", "b", "i", "v", "s", "index")))
    document = f"{around}\n\n{text}\n\n{around}"
    begin = len(around) + 2
    selected = [one for one in search.prefilter.select(["", document]) if one.query == 11]
    assert selected and all(one.text == 1 for one in selected)
    assert (
        min(one.begin for one in selected) < begin + 200 and max(one.end for one in selected) > begin + len(text) // 2
    )
    assert any(match.item == 11 and match.verdict == "contaminated" for match in search.scan([document]))


def test_ordinary_code_and_prose_are_passed_over(search):
    assert len(ORDINARY) > 100_000
    assert search.prefilter.select([ORDINARY, FILLER, ""]) == []


def test_a_solution_that_its_names_must_tell_is_selected_with_them_alone():
    swap = (
        "def swap_litres(bucket, barrel):\n    kept = bucket\n    bucket = barrel\n    barrel = kept\n    return bucket"
    )
    found = make_solution_search([Item("made", ("Do it.",), answer=swap)])
    other = swap.replace("swap_litres", "f").replace("bucket", "a").replace("barrel", "b").replace("kept", "t")
    around = ORDINARY[:5000]
    assert found.prefilter.select([f"{around}\n{swap}\n{around}"])
    assert not found.prefilter.select([f"{around}\n{other}\n{around}"])


def test_bodies_are_what_stands_between_headers_docstrings_and_imports():
    text = 'import re\ndef f(a: int) -> int:\n    """Doc."""\n    return 1\n\ndef g(b):\n    x = """no docstring"""\n'
    assert [body.strip() for body in list_bodies(text) if body.strip()] == ["return 1", 'x = """no docstring"""']


def test_a_solution_that_is_all_header_is_searched_for_with_it():
    header = "def measure_litres(bucket, barrel, gallons, pitchers, kettles, saucepans, teacups):\n    return 7\n"
    found = make_solution_search([Item("made", ("Do it.",), answer=header)])
    assert found is None or found.prefilter.select([FILLER + header + FILLER])


@pytest.mark.parametrize("wanted", [0.0, 0.3, 0.8])
def test_numba_and_numpy_add_up_alike(search, wanted):
    if not numba_kernels.is_numba_available():
        pytest.skip("numba is not installed")
    from curate.matching import numba_postings

    made, generator = search.prefilter, np.random.default_rng(0)
    texts = [write_solution(number, [f"n{letter}" for letter in range(7)]) * 3 for number in range(12)]
    batch = split_uncovered([*texts, ORDINARY[:30_000]])
    positions = np.sort(generator.choice(len(batch) - 5, len(batch) // 2, False))
    slots = generator.integers(0, len(made.grams), len(positions))
    documents = np.searchsorted(batch.offsets, positions, side="right") - 1
    hits = (positions, slots, documents, batch.offsets[:-1], batch.offsets[1:])
    least = np.full(len(SOLUTIONS), int(wanted * prefilter.UNIT))
    rule = (made.rule[0], least, least // 2)
    one, other = (add(hits, made.postings, rule, 21) for add in (numba_postings.sum_blocks, sum_blocks))
    assert len(one) > 100 if wanted < 0.8 else True
    assert sorted(one.tolist()) == sorted(other.tolist())
    lows = one[:, 0] * 0 + generator.integers(0, len(batch) - 300, len(one))
    highs, queries = lows + generator.integers(1, 300, len(one)), one[:, 1].copy()
    names = (lows, highs, queries, batch.names, made.names)
    np.testing.assert_array_equal(numba_postings.sum_names(*names), sum_names(*names))
    runs = prefilter.words.hash_shingles(batch.hashes, prefilter.SIZE)
    covered = (lows, highs, queries, runs, made.triples, prefilter.SIZE)
    np.testing.assert_array_equal(numba_postings.count_covered(*covered), count_covered(*covered))


def test_the_same_is_selected_without_numba(search, monkeypatch):
    document = FILLER + WAYS["commented"](SOLUTIONS[3]) + ORDINARY[:20_000] + SOLUTIONS[4]
    selected = search.prefilter.select([document, SOLUTIONS[5]])
    monkeypatch.setattr(numba_kernels, "is_numba_available", lambda: False)
    assert search.prefilter.select([document, SOLUTIONS[5]]) == selected
