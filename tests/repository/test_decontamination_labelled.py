"""The benchmark on the labelled set counts what it says, and runs the command that users run."""

import sys
from types import SimpleNamespace

import pytest
from helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import decontamination_labelled as labelled
from decontamination_set.rows import HALVES, read_rows


@pytest.fixture
def results():
    """Twelve rows; ours finds the leaks, calls one negative of the development half contaminated and variants so."""
    rows = [
        {"id": f"{half} {label} {n}", "text": "…", "language": language, "kind": kind, "set": "s", "item": "i",
         "label": label, "half": half}
        for half in HALVES
        for n, (language, label, kind) in enumerate(
            [("de", "leak", "json"), ("code", "leak", "json"), ("de", "not", "frame"), ("de", "not", "topic"),
             ("de", "variant", "numbers"), ("de", "variant", "names")]
        )
    ]  # fmt: skip
    ours = {row["id"]: "contaminated" for row in rows if row["label"] == "leak"} | {
        "development not 2": "contaminated",
        "held-out not 2": "review",
        "held-out variant 4": "variant",
        "held-out variant 5": "contaminated",
    }
    return {
        "rows": rows,
        "sides": {"curate": ours, "any 8-gram": {"held-out leak 0": "contaminated"}},
        "sample": {"documents": 2, "flagged": {"curate": 0, "any 8-gram": 1}},
    }


def test_rates_are_of_labels_and_precision_of_what_is_flagged(results):
    rows = labelled.select(results["rows"], half="development")
    rates = labelled.compute_rates(rows, results["sides"]["curate"])
    assert rates == {"leak": (2, 2), "not": (1, 2), "variant": (0, 2), "precision": (2, 3)}
    assert labelled.compute_rates(labelled.select(rows, label="variant"), {})["precision"] == (0, 0)


def test_halves_and_sides_are_shown_apart(results):
    text = labelled.render(results, "here")
    assert "| curate | development | 1.000 | 0.000 | 50.0 % | 0.667 | 0.0 % | 0.0 % |" in text
    assert "| curate | held-out | 1.000 | 0.000 | 0.0 % | 1.000 | 50.0 % | 50.0 % |" in text
    assert "| any 8-gram | held-out | 0.500 |  | 0.0 % | 1.000 | 0.0 % |  |" in text
    assert "| frame | 2 | 1 of 1 | 0 of 1 | 0 of 1 |" in text
    assert "flagged: curate 0; any 8-gram 1" in text


def test_failures_are_what_ours_judges_otherwise_than_the_label(results):
    text = labelled.list_failures(results, "development")
    assert "Leaks missed, development: 0" in text and "- development not 2, about s i, frame, contaminated" in text
    assert "Variants flagged, held-out: 1" in labelled.list_failures(results, "held-out")


def test_the_command_judges_the_rows_and_leaves_the_readme_alone(monkeypatch, capsys, tmp_path):
    chosen = [
        row for row in read_rows() if row["set"] == "questions-en" and row["kind"] in ("verbatim", "topic", "names")
    ]
    monkeypatch.setattr(labelled, "read_rows", lambda: chosen)
    monkeypatch.setattr(labelled, "PEERS", ("any 8-gram",))
    before = (ROOT / "benchmarks" / "README.md").read_bytes()
    labelled.run(SimpleNamespace(list=["development"], out=tmp_path, readme=False), "here")
    found = labelled.run_curate({row["id"]: row["text"] for row in chosen})
    assert all(found.get(row["id"]) == "contaminated" for row in chosen if row["label"] == "leak")
    assert not any(found.get(row["id"]) == "contaminated" for row in chosen if row["kind"] == "topic")
    assert "Hard negatives flagged, development" in capsys.readouterr().out
    assert (tmp_path / "labelled.md").exists() and (ROOT / "benchmarks" / "README.md").read_bytes() == before
