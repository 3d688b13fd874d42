"""The report of a dataset: counts of rows, quantiles of what was measured, an easy, an ordinary and a hard example."""

import math

import pytest
from helpers.instruction_rows import rows_of, set_of

from curate.runtime.redaction import make_redactor
from curate.sft.datasets import draw_sample
from curate.sft.measuring.responses import RESPONSES, SUMS
from curate.sft.ranking.dataset_report import describe_dataset


def make_responses(examples, **columns):
    """A response for each example: 10 tokens of 1 nat, 2 nats without the question, unless ``columns`` differ."""
    given = {"status": "ok", "reason": None, "notes": None, "tokens": 10, "nats": 10.0, "unconditional_nats": 20.0}
    rows = []
    for index, drawn in enumerate(examples):
        row = {"file": drawn.file, "row": drawn.row, "part": drawn.part, "id": drawn.id, "asked": 0, "answered": index}
        row |= dict.fromkeys(SUMS, 1) | given
        rows.append(row | {name: values[index] for name, values in columns.items()})
    return RESPONSES.empty_table().from_pylist(rows, RESPONSES)


@pytest.fixture
def drawn(tmp_path):
    """A dataset of twelve questions with an answer each, and all of its examples."""
    dataset = set_of(tmp_path, "a.jsonl", rows_of("alpaca"))
    return dataset, draw_sample(dataset, None, 0)


def test_a_report_has_counts_quantiles_and_examples_from_easy_to_hard(drawn):
    """Premise: the nats of the examples grow in another order than their rows."""
    dataset, sample = drawn
    nats = [float(10 + 10 * (5 * index % 11)) for index in range(11)] + [500.0]
    responses = make_responses(
        sample.examples,
        nats=nats,
        tokens=[10] * 11 + [20],
        windows=[1] * 10 + [2, 1],
        prompt_tokens=[4] * 12,
        notes=["one\ntwo", "one"] + [None] * 10,
        status=["ok"] * 11 + ["unscorable"],
        reason=[None] * 11 + ["empty response"],
    )
    report = describe_dataset(dataset, sample, responses)
    assert (report.name, report.rows, report.available, report.drawn, report.schema) == ("a", 12, 12, 12, "alpaca")
    assert report.not_scored == {"empty response": 1} and report.notes == {"one": 2, "two": 1}
    assert report.long == 1 and report.prompt_tokens == 4.0
    assert report.lengths == {"5%": 10.0, "25%": 10.0, "50%": 10.0, "75%": 10.0, "95%": 10.0}
    assert [one["perplexity"] for one in report.examples] == pytest.approx([math.exp(2), math.exp(6), math.exp(10)])
    row = [5 * index % 11 for index in range(11)].index(1)
    easy = report.examples[0]
    assert (easy["place"], easy["asked"], easy["answered"]) == (f"a.jsonl, row {row}", f"why {row}?", f"so {row}")
    assert easy["unconditional_perplexity"] == pytest.approx(math.exp(2)) and easy["ifd_ppl"] == pytest.approx(1.0)


def test_a_dataset_without_scored_examples_has_no_numbers(drawn):
    dataset, sample = drawn
    report = describe_dataset(dataset, sample, make_responses(sample.examples, status=["unscorable"] * 12))
    assert report.not_scored == {"?": 12} and report.examples == () and report.lengths == {}
    assert math.isnan(report.prompt_tokens)


def test_a_long_question_loses_its_beginning_and_a_long_answer_its_end(tmp_path):
    rows = [{"instruction": "q" * 500 + "?", "output": "!" + "a" * 700}]
    dataset = set_of(tmp_path, "a.jsonl", rows)
    sample = draw_sample(dataset, None, 0)
    (shown,) = describe_dataset(dataset, sample, make_responses(sample.examples)).examples
    assert shown["asked"] == "… " + "q" * 399 + "?" and shown["answered"] == "!" + "a" * 599 + " …"


def test_shown_examples_are_redacted_before_they_are_cut(tmp_path):
    rows = [{"instruction": "jane.doe@corp.com " + "q" * 390, "output": "a " * 295 + "+49 30 1234567 " + "b" * 99}]
    dataset = set_of(tmp_path, "a.jsonl", rows)
    sample = draw_sample(dataset, None, 0)
    responses = make_responses(sample.examples)
    (shown,) = describe_dataset(dataset, sample, responses, make_redactor("default")).examples
    assert shown["asked"] == "…  " + "q" * 390 and shown["answered"] == "a " * 295 + "[PHONE] …"
