"""The benchmark of ``curate dedup`` runs in small, and compares what two sides remove by their clusters."""

import json
import struct
import subprocess
import sys

import pytest
from helpers.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def datatrove_side(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import datatrove_side

    return datatrove_side


def test_a_whole_run_is_measured_and_finds_what_was_planted(tmp_path):
    words = ["--only", "scale", "--documents", "90", "--sides", "curate", "--out", str(tmp_path)]
    command = [sys.executable, str(BENCHMARKS / "dedup.py"), *words, "--peer-documents", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "dedup.json").read_text())
    assert (tmp_path / "dedup.md").read_text().strip() in done.stdout
    (row,) = found["scale"]
    assert row["check"]["planted"] == row["check"]["found"] and sum(row["check"]["planted"].values()) > 3
    assert row["cpu_seconds"] > 0 and 50e6 < row["peak_bytes"] < 1e9 and "removed" not in row


def test_of_each_cluster_all_but_the_first_document_is_removed(datatrove_side):
    members = [(1, 0, 7), (0, 5, 7), (0, 9, 7), (0, 2, 3), (2, 2, 3), (1, 1, 9)]
    assert datatrove_side.list_removed(members) == {(0, 9), (1, 0), (2, 2)}
    assert datatrove_side.compare_removed({(0, 1), (0, 2), (0, 3)}, {(0, 3), (0, 4)}) == {
        "both": 1, "ours alone": 2, "theirs alone": 1
    }  # fmt: skip


def test_clusters_of_datatrove_are_read_by_file_and_row(datatrove_side, tmp_path):
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters" / "000000.clusters").write_bytes(struct.pack("<4I", 3, 0, 8, 1))
    (tmp_path / "clusters" / "000002.clusters").write_bytes(struct.pack("<2I", 5, 1))
    (tmp_path / "clusters" / "000002.remove").write_bytes(struct.pack("<I", 5))
    assert list(datatrove_side.read_members(tmp_path)) == [(0, 3, 0), (0, 8, 1), (2, 5, 1)]


def test_only_sides_that_saw_the_same_documents_are_compared(datatrove_side):
    import dedup

    found = [
        {"side": "curate", "documents": 9, "removed": {(0, 1), (0, 2)}},
        {"side": "datatrove", "documents": 9, "removed": {(0, 2), (0, 4), (0, 5)}},
        {"side": "datatrove", "documents": 5, "removed": {(0, 2)}},
        {"side": "rensa", "documents": 9},
    ]
    (compared,) = dedup.compare_sides(found)
    assert compared == {
        "side": "datatrove", "documents": 9, "removed": 3, "curate": 2, "both": 1, "ours alone": 1, "theirs alone": 2
    }  # fmt: skip
    assert all("removed" not in row for row in found)
