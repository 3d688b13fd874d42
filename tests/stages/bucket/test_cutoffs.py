"""Cut-offs that are kept serve a later corpus, and are refused where they mean something else."""

import json

import numpy as np
import pytest
from helpers.buckets import buckets_of, language_run
from helpers.runs import numbered_run, ppl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.stages.bucket.cutoffs import Assigner
from curate.verbs.bucket import bucket


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.integers(0, 40).map(float), min_size=1, max_size=40),
    asked=st.sampled_from([{}, {"quantiles": 4}, {"quantiles": 1}]),
)
def test_applied_to_their_own_corpus_cut_offs_change_nothing_but_ties(tmp_path_factory, values, asked):
    run = numbered_run(tmp_path_factory.mktemp("run"), ppl(*values))
    bucket(str(run.path), **asked)
    made = buckets_of(run)
    saved = (run.path / "cutoffs.json").read_bytes()
    bucket(str(run.path), cutoffs=str(run.path / "cutoffs.json"))
    assert (run.path / "cutoffs.json").read_bytes() == saved
    cuts = json.loads(saved)["groups"]["all"]
    for value, before, after in zip(values, made, buckets_of(run), strict=True):
        assert before == after or (value in cuts and asked)


def test_frozen_cut_offs_serve_a_later_corpus_and_a_new_language_is_unknown(tmp_path):
    first = language_run(tmp_path / "1", ["en"] * 10, [float(n) for n in range(10)])
    bucket(str(first.path), save_cutoffs=str(tmp_path / "cut.json"))
    later = language_run(tmp_path / "2", ["en", "en", "en", "xx"], [2.9, 3.0, 99.0, 1.0])
    found = bucket(str(later.path), cutoffs=str(tmp_path / "cut.json"))
    assert buckets_of(later) == ["head", "middle", "tail", "unknown"]
    assert "do not know" in " ".join(found.render().split())
    other = language_run(tmp_path / "3", ["xx"], [1.0])
    with pytest.raises(UsageError, match="none of the groups"):
        bucket(str(other.path), cutoffs=str(tmp_path / "cut.json"))


def test_cut_offs_of_perplexity_under_another_tokenizer_are_refused_and_of_bits_not(tmp_path):
    first = language_run(tmp_path / "1", ["en"] * 4, [1.0, 2.0, 3.0, 4.0])
    later = language_run(tmp_path / "2", ["en"] * 4, [1.0, 2.0, 3.0, 4.0], {"model": "m", "tokenizer": "other"})
    bucket(str(first.path))
    with pytest.raises(UsageError) as caught:
        bucket(str(later.path), cutoffs=str(first.path / "cutoffs.json"))
    assert "cannot be compared" in caught.value.message and "--by bpb" in caught.value.hint
    assert not later.buckets.exists()
    bucket(str(first.path), by="bpb")
    assert "another model" in " ".join(bucket(str(later.path), cutoffs=str(first.path / "cutoffs.json")).warnings)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "curate cut-offs 1", "groups": {"all": [2, 1]}}'])
def test_a_file_that_holds_no_cut_offs_is_refused(tmp_path, text):
    run = numbered_run(tmp_path, ppl(1.0))
    (tmp_path / "cut.json").write_text(text)
    with pytest.raises(UsageError, match="cannot be used as cut-offs"):
        bucket(str(run.path), cutoffs=str(tmp_path / "cut.json"))


def test_no_value_is_in_no_bucket():
    """A slice of which nothing is kept."""
    assigner = Assigner(np.array([[1.0, 2.0]]), np.zeros((1, 2), np.int64))
    assert assigner.assign(np.zeros(0), np.zeros(0, np.int64)).tolist() == []
    assert assigner.assign(np.array([0.5, 3.0]), np.zeros(2, np.int64)).tolist() == [0, 2]
