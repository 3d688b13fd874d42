"""Parts of all narrow tables, row by row the same documents: what is kept, for which reason, in which group."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from helpers.document_columns import make, rows_of, values_of
from helpers.runs import write_duplicates, write_hits

from curate.errors import TableError
from curate.rundir import aligned_parts, document_columns, parquet
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


def groups_of(*columns):
    """The group of each row, by name."""
    names = [str(number) for number in range(len(columns))]
    groups = aligned_parts.ColumnGroups(names)
    numbers = groups.take(pa.table(dict(zip(names, columns, strict=True))))
    return [groups.names[number] for number in numbers.tolist()]


def test_a_text_that_reads_like_null_is_another_group():
    assert groups_of(pa.array(["(none)", None, '"(none)"', "a"])) == ['"(none)"', "(none)", '"""(none)"""', "a"]


def test_different_pairs_have_different_names():
    pairs = [("a / b", "c"), ("a", "b / c"), ('"a', "b"), ("(none)", None), (None, "(none)")]
    found = groups_of(pa.array([left for left, _ in pairs]), pa.array([right for _, right in pairs]))
    assert found == ['"a / b" / c', 'a / "b / c"', '"""a" / b', '"(none)" / (none)', '(none) / "(none)"']


def test_every_type_can_be_grouped_by():
    assert groups_of(pa.array([True, None, False])) == ["true", "(none)", "false"]
    assert groups_of(pa.array([dt.date(2024, 6, 1)] * 2)) == ["2024-06-01"] * 2
    assert groups_of(pa.array([["x"], None, ["x"], []])) == ['["x"]', "(none)", '["x"]', "[]"]
    assert groups_of(pa.array([{"a": 1}, {"a": 2}])) == ['{"a": 1}', '{"a": 2}']
    assert groups_of(pa.array([0.5, 2.0], pa.float32())) == ["0.5", "2.0"]


def test_a_damaged_part_of_a_carried_column_is_named_with_the_command_that_mends_it(tmp_path):
    run = make(tmp_path, rows_of(40), slice_bytes=500)
    values = values_of(run, "domain")
    part = parquet.list_parts(document_columns.locate_column(run, "domain"))[2]
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(TableError) as caught:
        values_of(run, "domain")
    assert str(part) in caught.value.message and caught.value.hint.startswith(f"rm {part}, then")
    part.unlink()
    assert values_of(run, "domain") == values
