"""What ``score`` returns: its screen names what was left out, and where to go on."""

from dataclasses import replace

from curate.stages.score.summary import ScoreSummary

SUMMARY = ScoreSummary(
    run="a run", model="builtin", documents=3, tokens=1200, scored_tokens=1200, bytes=5000, perplexity=8.0,
    mean_perplexity=9.0, bits_per_byte=1.25, quantiles={"5%": 2.0, "95%": 20.0},
    histogram={"edges": [1.0, 4.0, 16.0], "counts": [1, 2]},
    not_scored={"empty": 2, "unreadable": 1}, truncated=1, seconds=2.0, tokens_per_second=600.0, padding=0.1,
)  # fmt: skip


def test_the_screen_has_the_numbers_what_was_left_out_and_commands_that_can_be_pasted():
    screen = SUMMARY.render()
    assert "8 token-weighted, 9 mean of documents" in screen and "bits per byte 1.250" in screen
    assert "2 empty, 1 unreadable (a run/unreadable.jsonl)" in screen and "1 document cut off" in screen
    assert "600 tokens/s" in screen
    assert "curate filter --dry-run --run 'a run'" in screen and "curate decontaminate EVALS --run 'a run'" in screen
    assert SUMMARY.exit_code == 3 and replace(SUMMARY, not_scored={"empty": 2}).exit_code == 0
    assert SUMMARY.as_dict()["quantiles"] == {"5%": 2.0, "95%": 20.0}


def test_without_a_model_nothing_is_said_of_tokens_and_filters():
    screen = replace(
        SUMMARY, model="none", perplexity=None, quantiles={}, not_scored={}, truncated=0, tokens_per_second=None
    ).render()
    assert "token" not in screen and "filter" not in screen and "curate dedup --run 'a run'" in screen


def test_quantiles_of_any_size_stand_apart_below_their_shares():
    values = {"5%": 219.4, "25%": 60350.0, "50%": 1e5, "75%": 1e300, "95%": float("inf")}
    lines = replace(SUMMARY, quantiles=values, histogram={"edges": [], "counts": []}).render().splitlines()
    shares = next(number for number, line in enumerate(lines) if line.split() == list(values))
    assert lines[shares + 1].split()[1:] == ["219.4", "6.035e+04", "1e+05", "1e+300", "inf"]
    assert len(lines[shares]) == len(lines[shares + 1])


def test_scored_tokens_are_named_where_they_are_not_all():
    assert "1,200 tokens (900 scored)" in replace(SUMMARY, scored_tokens=900).render()
    assert "scored)" not in SUMMARY.render()
