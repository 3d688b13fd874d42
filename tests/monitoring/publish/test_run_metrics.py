"""The numbers of a run are those of ``status`` and ``compare``."""

import os
from datetime import UTC, datetime

import fsspec
import pytest
from helpers.compared_runs import make_side, write_corpus
from helpers.published import HOSTILE, as_keys, find_values, measured
from helpers.runs import make_run, numbered, ppl, write_lines

import curate
from curate.errors import TableError, UsageError
from curate.monitoring.publish.group_sums import fold_groups
from curate.monitoring.publish.run_metrics import find_last_completion
from curate.rundir.run import open_run


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """A run with kept, rejected, unscored and unreadable documents."""
    folder = tmp_path_factory.mktemp("funnel")
    rows = [{"id": f"d{n}", "text": f"document {n} word", "domain": "ab"[n % 2]} for n in range(10)]
    write_lines(folder / "corpus" / "a.jsonl", [*rows, b"{broken"])
    values = [*ppl(10, 20, 30, 40, 50, 60, 70, 80, 90), {"status": "too_long"}]
    run = make_run(folder / "run", [folder / "corpus"], numbered(values))
    curate.filter(str(run.path), max_ppl=55)
    return run


def test_the_funnel_is_that_of_status_and_adds_up(filtered):
    status = curate.status(str(filtered.path))
    found = curate.publish(str(filtered.path), dry_run=True)
    by_reason = {
        (one.labels["outcome"], one.labels["reason"]): one.value
        for one in measured(found)
        if one.name == "curate_documents"
    }
    expected = {("rejected", reason): number for reason, number in status.rejected.items()}
    assert by_reason == {("kept", ""): status.kept, ("unreadable", ""): status.unreadable, **expected}
    assert len(expected) == 2 and sum(by_reason.values()) == status.read == 11
    assert find_values(found, "curate_tokens") == status.tokens


def test_the_measures_are_those_of_compare(compared):
    sides = [compared.folder / "before", compared.folder / "worse"]
    row = curate.compare(sides, within="domain", pairs="never").pairs[0]
    found = curate.publish(compared.folder / "worse", within="domain", dry_run=True)
    assert find_values(found, "curate_perplexity") == pytest.approx(row.all.after, rel=1e-12)
    by_domain = find_values(found, "curate_domain_perplexity", "domain")
    assert by_domain == {group.name: pytest.approx(group.after, rel=1e-12) for group in row.groups}
    bits = curate.compare(sides, within="domain", pairs="never", by="bpb").pairs[0]
    assert find_values(found, "curate_bits_per_byte") == pytest.approx(bits.all.after, rel=1e-12)
    by_domain = find_values(found, "curate_domain_bits_per_byte", "domain")
    assert by_domain == {group.name: pytest.approx(group.after, rel=1e-12) for group in bits.groups}
    side = curate.compare(sides).sides[1]
    assert find_values(found, "curate_scored_tokens") == side.tokens
    assert find_values(found, "curate_scored_bytes") == side.bytes
    assert found.publication.evaluator == side.evaluator != ""


def test_domains_add_up_to_all_whatever_the_cap(compared):
    for most in (1, 2, 3, 200):
        found = curate.publish(compared.folder / "worse", within="domain", max_labels=most, dry_run=True)
        for name in ("documents", "tokens", "bytes"):
            parts = find_values(found, f"curate_domain_{name}", "domain")
            assert sum(parts.values()) == find_values(found, f"curate_scored_{name}") and len(parts) == min(most, 3)
        assert find_values(found, "curate_folded_domains") == found.publication.folded == (4 - most if most < 3 else 0)


def test_the_groups_with_the_fewest_documents_become_other(tmp_path):
    corpus = write_corpus(tmp_path / "c.jsonl", 50, domains=["big"] * 6 + ["other"] * 2 + ["small", "tiny"])
    found = curate.publish(make_side(tmp_path, "run", corpus), within="domain", max_labels=2, dry_run=True)
    assert find_values(found, "curate_domain_documents", "domain") == {"big": 30, "other": 20}
    assert find_values(found, "curate_folded_domains") == 3
    assert "the 3 smallest groups became" in "\n".join(found._notes())


def test_reasons_are_capped_and_still_add_up(filtered):
    found = curate.publish(str(filtered.path), max_labels=1, dry_run=True)
    reasons = {one.labels["reason"]: one.value for one in measured(found) if one.name == "curate_documents"}
    assert set(reasons) == {"", "other"} and reasons["other"] == 5


def test_no_groups_fold_into_none():
    assert fold_groups([], 3) == ([], 0)


def test_hostile_domains_stay_apart(tmp_path):
    rows = [{"text": f"text {number} word", "domain": name} for number, name in enumerate(HOSTILE)]
    lines = [row for row in rows if row["domain"] != "\ud800"]
    write_lines(tmp_path / "c.jsonl", lines)
    run = make_side(tmp_path, "run", tmp_path / "c.jsonl")
    found = curate.publish(run, within="domain", dry_run=True)
    assert find_values(found, "curate_domain_documents", "domain").keys() >= {"plain", "two lines", "(none)", "(empty)"}
    assert len(find_values(found, "curate_domain_documents", "domain")) == len(lines)
    assert len(as_keys(found)) == len(measured(found))
    assert all(line.count("\n") == 0 for line in found.render().splitlines())


def test_publishing_again_or_a_new_column_makes_a_run_no_younger(tmp_path):
    corpus = write_corpus(tmp_path / "c.jsonl", 9, source=lambda number: "s")
    path = make_side(tmp_path, "run", corpus)
    run = open_run(path)
    for part in run.scores.glob("*.parquet"):
        os.utime(part, (1000, 1000))
    before = find_last_completion(run)
    curate.publish(path, within="domain,source", dry_run=True)
    assert find_last_completion(open_run(path)) == before == 1000
    curate.filter(path, max_ppl=30)
    assert find_last_completion(open_run(path)) > 1000


def test_a_name_of_ones_own_stays_when_the_folder_changes(compared):
    found = curate.publish(compared.folder / "before", name="nightly", dry_run=True)
    assert {one.labels["run"] for one in measured(found)} == {"nightly"}


def test_unfinished_scores_are_refused(tmp_path):
    corpus = write_corpus(tmp_path / "c.jsonl", 9)
    run = make_side(tmp_path, "run", corpus, complete=False)
    with pytest.raises(TableError, match="not complete"):
        curate.publish(run, dry_run=True)
    with pytest.raises(UsageError, match="no column"):
        curate.publish(make_side(tmp_path, "run2", corpus), within="nope", dry_run=True)


def test_of_a_run_in_a_store_the_time_is_that_of_its_objects(memory_store, tmp_path):
    """Its mirror was made when this machine fetched it."""
    run = f"{memory_store}/week=48"
    curate.score(write_corpus(tmp_path / "c.jsonl", 6), run=run, model="none")
    (path,) = [path for path in fsspec.filesystem("memory").store if path.endswith("manifests/scores.json")]
    fsspec.filesystem("memory").store[path].modified = datetime(2020, 1, 1, tzinfo=UTC)
    found = curate.publish(run, dry_run=True)
    assert find_values(found, "curate_last_run_timestamp_seconds") == datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    assert found.publication.name == "week=48" and find_values(found, "curate_documents", "outcome")["kept"] == 6
    assert "curate_perplexity" not in {one.name for one in measured(found)} and found.publication.left_out == 2
