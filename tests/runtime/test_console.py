"""What a person sees while work goes on: nothing by default, else labelled lines, warnings and progress on stderr."""

import pytest

from curate.runtime import console


@pytest.fixture(autouse=True)
def speaking():
    console.enable()
    yield
    console.enable(False)


def test_lines_go_to_stderr_and_what_does_not_fit_is_indented_below(capsys):
    console.say("reading", "corpus/   3 files")
    console.warn("one row is unreadable")
    console.show("a block\n  as it stands")
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err == "reading     corpus/   3 files\nwarning: one row is unreadable\na block\n  as it stands\n"
    console.say("reading", "word " * 30)
    first, second = capsys.readouterr().err.splitlines()
    assert len(first) <= console.WIDTH and second.startswith(" " * 12 + "word")


def test_a_silent_console_prints_nothing_and_silence_ends_with_its_block(capsys):
    with console.silence():
        assert not console.is_enabled()
        console.say("a", "b")
        console.warn("c")
        console.show("d")
    assert console.is_enabled() and capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="stops"), console.silence():
        raise ValueError("stops")
    assert console.is_enabled()


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (412_118, "412,118"), (999_999.4, "999,999"), (1_000_000, "1.0 M"), (1_949_000, "1.9 M"),
     (123_400_000, "123 M"), (2.4e9, "2.4 B"), (3e12, "3.0 T")],
)  # fmt: skip
def test_counts_are_exact_up_to_a_million(number, text):
    assert console.format_count(number) == text


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0 bytes"), (999, "999 bytes"), (4200, "4.2 kB"), (1.93e9, "1.93 GB"), (5e12, "5 TB")]
)
def test_sizes_are_in_powers_of_ten(octets, text):
    assert console.format_size(octets) == text


def test_seconds_are_hours_minutes_seconds():
    assert [console.format_clock(seconds) for seconds in (0, 59.9, 60, 3661, 360_000)] == [
        "0:00:00", "0:00:59", "0:01:00", "1:01:01", "100:00:00"
    ]  # fmt: skip


def test_progress_tells_rates_and_the_time_that_is_left(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    bar = console.Progress("scoring", total_bytes=1000, resumed_bytes=200, started=now, _spoken=now)
    now = 110.0
    bar.advance(documents=50, tokens=2000, done_bytes=200)
    assert capsys.readouterr().err == ""  # A log gets a line every thirty seconds.
    assert bar.seconds_left() == 30.0
    now = 140.0
    bar.advance(documents=50, tokens=2000, done_bytes=200)
    line = "scoring     60%   100 docs   2 docs/s   100 tok/s   0:00:40 left\n"
    assert capsys.readouterr().err == line


def test_progress_of_unknown_size_tells_the_time_that_it_took(monkeypatch):
    monkeypatch.setattr(console.time, "monotonic", lambda: 110.0)
    bar = console.Progress("scoring", total_bytes=None, documents=10, started=100.0)
    assert bar.line() == "10 docs   1 docs/s   0:00:10" and bar.share() == "" and bar.seconds_left() is None
