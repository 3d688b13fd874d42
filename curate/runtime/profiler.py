"""Where the time of a run goes: spans of work by name, each in the thread that does it.

    with measuring() as watch:          # what ``--profile`` does
        with span("forward", device):   # anywhere below; costs nothing while nobody measures
            ...

Spans may nest, and a span's seconds are its own: what an inner one took is not counted twice. On a CUDA device work is
given out and done at different times, so a span that names one takes the seconds from events on the device's stream,
which are read when they are long past or the watch is, and never makes the device wait.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MANY = 1000  # spans of a device that are kept one by one; older ones are added up


@dataclass(slots=True)
class Profiler:
    """What was measured: seconds by the name of the span, of the thread that opened the watch and of all others."""

    owner: int
    began: float
    here: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    beside: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    ended: float | None = None
    _lock: Any = field(default_factory=threading.Lock)
    _events: list[tuple[str, Any, Any]] = field(default_factory=list)
    _busy: list[tuple[float, float]] = field(default_factory=list)
    _first: Any = None  # the first event of the device
    _past: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    apart: dict[str, dict[str, Any]] = field(default_factory=dict)  # what other processes measured, by their device

    @property
    def seconds(self) -> float:
        """How long the watch ran."""
        return (time.perf_counter() if self.ended is None else self.ended) - self.began

    def add(self, name: str, seconds: float) -> None:
        kind = self.here if threading.get_ident() == self.owner else self.beside
        with self._lock:
            kind[name] += seconds

    def add_events(self, name: str, begin: Any, end: Any) -> None:
        with self._lock:
            self._first = begin if self._first is None else self._first
            self._events.append((name, begin, end))
            if len(self._events) > MANY and self._events[MANY // 2][2].query():
                for past, first, last in self._events[: MANY // 2]:
                    self._past[past] += first.elapsed_time(last) / 1000
                del self._events[: MANY // 2]

    def add_busy(self, begin: float, end: float) -> None:
        with self._lock:
            self._busy.append((begin, end))
            if len(self._busy) > MANY:  # one span from the first begin, as long as all of them together
                first = min(begin for begin, _ in self._busy[:-1])
                self._busy[:-1] = [(first, first + sum(end - begin for begin, end in self._busy[:-1]))]

    def device_seconds(self) -> dict[str, float]:
        """Seconds by name on the device, from its events; empty where spans were timed by the clock."""
        found: dict[str, float] = defaultdict(float, self._past)
        for name, begin, end in self._events:
            end.synchronize()
            found[name] += begin.elapsed_time(end) / 1000
        return dict(found)

    def idle(self) -> float | None:
        """The share of the time between the device's first span and its last in which it had none; None without one."""
        if self._events:
            first, last = self._first, self._events[-1][2]
            last.synchronize()
            whole, busy = first.elapsed_time(last) / 1000, sum(self.device_seconds().values())
        elif self._busy:
            whole = max(end for _, end in self._busy) - min(begin for begin, _ in self._busy)
            busy = sum(end - begin for begin, end in self._busy)
        else:
            return None
        return max(0.0, 1 - busy / whole) if whole > 0 else 0.0


_watch: Profiler | None = None
_inner = threading.local()


@contextmanager
def measuring() -> Iterator[Profiler]:
    """Measure the spans of the block, in every thread."""
    global _watch
    before, _watch = _watch, Profiler(threading.get_ident(), time.perf_counter())
    mine = _watch
    try:
        yield mine
    finally:
        mine.ended, _watch = time.perf_counter(), before


@contextmanager
def span(name: str, device: Any = None) -> Iterator[None]:
    """Count the time of the block under a name; ``device`` is the torch device that works meanwhile, if one does."""
    watch = _watch
    if watch is None:
        yield
        return
    on_cuda = getattr(device, "type", None) == "cuda"
    events = _record_event(device) if on_cuda else None
    outer = getattr(_inner, "seconds", 0.0)
    _inner.seconds = 0.0
    began = time.perf_counter()
    try:
        yield
    finally:
        ended = time.perf_counter()
        watch.add(name, ended - began - _inner.seconds)
        _inner.seconds = outer + ended - began
        if events is not None:
            watch.add_events(name, events, _record_event(device))
        elif device is not None:
            watch.add_busy(began, ended)


def is_measuring() -> bool:
    """Whether anybody measures."""
    return _watch is not None


def add_apart(name: str, found: dict[str, Any]) -> None:
    """Keep what another process measured (``describe``) beside what is measured here."""
    if _watch is not None:
        _watch.apart[name if name not in _watch.apart else f"{name} ({len(_watch.apart) + 1})"] = found


def _record_event(device: Any) -> Any:
    """An event on the stream of a CUDA device, now."""
    import torch

    event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def describe(watch: Profiler) -> dict[str, Any]:
    """What ``--profile`` prints and keeps: seconds by name here and beside, the device's, and the share it idled."""
    return {
        "seconds": watch.seconds,
        "here": dict(watch.here),
        "beside": dict(watch.beside),
        "device": watch.device_seconds(),
        "idle": watch.idle(),
        "apart": dict(watch.apart),
    }


def render(found: dict[str, Any]) -> list[str]:
    """Lines for a person: shares of the whole time, the largest first; what is in no span is ``other``.

    Of each other process there is a line of its own: what its main thread, or its device, did.
    """
    whole = max(found["seconds"], 1e-9)
    here = dict(found["here"])
    here["other"] = max(0.0, whole - sum(here.values()))
    lines = [f"profile     {_shares(here, whole)}"]
    if found["beside"]:
        lines.append(f"            meanwhile, in other threads: {_shares(found['beside'], whole)}")
    if found["device"]:
        lines.append(f"            on the device: {_shares(found['device'], whole)}")
    if found["idle"] is not None:
        lines.append(
            f"            from its first pack to its last the device had none for {found['idle']:.1%} of the time"
        )
    for name, other in found.get("apart", {}).items():
        spent = _shares(other["device"] or other["here"], max(other["seconds"], 1e-9))
        idle = "" if other["idle"] is None else f"   without a pack {other['idle']:.1%}"
        lines.append(f"            {name}: {spent}{idle}")
    return lines


def _shares(seconds: dict[str, float], whole: float) -> str:
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return "   ".join(f"{name} {value / whole:.1%}" for name, value in ordered)
