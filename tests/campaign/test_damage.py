"""A share of the damage campaign, the same one every time."""

from campaign.damage import run_campaign


def test_no_damaged_file_is_read_unseen_or_ends_in_a_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tally = run_campaign(seed=11, flips=2, share=0.004, mending=False)
    assert not tally.failures, "\n".join(tally.failures)
    assert sum(tally.counts.values()) > 20
