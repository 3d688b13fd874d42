"""``curate compare --time``, ``--time-column``, ``--cost`` and ``--leak``, as they are typed."""

import datetime
import json
import math

import pytest
from helpers.compared_runs import make_side, write_corpus
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import UsageError


def run_cli(*words):
    done = CliRunner().invoke(app, ["compare", *map(str, words)])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Five checkpoints of a training that improves; the fourth is damaged in one domain."""
    folder = tmp_path_factory.mktemp("series")
    corpus = write_corpus(folder / "corpus.jsonl")

    def shift_at(step):
        return lambda number: -0.02 * step + 0.001 * math.sin(number + step) + (step == 3 and number % 3 == 1) * 0.2

    return [make_side(folder, f"step-{step}", corpus, shift_at(step)) for step in range(5)]


def test_a_damaged_checkpoint_is_named_with_its_domain(checkpoints):
    code, screen = run_cli(*checkpoints, "--time", "--within", "domain", "--tolerance", "1%", "--only-worse")
    assert code == 4
    assert "jump        law: step-2 → step-3 +1" in screen and "code: step" not in screen
    assert "verdict     beyond 1% upwards: all, law" in screen
    sound = [path for number, path in enumerate(checkpoints) if number != 3]
    assert run_cli(*sound, "--time", "--within", "domain", "--tolerance", "1%", "--only-worse")[0] == 0


def test_the_slope_of_a_training_is_what_it_learns_by_step(checkpoints):
    sound = [checkpoints[number] for number in (0, 1, 2)]
    series = curate.compare(sound, time=True).series
    assert series.paired and series.num_pairs == 90
    assert series.all.change == pytest.approx(math.expm1(-0.02), abs=0.001)
    assert series.all.change_high < 0


def test_days_of_one_run_are_steps_and_the_domain_that_drifts_is_named(tmp_path):
    def shift(number):
        return 0.25 if number >= 240 and number % 3 == 2 else 0.0

    def day(number):
        return str(datetime.datetime(2026, 1, 1, 8) + datetime.timedelta(days=number // 60, minutes=number % 60))

    corpus = write_corpus(tmp_path / "corpus.jsonl", count=480, seen=day)
    side = make_side(tmp_path, "run", corpus, shift)
    found = curate.compare(side, time_column="seen", within="domain")
    assert list(found.series.steps) == [f"2026-01-0{day}" for day in range(1, 9)]
    rows = {row.name: row for row in found.series.groups}
    assert rows["news"].since == 4 and rows["code"].since is None and rows["law"].since is None
    assert sum(side.documents for side in found.sides) == 480
    code, screen = run_cli(side, "--time-column", "seen", "--within", "domain")
    assert code == 0 and "over 8 steps, 2026-01-01 … 2026-01-08" in screen


def test_a_column_of_time_with_too_many_values_or_one_is_refused(tmp_path):
    corpus = write_corpus(tmp_path / "corpus.jsonl", count=300, seen=lambda number: f"v{number}", year=lambda _: 2026)
    side = make_side(tmp_path, "run", corpus)
    with pytest.raises(UsageError, match="more than 120 values"):
        curate.compare(side, time_column="seen")
    with pytest.raises(UsageError, match="has 1 value with documents"):
        curate.compare(side, time_column="year")


def test_steps_are_sorted_as_numbers_and_documents_without_time_are_counted(tmp_path):
    corpus = write_corpus(tmp_path / "corpus.jsonl", week=lambda number: None if number < 6 else 8 + number % 3)
    series = curate.compare(make_side(tmp_path, "run", corpus), time_column="week").series
    assert series.steps == ("8", "9", "10") and series.without_time == 6


def test_prices_stand_beside_bits_and_the_front_is_marked(checkpoints, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "step-0: {tokens_per_second: 1000, dollars_per_hour: 3.6}\n"
        "step-1: {dollars_per_million_tokens: 0.5}\n"
        "step-2: {dollars_per_million_tokens: 2}\n"
    )
    found = curate.compare(checkpoints[:3], cost=prices).costs
    assert [one.dollars_per_billion_tokens for one in found] == pytest.approx([1000, 500, 2000])
    assert [one.on_front for one in found] == [False, True, True], "the first costs more than the second and says less"
    side = curate.compare(checkpoints[:2]).sides[0]
    assert found[0].dollars_per_gigabyte == pytest.approx(1000 * side.tokens / side.bytes)
    code, screen = run_cli(*checkpoints[:3], "--cost", prices)
    assert code == 0 and screen.count("on the front") == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "step-0: {tokens_per_second: 0, dollars_per_hour: 1}",
        "step-0: {dollars_per_hour: 1}",
        "step-0: {dollars_per_million_tokens: cheap}",
        "step-0: {dollars_per_million_tokens: 1}",
        "{",
    ],
)
def test_a_file_without_a_price_for_each_side_is_refused(checkpoints, tmp_path, text):
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(UsageError, match="--cost"):
        curate.compare(checkpoints[:2], cost=tmp_path / "prices.yaml")


def test_held_out_text_that_costs_less_or_is_shared_is_a_leak(tmp_path):
    training = make_side(tmp_path, "training", write_corpus(tmp_path / "a.jsonl", count=300))
    fresh = make_side(tmp_path, "fresh", write_corpus(tmp_path / "b.jsonl", count=300, first=5000))
    seen = make_side(tmp_path, "seen", tmp_path / "b.jsonl", lambda _: -0.5)
    heart = make_side(tmp_path, "heart", tmp_path / "b.jsonl", lambda number: -9 if number % 30 == 0 else 0.1)
    half = make_side(tmp_path, "half", write_corpus(tmp_path / "c.jsonl", count=300, first=270))
    assert curate.compare([training, fresh], leak=True, tolerance="99%").exit_code == 0
    for side, words in ((seen, "costs less"), (heart, "known by heart"), (half, "in both")):
        found = curate.compare([training, side], leak=True, tolerance="99%")
        assert len(found.leak.alarms) == 1 and words in found.leak.alarms[0]
        assert found.exit_code == 4 and curate.compare([training, side], leak=True).exit_code == 0
    assert "no sign" in run_cli(training, fresh, "--leak")[1]


def test_a_series_has_its_numbers_in_json(checkpoints):
    code, text = run_cli(*checkpoints, "--time", "--json")
    found = json.loads(text)
    assert code == 0 and len(found["series"]["all"]["levels"]) == 5 and not found["pairs"]
