"""A small share of the campaign in every run of the tests: a few trials of each kind, under a few verbs."""

import os
import re
import subprocess
import sys

import pytest
from campaign import listing, preload, tables
from campaign.listing import Trial
from campaign.oracle import Verdict
from helpers.paths import ROOT

CAMPAIGN = ROOT / "tests/campaign"
VERBS = "score,dedup,filter,export-jsonl,export"


def run_campaign(*words):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(CAMPAIGN), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)


@pytest.mark.skipif(preload.why_not() is not None, reason=f"no faults can be injected here: {preload.why_not()}")
def test_a_share_of_the_campaign_leaves_nothing_wrong_or_lost():
    done = run_campaign("--verbs", VERBS, "--share", "0.008", "--seed", "3")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    tried = re.search(r"\*\*all\*\* \| ([\d,]+) \|", done.stdout)
    assert tried and int(tried[1]) >= len(listing.KINDS), done.stdout
    assert "| 0 |\n" in done.stdout.splitlines(keepends=True)[-3], "none failed"


def test_a_trial_is_found_again_by_its_name():
    trials = listing.list_trials([], [], 1.0, 0)
    assert len(trials) == len({str(trial) for trial in trials}) > 2000
    assert all(listing.parse_trial(str(trial)) == trial for trial in trials)
    with pytest.raises(ValueError, match="no such trial"):
        listing.parse_trial("kill/status/1")


def test_a_share_is_the_same_for_the_same_seed_and_has_every_kind():
    first, second, other = (listing.list_trials([], [], 0.01, seed) for seed in (0, 0, 1))
    assert first == second != other
    assert {trial.kind for trial in first} == set(listing.NAME_TO_KIND)


def test_the_table_counts_what_was_tried_and_not_what_was_skipped():
    trial = Trial("kill", "dedup", 0)
    results = [(trial, Verdict(status)) for status in ("survived", "survived", "refused", "failed", "skipped")]
    assert "| killed at a system call | 4 | 2 | 1 | 1 |" in tables.render_table(results)


def test_the_table_in_the_readme_says_that_none_failed():
    page = (CAMPAIGN / "README.md").read_text()
    table = page.partition(tables.MARKS[0])[2].partition(tables.MARKS[1])[0]
    total = re.search(r"\*\*all\*\* \| ([\d,]+) \| .* \| ([\d,]+) \|", table)
    assert total and int(total[1].replace(",", "")) > 200 and total[2] == "0"  # a tenth of all, or more
