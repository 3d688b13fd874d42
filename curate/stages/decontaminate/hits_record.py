"""What the hits of a run are made from, as ``run.json`` has it: begun, compared, and found to be something else.

One process alone replaces hits that are made from something else. One that scans a share never removes what others
wrote: the first that comes records what the hits are made from, and those that differ are refused by name.
"""

from collections.abc import Mapping
from typing import Any

from curate.errors import TableError
from curate.rundir.run import Run, compute_fingerprint
from curate.runtime.console import format_size
from curate.runtime.text import fold_whitespace, shorten

DEALT = "slice_bytes"
"""The size of the slices in which the corpus was dealt, in the record of hits that are not complete."""
SHOWN = 3
"""Eval sets that a sentence names."""


def begin_hits(
    run: Run, made_from: Mapping[str, Any], parameters: Mapping[str, Any], restart: bool, again: str = "--restart"
) -> str:
    """Return the fingerprint of the hits to make, under which parts that were made from the same are kept.

    Other hits of the run, or with ``restart`` all, are removed, and new ones are recorded as not complete. Raises
    TableError, with the command ``again``, which restarts, where these are of a corpus that was dealt in parts.
    """
    record = describe_hits(made_from, parameters)
    before = run.stage("decontaminate")
    if not restart and before is not None and before.get("fingerprint") == record["fingerprint"]:
        run.discard_damaged_parts("hits", before)
        return str(record["fingerprint"])
    if not restart and before is not None and DEALT in before and not before.get("complete"):
        message = f"parts of the hits in {run.path} are made otherwise: {describe_difference(before, record)}"
        raise TableError(message, f"{again} throws them away")
    run.remove("hits")
    run.save("decontaminate", record)
    return str(record["fingerprint"])


def describe_hits(made_from: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of hits that are not complete."""
    fingerprint = compute_fingerprint([made_from, parameters])
    return {"complete": False, "fingerprint": fingerprint, "made_from": made_from, "parameters": parameters}


def has_begun(run: Run) -> bool:
    """Return whether ``run.json`` says by now, read again, what the hits are made from."""
    run.refresh("decontaminate")
    return run.stage("decontaminate") is not None


def begin_share(
    run: Run, made_from: Mapping[str, Any], parameters: Mapping[str, Any], slice_bytes: int, again: str
) -> str:
    """Return the fingerprint of hits of which other processes make parts too, recorded by the first of them.

    Raises TableError where they are made from something else, or were dealt in slices of another size; ``again`` is the
    plain command that begins anew.
    """
    record = {**describe_hits(made_from, parameters), DEALT: slice_bytes}
    run.refresh("decontaminate")
    before = run.stage("decontaminate")
    if before is None or (DEALT not in before and not before.get("complete")):
        run.amend("decontaminate", lambda now: record if now is None else {DEALT: slice_bytes, **now})
        before = run.stage("decontaminate") or {}
    if before.get("fingerprint") != record["fingerprint"]:
        message = f"the hits in {run.path} are made otherwise: {describe_difference(before, record)}"
        hint = f"{again} begins anew; once it scans it can be stopped, and parts go on from there"
        raise TableError(message, hint)
    if before.get(DEALT, slice_bytes) != slice_bytes:
        message = (
            f"the corpus of {run.path} was dealt in slices of {format_size(before[DEALT])}, and was scored since in "
            f"slices of {format_size(slice_bytes)}"
        )
        raise TableError(message, f"{again.removesuffix(' --restart')} goes on alone, from what is there")
    return str(record["fingerprint"])


def describe_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what differs between two records of hits, as words for people."""
    old, new = before.get("made_from", {}), now["made_from"]
    different = _compare_sets(old.get("evals", {}), new["evals"])
    if old.get("corpus") != new["corpus"]:
        different.append("of another corpus, or one that has changed since")
    if old.get("rule") != new["rule"]:
        different.append("by another version of the rules, or with another --no-code")
    options = {name: (old.get(name), new[name]) for name in ("method", "turns")}
    parameters = before.get("parameters", {})
    options |= {name: (parameters.get(name), value) for name, value in now["parameters"].items()}
    different += [f"with --{name} {was}, now {is_now}" for name, (was, is_now) in options.items() if was != is_now]
    return "; ".join(different) or "by another version"


def _compare_sets(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between the eval sets, by their names and fingerprints."""
    kinds = (
        ("without the eval set{s} {names}", [name for name in now if name not in before]),
        ("with the eval set{s} {names} too", [name for name in before if name not in now]),
        ("from other items of {names}", [name for name in now if name in before and before[name] != now[name]]),
    )
    return [words.format(s="" if len(names) == 1 else "s", names=_join_names(names)) for words, names in kinds if names]


def _join_names(names: list[str]) -> str:
    shown = ", ".join(shorten(fold_whitespace(name), 40) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
