"""``curate compare --by-kind``, ``--calibration`` and ``--spans`` on runs of two small models of one tokenizer."""

import json

import numpy as np
import pytest
from helpers.models import save
from helpers.published import measured, write_comparison
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import UsageError
from curate.monitoring.compare.worst import align_spans
from curate.monitoring.publish.metrics import CALIBRATION
from curate.reference.measures.calibration import SUMS, full_ece, top1_accuracy
from curate.reference.token_surprisal import TokenSpan
from curate.rundir import parquet
from curate.rundir.signals import KIND_SUMS
from curate.runtime.redaction import Redaction


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    rows = [
        {
            "id": f"d{number}",
            "text": f"Item {number}: see https://example.org/{number} or call_me(x={number * 7}).\n" * 2,
        }
        for number in range(24)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, seed in (("first", 0), ("second", 1)):
        save(folder / f"model-{name}", "llama", seed)
        curate.score(
            folder / "corpus.jsonl",
            model=str(folder / f"model-{name}"),
            run=folder / name,
            signals="kinds,calibration",
            exact=True,
        )
    curate.score(folder / "corpus.jsonl", model=str(folder / "model-first"), run=folder / "plain", exact=True)
    return folder


def read_sums(run, names):
    tables = [parquet.read_table(path) for path in parquet.list_parts(run / "scores")]
    return {name: np.sum([row for table in tables for row in table.column(name).to_pylist()], axis=0) for name in names}


def test_kinds_add_up_to_the_difference_and_are_those_of_the_tables(folder):
    found = curate.compare([folder / "first", folder / "second"], by_kind=True)
    assert sum(one.gap_share for one in found.kinds) == pytest.approx(1)
    assert sum(one.bytes_share for one in found.kinds) == pytest.approx(1)
    sums = [read_sums(folder / name, KIND_SUMS) for name in ("first", "second")]
    for one in found.kinds:
        levels = [each[f"kind_nats_{one.kind}"] / each[f"kind_bytes_{one.kind}"] / np.log(2) for each in sums]
        assert (one.row.before, one.row.after) == pytest.approx(levels)
        assert one.row.low <= one.row.difference <= one.row.high
        gaps = [each[f"kind_nats_{one.kind}"] / sum(each[name] for name in each if "nats" not in name) for each in sums]
        whole = [sum(each[name] for name in each if "nats" in name) for each in sums]
        octets = [sum(each[name] for name in each if "nats" not in name) for each in sums]
        assert one.gap_share == pytest.approx((gaps[1] - gaps[0]) / (whole[1] / octets[1] - whole[0] / octets[0]))
    shares = [abs(one.gap_share) for one in found.kinds]
    assert shares == sorted(shares, reverse=True)
    screen = CliRunner().invoke(app, ["compare", str(folder / "first"), str(folder / "second"), "--by-kind"]).output
    assert "of the difference" in screen and "url" in screen


def test_calibration_is_that_of_the_tables_and_a_model_against_itself_has_no_gap(folder):
    found = curate.compare([folder / "first", folder / "second"], calibration=True).calibration
    sums = [read_sums(folder / name, SUMS) for name in ("first", "second")]
    rows = {row.name: row for row in found.rows}
    assert (rows["Full-ECE"].before, rows["Full-ECE"].after) == pytest.approx([full_ece(each) for each in sums])
    assert rows["top-1 accuracy"].gap == pytest.approx(top1_accuracy(sums[1]) - top1_accuracy(sums[0]))
    assert found.paired and found.documents == (24, 24)
    assert all(row.low <= row.gap <= row.high for row in found.rows)
    same = curate.compare([folder / "first", folder / "first"], calibration=True).calibration
    assert all((row.gap, row.low, row.high) == (0, 0, 0) for row in same.rows)


def test_samples_of_two_corpora_have_a_gap_too(folder, tmp_path):
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    (tmp_path / "other.jsonl").write_text("\n".join(line.replace("Item", "Entry") for line in lines[:20]) + "\n")
    options = {"model": str(folder / "model-first"), "signals": "kinds,calibration", "exact": True}
    curate.score(tmp_path / "other.jsonl", run=tmp_path / "other", **options)
    found = curate.compare([folder / "first", tmp_path / "other"], calibration=True, by_kind=True)
    assert not found.calibration.paired and found.calibration.documents == (24, 20)
    assert all(row.low <= row.gap <= row.high for row in found.calibration.rows) and len(found.kinds) > 3


@pytest.mark.parametrize(("option", "signal"), [("by_kind", "kinds"), ("calibration", "calibration")])
def test_a_run_without_the_signal_is_named_with_the_command_that_adds_it(folder, option, signal):
    with pytest.raises(UsageError, match=f"the scores have no {signal}") as caught:
        curate.compare([folder / "first", folder / "plain"], **{option: True})
    assert f"--signals {signal}" in caught.value.hint


def test_spans_of_the_documents_that_changed_add_up_to_the_change(folder):
    found = curate.compare([folder / "first", folder / "second"], worst=2, spans=True).changed
    assert found and all(one.note is None and one.spans for one in found)
    for one in found:
        changes = [span.nats[1] - span.nats[0] for span in one.spans]
        assert changes == sorted(changes, reverse=one.direction == "higher")


def test_spans_are_cut_where_both_models_cut():
    first = [TokenSpan("ab", 1.0, 1, 0), TokenSpan("cd", 2.0, 1, 2), TokenSpan("ef", 4.0, 1, 4)]
    second = [TokenSpan("abc", 1.5, 1, 0), TokenSpan("d", 2.5, 1, 3), TokenSpan("ef", 3.0, 1, 4)]
    found = align_spans(Redaction("abcdef"), first, second)
    assert [(span.text, span.nats) for span in found] == [("abcd", (3.0, 4.0)), ("ef", (4.0, 3.0))]
    assert align_spans(Redaction("abcdef"), first, []) == []


def test_a_text_that_is_gone_says_why_it_has_no_spans(folder, tmp_path):
    for name in ("first", "second"):
        (tmp_path / "corpus.jsonl").write_text((folder / "corpus.jsonl").read_text())
        curate.score(tmp_path / "corpus.jsonl", model=str(folder / f"model-{name}"), run=tmp_path / name, exact=True)
    (tmp_path / "corpus.jsonl").unlink()
    found = curate.compare([tmp_path / "first", tmp_path / "second"], worst=1, spans=True).changed
    assert found and all(one.note and not one.spans for one in found)


def test_publish_has_kinds_and_calibration_by_name(folder, tmp_path):
    found = curate.compare([folder / "first", folder / "second"], by_kind=True, calibration=True)
    summary = curate.publish(write_comparison(tmp_path / "signals.json", found), dry_run=True)
    kinds = {row.kind: row.row.after for row in found.kinds}
    levels = [one for one in measured(summary) if one.labels.get("of") == "after"]
    assert {one.labels["kind"]: one.value for one in levels if "kind" in one.labels} == kinds
    rows = {row.name: row.after for row in found.calibration.rows}
    assert {one.name: one.value for one in levels if one.name in CALIBRATION.values()} == {
        CALIBRATION[name]: value for name, value in rows.items()
    }


def test_what_is_shown_of_texts_is_redacted_and_what_is_measured_is_not(folder, tmp_path):
    text = "Write to jane.doe@corp.com or to the office, whichever is nearer to you. " * 2
    row = {"id": "jane.doe@corp.com", "text": text}
    (tmp_path / "corpus.jsonl").write_text(json.dumps(row) + "\n")
    for name in ("first", "second"):
        curate.score(tmp_path / "corpus.jsonl", model=str(folder / f"model-{name}"), run=tmp_path / name, exact=True)
    sides = [tmp_path / "first", tmp_path / "second"]
    plain, redacted = (curate.compare(sides, worst=1, spans=True, redact=choice) for choice in (None, "default"))
    assert plain.changed[0].id == "jane.doe@corp.com" and redacted.changed[0].id == "[EMAIL]"
    assert [span.nats for span in plain.changed[0].spans] == [span.nats for span in redacted.changed[0].spans]
    assert "jane" not in redacted.render() and "jane" not in json.dumps(redacted.as_dict(), default=str).replace(
        str(tmp_path), ""
    )
