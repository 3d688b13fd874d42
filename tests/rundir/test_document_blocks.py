"""Documents as NumPy columns: read once where they fit, whatever decided, nulls as NaN."""

import numpy as np
import pytest
from helpers.document_blocks import count_readings
from helpers.document_columns import make, rows_of
from helpers.runs import write_duplicates, write_hits

from curate.errors import TableError
from curate.rundir.document_blocks import BlockReader
from curate.rundir.run import open_run
from curate.rundir.verdicts import rejections
from curate.rundir.verdicts.reasons import precedes_criteria
from curate.verbs.filter import filter as choose


def reader_of(run, *arguments, **options):
    opened = open_run(run.path)
    return BlockReader(opened, rejections.open_rejections(opened), *arguments, **options)


def reasons_of(reader):
    return [reader.reasons[code] for block in reader.blocks() for code in block.codes]


def test_blocks_that_fit_are_read_once_and_others_in_every_pass(tmp_path, monkeypatch):
    run = make(tmp_path, rows_of(30), slice_bytes=300)
    readings = count_readings(monkeypatch)
    reader = reader_of(run, ["row", "perplexity"])
    first = [block.numbers("perplexity").tolist() for block in reader.blocks()]
    size = sum(block.nbytes for block in reader.blocks())
    assert len(first) > 2 and reader.is_held() and readings() == 1
    for held_bytes, is_held in ((size, True), (size - 1, False)):
        again = reader_of(run, ["row", "perplexity"], held_bytes=held_bytes)
        again.load()
        assert [block.numbers("perplexity").tolist() for block in again.blocks()] == first
        assert again.is_held() == is_held and readings() == (1 if is_held else 2)


def test_reasons_are_those_of_the_tables_or_those_of_the_decision(tmp_path):
    run = make(tmp_path, [*rows_of(4), {"id": "e", "text": ""}])
    write_hits(run, [{"row": 0}])
    write_duplicates(run, [{1: "keeper", 2: "exact"}])
    refused = ["contaminated: gsm8k", None, "exact duplicate", None, "unscored: empty"]
    assert reasons_of(reader_of(run, [])) == refused
    choose(str(run.path), where="id = 'd1'")
    reader = reader_of(run, [], decided=True)
    assert reasons_of(reader) == [*refused[:3], "where is false", refused[4]]
    (block,) = reader.blocks()
    assert block.eligible.tolist() == [False, True, False, True, False]
    assert (
        not precedes_criteria("where is false")
        and precedes_criteria("near duplicate")
        and precedes_criteria("unreadable")
    )


def test_a_decision_about_other_rows_is_refused(tmp_path):
    run, other = make(tmp_path / "a", rows_of(4)), make(tmp_path / "b", rows_of(5))
    for one in (run, other):
        choose(str(one.path), max_ppl=1e9)
    run.filter.write_bytes(other.filter.read_bytes())
    with pytest.raises(TableError, match="more rows than the scores"):
        list(reader_of(run, [], decided=True).blocks())


def test_null_is_nan_and_so_is_a_column_that_the_scores_do_not_have(tmp_path):
    run = make(tmp_path, [*rows_of(3), {"id": "e", "text": ""}])
    (block,) = reader_of(run, ["row", "tokens", "zlib_ratio", "repeated_lines"]).blocks()
    assert block.rows.tolist() == [0, 1, 2, 3] and block.rows.dtype == np.int64
    assert np.isnan(block.numbers("tokens")).tolist() == [False, False, False, True] and block.tokens[3] == 0
    assert block.columns["zlib_ratio"].dtype == np.float32 and block.numbers("zlib_ratio").dtype == np.float64
    assert np.isnan(block.numbers("repeated_lines")).all()


def test_groups_within_are_those_of_the_domain_where_none_are_named(tmp_path):
    run = make(tmp_path, [{**row, "kind": "ab"[n % 2], "size": n % 3} for n, row in enumerate(rows_of(6))])
    reader = reader_of(run, [], ["kind"])
    (block,) = reader.blocks()
    assert block.within is block.domain and [reader.domains.names[n] for n in block.domain] == list("ababab")
    reader = reader_of(run, [], ["kind"], [])
    (block,) = reader.blocks()
    assert reader.within.names == ["all"] and not block.within.any() and block.domain.any()
