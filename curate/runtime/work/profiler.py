"""A profiler of named spans, each counted in the thread that runs it.

    with measure_spans() as watch:      # what ``--profile`` does
        with span("forward", device):   # anywhere below; costs nothing without ``measure_spans``
            ...

Spans may nest; the seconds of an inner span do not count for the outer one. A CUDA device runs kernels after they are
launched, so a span that names one takes the seconds from events on the device's stream. The events are read late, and
the device never waits for them.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MANY = 1000  # spans of a device that are kept separately; older ones are summed


@dataclass(slots=True)
class Profiler:
    """Seconds by the name of the span: in this thread, in other threads and processes, and on the device."""

    owner: int
    """The thread that opened the profiler."""
    began: float
    """Time of the clock at which it was opened."""
    here: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds in the thread that opened the profiler."""
    other_threads: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds in all other threads, summed."""
    other_processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What other processes measured (``describe_profile``), by their device."""
    ended: float | None = None
    """Time of the clock at which it was closed; None while it is open."""
    _lock: Any = field(default_factory=threading.Lock)
    _events: list[tuple[str, Any, Any]] = field(default_factory=list)
    _busy: list[tuple[float, float]] = field(default_factory=list)
    _first: Any = None
    """The first event of the device."""
    _past: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def seconds(self) -> float:
        """Seconds since the profiler was opened, or until it was closed."""
        return (time.perf_counter() if self.ended is None else self.ended) - self.began

    def add(self, name: str, seconds: float) -> None:
        """Add the seconds of a span of this thread."""
        kind = self.here if threading.get_ident() == self.owner else self.other_threads
        with self._lock:
            kind[name] += seconds

    def add_events(self, name: str, begin: Any, end: Any) -> None:
        """Add a span on a CUDA device between two events."""
        with self._lock:
            self._first = begin if self._first is None else self._first
            self._events.append((name, begin, end))
            if len(self._events) > MANY and self._events[MANY // 2][2].query():
                for past, first, last in self._events[: MANY // 2]:
                    self._past[past] += first.elapsed_time(last) / 1000
                del self._events[: MANY // 2]

    def add_busy(self, begin: float, end: float) -> None:
        """Add a span on another device, from and to a time of the clock."""
        with self._lock:
            self._busy.append((begin, end))
            if len(self._busy) > MANY:  # one span from the first begin, as long as their sum
                first = min(begin for begin, _ in self._busy[:-1])
                self._busy[:-1] = [(first, first + sum(end - begin for begin, end in self._busy[:-1]))]

    def device_seconds(self) -> dict[str, float]:
        """Return seconds by name on the CUDA device, from its events; an empty dict where the clock timed the spans."""
        found: dict[str, float] = defaultdict(float, self._past)
        for name, begin, end in self._events:
            end.synchronize()
            found[name] += begin.elapsed_time(end) / 1000
        return dict(found)

    def idle(self) -> float | None:
        """Return the idle share of the device between its first span and its last; None where it had no span."""
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
def measure_spans() -> Iterator[Profiler]:
    """Yield a profiler of the spans of the block, in every thread."""
    global _watch
    before, _watch = _watch, Profiler(threading.get_ident(), time.perf_counter())
    mine = _watch
    try:
        yield mine
    finally:
        mine.ended, _watch = time.perf_counter(), before


@contextmanager
def span(name: str, device: Any = None) -> Iterator[None]:
    """Count the time of the block under a name; ``device`` is the torch device that works in it, if any."""
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
    """Return whether a profiler is open."""
    return _watch is not None


def add_process_profile(name: str, profile: dict[str, Any]) -> None:
    """Keep what another process measured (its ``describe_profile``) in the open profiler, if one is open."""
    if _watch is not None:
        profiles = _watch.other_processes
        profiles[name if name not in profiles else f"{name} ({len(profiles) + 1})"] = profile


def _record_event(device: Any) -> Any:
    """Return an event recorded on the current stream of a CUDA device."""
    import torch

    event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def describe_start(watch: Profiler, loading: Sequence[str]) -> dict[str, Any]:
    """Return the seconds of starting up, in all and by the names in ``loading``; other spans are of the self-check."""
    seconds: dict[str, float] = defaultdict(float)
    for name, spent in watch.here.items():
        seconds[name if name in loading else "self-check"] += spent
    return {"seconds": watch.seconds, "here": dict(seconds)}


def describe_profile(watch: Profiler) -> dict[str, Any]:
    """Return what ``--profile`` writes: seconds by name in threads and on the device, and the idle share.

    ``here`` is the thread that opened the profiler, ``beside`` the other threads, ``apart`` the other processes.
    """
    return {
        "seconds": watch.seconds,
        "here": dict(watch.here),
        "beside": dict(watch.other_threads),
        "device": watch.device_seconds(),
        "idle": watch.idle(),
        "apart": dict(watch.other_processes),
    }


def merge_profiles(first: dict[str, Any] | None, second: dict[str, Any]) -> dict[str, Any]:
    """Return two profiles of one process (``describe_profile``), of which the second came later, as one."""
    if first is None:
        return second
    merged: dict[str, Any] = {"seconds": first["seconds"] + second["seconds"], "apart": {}}
    for kind in ("here", "beside", "device"):
        names = {**first[kind], **second[kind]}
        merged[kind] = {name: first[kind].get(name, 0.0) + second[kind].get(name, 0.0) for name in names}
    idle = [(each["idle"], each["seconds"]) for each in (first, second) if each["idle"] is not None]
    total = sum(seconds for _, seconds in idle)
    merged["idle"] = sum(share * seconds for share, seconds in idle) / total if total else None
    return merged


def render_profile(profile: dict[str, Any]) -> list[str]:
    """Return lines with shares of the total time, the largest first; time outside of spans is ``other``.

    Each other process has one line: its device's shares, or those of its main thread. ``start`` (``describe_start``),
    where it is there, has a line of its own, before.
    """
    total = max(profile["seconds"], 1e-9)
    here = dict(profile["here"])
    here["other"] = max(0.0, total - sum(here.values()))
    lines = []
    if start := profile.get("start"):
        spelled = _seconds(start["here"], start["seconds"])
        lines.append(f"start-up    {start['seconds']:.1f} s{f': {spelled}' if spelled else ''}")
    lines.append(f"profile     {_shares(here, total)}")
    if profile["beside"]:
        lines.append(f"            meanwhile, in other threads: {_shares(profile['beside'], total)}")
    if profile["device"]:
        lines.append(f"            on the device: {_shares(profile['device'], total)}")
    if profile["idle"] is not None:
        lines.append(
            f"            from its first pack to its last the device had none for {profile['idle']:.1%} of the time"
        )
    for name, other in profile.get("apart", {}).items():
        spent = _shares(other["device"] or other["here"], max(other["seconds"], 1e-9))
        idle = "" if other["idle"] is None else f"   without a pack {other['idle']:.1%}"
        lines.append(f"            {name}: {spent}{idle}")
    return lines


def _seconds(named: dict[str, float], total: float) -> str:
    """Return the seconds by name and of the rest, the longest first, without what rounds to nothing."""
    parts = {**named, "other": total - sum(named.values())}
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return "   ".join(f"{name} {spent:.1f} s" for name, spent in ordered if spent >= 0.05)


def _shares(seconds: dict[str, float], total: float) -> str:
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return "   ".join(f"{name} {value / total:.1%}" for name, value in ordered)
