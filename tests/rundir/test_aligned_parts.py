"""Parts of all narrow tables, row by row the same documents: what is kept, for which reason, in which group."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.document_columns import make, rows_of
from helpers.runs import write_duplicates, write_hits

from curate.errors import TableError
from curate.rundir import aligned_parts
from curate.rundir.run import open_run
from curate.verbs.filter import filter as choose


def test_kept_is_what_filter_decided_and_without_it_what_no_table_rejects(tmp_path):
    rows = [*rows_of(9), {"id": "e", "text": " "}]
    run = make(tmp_path, rows, slice_bytes=300)

    def kept():
        parts = aligned_parts.read_parts(open_run(run.path), ["row"])
        return [row for part in parts for row in np.array(part.table["row"])[part.keep].tolist()]

    assert kept() == list(range(9))
    write_hits(run, [{"row": 2}])
    write_duplicates(run, [{4: "keeper", 5: "near", 2: "exact"}])
    assert kept() == [0, 1, 3, 4, 6, 7, 8]
    choose(str(run.path), where="id <> 'd8'")
    assert kept() == [0, 1, 3, 4, 6, 7]
    write_duplicates(run, [])
    with pytest.raises(TableError):
        kept()


def test_reasons_are_numbered_in_the_order_of_the_corpus(tmp_path):
    run = make(tmp_path, [*rows_of(3), b"{", {"id": "e", "text": ""}])
    write_hits(run, [{"row": 0}, {"row": 4}])
    run = open_run(run.path)
    refusals = aligned_parts.RejectionCodes(run)
    (part,) = aligned_parts.read_parts(run, ["status"], decided=False)
    named = [refusals.names[number] for number in refusals.take(0, part.table["status"]).tolist()]
    assert named == ["contaminated: gsm8k", None, None, "unreadable", "unscored: empty"]


def test_groups_by_two_columns_are_their_pairs_and_none_is_a_group(tmp_path):
    groups = aligned_parts.ColumnGroups(["a", "b"])
    first = pa.table({"a": pa.array(["x", "y", None], pa.large_string()), "b": pa.array(["1", "1", "2"])})
    assert sorted(groups.take(first).tolist()) == [0, 1, 2]
    again = pa.table({"a": pa.array(["y", "x"]), "b": pa.array(["1", "3"])})
    found = groups.take(again).tolist()
    assert [groups.names[number] for number in found] == ["y / 1", "x / 3"]
    assert sorted(groups.names) == ["(none) / 2", "x / 1", "x / 3", "y / 1"]
