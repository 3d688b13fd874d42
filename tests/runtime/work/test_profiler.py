"""Where the time went: spans are counted once, in the thread that does the work, and change nothing."""

import re
import threading
import time
from types import SimpleNamespace

import pytest
from helpers import models
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.reference import LOADING
from curate.runtime.work import profiler


def test_an_inner_span_is_not_counted_twice():
    with profiler.measure_spans() as watch:
        with profiler.span("outer"):
            time.sleep(0.03)
            with profiler.span("inner"):
                time.sleep(0.06)
            time.sleep(0.03)
        time.sleep(0.02)
    assert watch.here["inner"] >= 0.06 and watch.here["outer"] >= 0.06
    assert watch.here["inner"] + watch.here["outer"] <= watch.seconds - 0.02
    assert watch.seconds == watch.seconds, "it has stopped"


def test_other_threads_are_told_apart():
    def work():
        with profiler.span("tokenise"):
            time.sleep(0.02)

    with profiler.measure_spans() as watch:
        thread = threading.Thread(target=work)
        thread.start()
        with profiler.span("wait"):
            thread.join()
    assert list(watch.here) == ["wait"] and list(watch.other_threads) == ["tokenise"]


def test_a_span_that_fails_is_counted_and_its_failure_passes():
    with profiler.measure_spans() as watch, pytest.raises(KeyError), profiler.span("forward"):
        raise KeyError
    assert watch.here["forward"] > 0


def test_nobody_measures_nothing_is_kept():
    with profiler.span("before"):
        pass
    with profiler.measure_spans() as watch:
        pass
    with profiler.span("after"):
        pass
    assert not watch.here and watch.idle() is None


def test_the_time_of_a_device_is_taken_from_its_events(monkeypatch):
    """Premise: events on the stream of the device stand at 0, 400, 500, 900 milliseconds of its own time."""
    clock = iter([0.0, 400.0, 500.0, 900.0])

    def record(device):
        now = next(clock)
        return SimpleNamespace(now=now, synchronize=lambda: None, elapsed_time=lambda later: later.now - now)

    monkeypatch.setattr(profiler, "_record_event", record)
    cuda = SimpleNamespace(type="cuda")
    with profiler.measure_spans() as watch:
        for name in ("forward", "head"):
            with profiler.span(name, cuda):
                pass
    found = profiler.describe_profile(watch)
    assert found["device"] == pytest.approx({"forward": 0.4, "head": 0.4}) and found["idle"] == pytest.approx(1 / 9)
    assert "the device had none for 11.1% of the time" in profiler.render_profile(found)[-1]


def test_the_start_has_a_line_of_its_own_where_passes_of_the_self_check_count_for_it(monkeypatch):
    clock = iter([0.0, 0.0, 2.0, 2.0, 2.5, 3.5, 4.0, 6.0])  # seconds at which spans begin and end
    monkeypatch.setattr(profiler.time, "perf_counter", lambda: next(clock))
    with profiler.measure_spans() as started:
        with profiler.span("torch"):
            pass
        with profiler.span("self-check"), profiler.span("forward"):
            pass
    start = profiler.describe_start(started, ("torch", "self-check"))
    assert start == {"seconds": 6.0, "here": {"torch": 2.0, "self-check": 2.0}}
    profile = {"seconds": 1.0, "here": {}, "beside": {}, "device": {}, "idle": None, "start": start}
    assert profiler.render_profile(profile)[0] == "start-up    6.0 s: torch 2.0 s   self-check 2.0 s   other 2.0 s"


def test_a_long_run_keeps_few_events_and_all_of_their_time(monkeypatch):
    """Premise: each span takes 2 milliseconds of the device's time and 3 more pass until the next."""
    clock = iter(range(10**6))

    def record(device):
        tick = next(clock)
        now = 5.0 * (tick // 2) + 2.0 * (tick % 2)
        later = {"query": lambda: True, "synchronize": lambda: None, "elapsed_time": lambda other: other.now - now}
        return SimpleNamespace(now=now, **later)

    monkeypatch.setattr(profiler, "_record_event", record)
    with profiler.measure_spans() as watch:
        for number in range(5000):
            with profiler.span("forward" if number % 2 else "head", SimpleNamespace(type="cuda")):
                pass
            with profiler.span("forward", SimpleNamespace(type="cpu")):
                pass
        assert len(watch._events) <= profiler.MANY and len(watch._busy) <= profiler.MANY
    assert watch.device_seconds() == pytest.approx({"forward": 5.0, "head": 5.0})
    assert watch.idle() == pytest.approx(1 - 10 / (4999 * 0.005 + 0.002))


def test_a_processor_idles_between_its_spans():
    with profiler.measure_spans() as watch:
        with profiler.span("forward", SimpleNamespace(type="cpu")):
            pass
        assert watch.idle() == pytest.approx(0)
        (begin, end), length = watch._busy[0], 1.0
        watch._busy[:] = [(begin, begin + length), (begin + 1.5 * length, begin + 2 * length)]
    assert end > begin and watch.idle() == pytest.approx(0.25)


def test_score_prints_where_the_time_went_and_scores_the_same(tmp_path, sample_corpus):
    model = str(models.save(tmp_path / "model", "llama"))
    words = ["score", str(sample_corpus / "leaks.jsonl"), "--model", model, "--exact", "--truncate", "64"]
    done = CliRunner().invoke(app, [*words, "--run", str(tmp_path / "told"), "--profile"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("profile"))
    told = " ".join(lines[first : first + 6])
    for name in ("forward", "head", "wait", "pack", "write", "other", "read", "tokenise", "signals"):
        assert f"{name} " in told, name
    assert re.match(r"start-up +\d+\.\d s", lines[first - 1])
    assert "in other threads:" in told and "the device had none for" in told
    plain = curate.score(
        [str(sample_corpus / "leaks.jsonl")], model=model, run=str(tmp_path / "plain"), exact=True, truncate=64
    )
    assert plain.profile is None and plain.as_dict()["profile"] is None
    again = curate.score(
        [str(sample_corpus / "leaks.jsonl")], model=model, run=str(tmp_path / "again"), exact=True, truncate=64,
        profile=True,
    )  # fmt: skip
    assert again.profile["start"]["here"].keys() == {*LOADING}
    parts = [sorted((tmp_path / name / "scores").glob("*.parquet")) for name in ("told", "plain")]
    assert parts[0] and [one.read_bytes() for one in parts[0]] == [one.read_bytes() for one in parts[1]]


def test_profiles_of_one_process_are_added_up_and_idle_shares_weigh_by_time():
    first = {"seconds": 1.0, "here": {"a": 0.5}, "beside": {}, "device": {}, "idle": 0.4, "apart": {}}
    second = {
        "seconds": 3.0,
        "here": {"a": 1.0, "b": 2.0},
        "beside": {"c": 1.0},
        "device": {},
        "idle": 0.0,
        "apart": {},
    }
    merged = profiler.merge_profiles(profiler.merge_profiles(None, first), second)
    assert merged == {
        "seconds": 4.0, "here": {"a": 1.5, "b": 2.0}, "beside": {"c": 1.0}, "device": {}, "idle": 0.1, "apart": {},
    }  # fmt: skip
    assert profiler.merge_profiles({**first, "idle": None}, {**second, "idle": None})["idle"] is None
