"""What an export counts on the way, row by row, for what it keeps and for what it rejects."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from curate.errors import TableError
from curate.exports.counts import ExportCounts, check_counts, count_rows

SCORES = pa.table(
    {"status": ["ok", "ok", "unreadable", "empty", "ok"], "tokens": pa.array([1, 20, None, 0, 4000], pa.int64())}
)
KEEP = pa.chunked_array([[True, False, False, False, True]])


@pytest.mark.parametrize(
    ("rejected", "tokens", "written"),
    [(False, 4001, [True, False, False, False, True]), (True, 20, [False, True, False, True, False])],
)
def test_each_document_is_kept_or_rejected_or_unreadable_and_the_tokens_are_of_what_is_written(
    rejected, tokens, written
):
    counts = ExportCounts()
    assert count_rows(counts, SCORES, KEEP, rejected).to_pylist() == written
    assert counts == ExportCounts(read=5, kept=2, rejected=2, unreadable=1, tokens=tokens)
    count_rows(counts, SCORES, KEEP, rejected)
    assert counts == ExportCounts(read=10, kept=4, rejected=4, unreadable=2, tokens=2 * tokens)


def test_a_part_without_rows_or_without_anything_to_write_counts_nothing():
    counts = ExportCounts()
    count_rows(counts, SCORES.slice(0, 0), KEEP.slice(0, 0), False)
    assert counts == ExportCounts()
    count_rows(counts, SCORES.slice(2, 1), KEEP.slice(2, 1), False)
    assert counts == ExportCounts(read=1, unreadable=1)


def test_totals_add_up_number_by_number():
    total = ExportCounts(1, 2, 3, 4, 5)
    total.add(ExportCounts(10, 20, 30, 40, 50))
    assert total == ExportCounts(11, 22, 33, 44, 55)


def job_of(tmp_path, read, kept):
    run = SimpleNamespace(finished_scores=lambda: {"counts": {"read": read}}, path=tmp_path)
    return SimpleNamespace(run=run, choice=SimpleNamespace(kept=kept))


def test_documents_that_were_lost_or_doubled_are_an_error(tmp_path):
    counts = ExportCounts(read=10, kept=5, rejected=3, unreadable=2)
    check_counts(job_of(tmp_path, 10, 5), counts)
    for read in (9, 11):
        with pytest.raises(TableError):
            check_counts(job_of(tmp_path, read, 5), counts)
    for kept in (4, 6):
        with pytest.raises(TableError, match=f"the decisions keep {kept} documents, but 5 were kept") as found:
            check_counts(job_of(tmp_path, 10, kept), counts)
        assert str(tmp_path) in found.value.hint
