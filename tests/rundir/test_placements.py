"""The tables of buckets and of the order: made of what the run has now, and refused once that has changed."""

import pyarrow.parquet as pq
import pytest
from helpers.runs import numbered_run, write_buckets, write_duplicates, write_hits, write_order

from curate.errors import TableError
from curate.rundir import decision_table, placements, schemas
from curate.rundir.run import open_run
from curate.verbs.filter import filter as choose

OPEN = {"bucket": placements.open_buckets, "order": placements.open_order}
WRITE = {
    "bucket": lambda run: write_buckets(run, ["head", "tail", None]),
    "order": lambda run: write_order(run, [1, 0, None]),
}


@pytest.fixture
def run(tmp_path):
    return numbered_run(tmp_path, [{"perplexity": value} for value in (10.0, 20.0, 30.0)])


@pytest.mark.parametrize("verb", OPEN)
def test_a_table_opens_where_its_verb_ran_last_and_is_none_where_it_never_did(run, verb):
    assert OPEN[verb](run) is None
    WRITE[verb](run)
    assert OPEN[verb](open_run(run.path))["counts"]["kept"] == 2


@pytest.mark.parametrize("verb", OPEN)
@pytest.mark.parametrize(
    ("since", "named"),
    [
        (lambda run: choose(str(run.path), max_ppl=20), "curate filter has run since"),
        (lambda run: write_hits(run, [{"row": 1}]), "curate decontaminate has run since"),
        (lambda run: write_duplicates(run, [{0: "keeper", 1: "near"}]), "curate dedup has run since"),
    ],
)
def test_a_verb_that_ran_since_makes_a_table_stale(run, verb, since, named):
    WRITE[verb](run)
    since(run)
    with pytest.raises(TableError, match=named) as caught:
        OPEN[verb](open_run(run.path))
    assert f"curate {verb}" in caught.value.hint


@pytest.mark.parametrize("verb", OPEN)
def test_other_scores_make_a_table_stale(run, verb):
    WRITE[verb](run)
    opened = open_run(run.path)
    opened.save("score", {**opened.stage("score"), "fingerprint": "other"})
    with pytest.raises(TableError, match="curate score has run since"):
        OPEN[verb](opened)


@pytest.mark.parametrize("verb", OPEN)
def test_a_table_that_died_between_its_file_and_its_record_is_noticed(run, verb):
    WRITE[verb](run)
    old = (run.path / "run.json").read_bytes()
    choose(str(run.path), max_ppl=20)
    WRITE[verb](run)
    new = open_run(run.path)
    (run.path / "run.json").write_bytes(old)
    with pytest.raises(TableError, match="do not belong together"):
        OPEN[verb](open_run(run.path))
    new.save(verb, None)
    with pytest.raises(TableError, match="did not finish"):
        OPEN[verb](new)


def test_the_rows_are_given_out_as_the_slices_ask_for_them(run):
    write_order(run, [1, 0, None])
    assert pq.read_schema(run.order).remove_metadata() == schemas.ORDER
    rows = decision_table.DecisionReader(run.order, schemas.ORDER)
    assert rows.take(2).column("position").to_pylist() == [1, 0]
    assert rows.take(1).column("position").to_pylist() == [None]
    with pytest.raises(TableError, match="fewer rows"):
        rows.take(1)
