"""``curate bucket``: CCNet's cuts and quantiles, within a language or over all, nothing lost."""

import json
import math

import pytest
from helpers.buckets import buckets_of, language_run
from helpers.runs import numbered_run, ppl, widest, write_hits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import GateError, UsageError
from curate.rundir.run import open_run
from curate.verbs.bucket import bucket
from curate.verbs.explain import explain
from curate.verbs.filter import filter as choose
from curate.verbs.status import status


def test_ccnet_cuts_at_the_30th_and_the_60th_percentile(tmp_path):
    run = numbered_run(tmp_path, ppl(*[float(n) for n in (9, 0, 8, 1, 7, 2, 6, 3, 5, 4)]))
    found = bucket(str(run.path))
    assert buckets_of(run) == ["tail", "head", "tail", "head", "tail", "head", "tail", "middle", "middle", "middle"]
    assert [(one.name, one.documents) for one in found.buckets] == [("head", 3), ("middle", 3), ("tail", 4)]
    saved = json.loads((run.path / "cutoffs.json").read_text())
    assert saved["groups"] == {"all": [3.0, 6.0]}
    assert (found.buckets[1].lowest, found.buckets[1].highest) == (3.0, 5.0)


def test_a_value_that_equals_a_cut_is_above_it(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0))
    bucket(str(run.path))  # the cuts are the values at places 3 and 6: 2 and 3
    assert buckets_of(run) == ["head"] * 2 + ["middle"] * 4 + ["tail"] * 4


def test_the_language_is_what_is_cut_within_by_default_and_none_cuts_all(tmp_path):
    run = language_run(tmp_path, ["en", "de"] * 10, [float(n if n % 2 == 0 else 1000 + n) for n in range(20)])
    found = bucket(str(run.path))
    assert found.within == ("language",)
    assert {name: [one.documents for one in own] for name, own in found.groups.items()} == {
        "en": [3, 3, 4],
        "de": [3, 3, 4],
    }
    assert "within language" in found.render() and widest(found.render()) <= 100
    found = bucket(str(run.path), within="none")
    assert set(buckets_of(run)[0::2]) == {"head", "middle"} or found.groups.keys() == {"all"}
    assert [one.documents for one in found.buckets] == [6, 6, 8]


def test_without_a_language_all_documents_are_cut_together_and_it_says_so(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 2.0, 3.0))
    assert "no column of the language" in " ".join(bucket(str(run.path)).render().split())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, math.inf, None, math.nan]), min_size=1, max_size=25),
    many=st.integers(1, 8),
)
def test_quantiles_differ_by_one_document_at_most_and_ties_are_parted_in_order(tmp_path_factory, values, many):
    run = numbered_run(tmp_path_factory.mktemp("run"), ppl(*values))
    measured = [n for n, value in enumerate(values) if value is not None and not math.isnan(value)]
    if not measured:
        with pytest.raises(UsageError):
            bucket(str(run.path), quantiles=many)
        return
    found = bucket(str(run.path), quantiles=many)
    sizes = [one.documents for one in found.buckets]
    assert len(sizes) == many and max(sizes) - min(sizes) <= 1
    names = buckets_of(run)
    assert all((names[n] is None) == (n not in measured) for n in range(len(values)))
    ranked = sorted(measured, key=lambda n: (values[n], n))
    assert [names[n] for n in ranked] == [f"q{rank * many // len(ranked) + 1}" for rank in range(len(ranked))]
    assert found.unmeasured == len(values) - len(measured)


def test_what_is_not_kept_is_in_no_bucket(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 2.0, 900.0, None))
    choose(str(run.path), min_tokens=1, where="perplexity is null or perplexity < 50")
    found = bucket(str(run.path), quantiles=2)
    assert buckets_of(run) == ["q1", "q2", None, None]
    assert (found.documents, found.unmeasured) == (3, 1)
    assert "in no bucket" in found.render()


def test_one_bucket_for_all_and_groups_too_small_are_warned_of(tmp_path):
    run = numbered_run(tmp_path, ppl(5.0, 5.0, 5.0))
    assert "all documents are in tail" in " ".join(bucket(str(run.path)).warnings)
    lonely = language_run(tmp_path / "x", ["en"] * 6 + ["de"], [float(n) for n in range(7)])
    found = bucket(str(lonely.path))
    assert "1 group of fewer documents" in " ".join(found.warnings)
    assert buckets_of(lonely)[-1] == "middle"


@pytest.mark.parametrize(
    "asked",
    [
        {"scheme": "ccnet", "quantiles": 3}, {"quantiles": 0}, {"quantiles": 10**6}, {"by": "perplexty"}, {"by": "id"},
        {"scheme": "other"}, {"within": "nothing"}, {"cutoffs": "missing.json"}, {"cutoffs": "x", "by": "ppl"},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_with_a_hint_and_writes_nothing(tmp_path, asked):
    run = numbered_run(tmp_path, ppl(1.0, 2.0))
    with pytest.raises(UsageError) as caught:
        bucket(str(run.path), **asked)
    assert caught.value.hint
    assert not run.buckets.exists()


def test_nothing_kept_is_an_error(tmp_path):
    run = numbered_run(tmp_path, ppl(9.0))
    write_hits(run, [{"row": 0}])
    with pytest.raises(GateError, match="nothing is kept"):
        bucket(str(run.path))


def test_the_same_command_gives_the_same_bytes(tmp_path):
    run = numbered_run(tmp_path, ppl(*[float(n % 7) for n in range(30)]))
    taken = []
    for _ in range(2):
        bucket(str(run.path), quantiles=4)
        taken.append((run.buckets.read_bytes(), (run.path / "run.json").read_bytes()))
    assert taken[0] == taken[1]


def test_status_and_explain_tell_the_bucket(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 2.0, 3.0))
    bucket(str(run.path))
    assert "head 1, middle 1, tail 1" in " ".join(status(str(run.path)).render().split())
    assert f"{'bucket':<16}middle" in explain("d1", str(run.path)).render()
    opened = open_run(run.path)
    opened.save("bucket", {**opened.stage("bucket"), "fingerprint": "other"})
    assert "do not belong together" in " ".join(status(str(run.path)).render().split())
