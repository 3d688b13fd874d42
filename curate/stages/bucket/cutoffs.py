"""Cut-offs between buckets: values of a column within groups of documents, saved to be used on a later corpus.

A value below the first cut is in the first bucket; one that equals a cut is in the bucket above it: head < cut₁ ≤
middle < cut₂ ≤ tail. CCNet's cuts (Wenzek et al. 2020, arXiv 1911.00359) are the 30th and the 60th percentile of
perplexity, within a language: the value at place ⌊p·n + ½⌋ of the n values of the group, counted from 0. k quantiles
cut at the places ⌈j·n / k⌉, so that sizes differ by at most one; where equal values lie on both sides of such a place,
the first of them in the order of the corpus stay below. Values alone cannot say which: cut-offs that are applied, be it
to the corpus that they were made of, put all values that equal a cut above it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import UsageError
from curate.rundir import quantiles as rundir_quantiles
from curate.runtime.arrays import Float64Array, Int64Array
from curate.runtime.disk import files

FORMAT = "curate cut-offs 1"
CCNET = {"head": Fraction(3, 10), "middle": Fraction(6, 10), "tail": Fraction(1)}
UNKNOWN = "unknown"
TOKENISED = {"perplexity", "nats", "first_nats", "max_nats", "tokens", "windows"}
"""Columns that cannot be compared between tokenizers."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Where buckets end, for each group."""

    scheme: str
    by: str
    within: tuple[str, ...]
    names: tuple[str, ...]
    """Of the buckets, the lowest values first."""
    groups: Mapping[str, tuple[float, ...]]
    """For each group one cut fewer than there are buckets."""
    reference: Mapping[str, Any]
    """The model and the tokenizer whose numbers were cut."""

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "scheme": self.scheme,
            "by": self.by,
            "within": list(self.within),
            "buckets": list(self.names),
            "reference": dict(self.reference),
            "groups": {name: list(values) for name, values in self.groups.items()},
        }


def names_of(quantiles: int | None) -> tuple[str, ...]:
    """Return the names of the buckets: head, middle, tail; or q1 … qk."""
    return tuple(CCNET) if quantiles is None else tuple(f"q{number}" for number in range(1, quantiles + 1))


def places_of(count: int, quantiles: int | None) -> list[int]:
    """Return the positions in a group of ``count`` values at which its buckets begin, but for the first."""
    if quantiles is None:
        return [math.floor(share * count + Fraction(1, 2)) for share in list(CCNET.values())[:-1]]
    return [-(-number * count // quantiles) for number in range(1, quantiles)]


def find_cutoffs(
    passes: rundir_quantiles.Passes, counts: Int64Array, quantiles: int | None
) -> tuple[Float64Array, Int64Array]:
    """Return the cuts of each group, and how many of the values that equal a cut stay below it: both group × cut.

    A position beyond the last value is cut just above that value; of infinity, which has nothing above, all stay below.
    """
    places = [places_of(int(count), quantiles) for count in counts]
    wanted = {
        group: [min(place, int(counts[group]) - 1) for place in own]
        for group, own in enumerate(places)
        if counts[group]
    }
    found = rundir_quantiles.find_cuts(passes, wanted)
    size = (len(counts), len(names_of(quantiles)) - 1)
    values, ties = np.full(size, np.inf), np.zeros(size, np.int64)
    for group, own in enumerate(places):
        for number, place in enumerate(own):
            if not counts[group]:
                continue
            cut = found[group, min(place, int(counts[group]) - 1)]
            beyond = place >= counts[group]
            values[group, number] = math.nextafter(cut.value, math.inf) if beyond else cut.value
            ties[group, number] = counts[group] if beyond else 0 if quantiles is None else place - cut.below
    return values, ties


class Assigner:
    """Gives the bucket of each document, part by part: its number, or the number of buckets for an unknown group."""

    def __init__(self, values: Float64Array, ties: Int64Array):
        self._values, self._ties = values, ties
        self._seen = np.zeros_like(ties)

    def assign(self, values: Float64Array, group: Int64Array) -> Int64Array:
        """Return the buckets of some values (no NaN), none of none; a group of −1 is not known."""
        out = np.full(len(values), self._values.shape[1] + 1, np.int64)
        if not len(values):
            return out
        order = np.argsort(group, kind="stable")
        present, begins = np.unique(group[order], return_index=True)
        for own, places in zip(present.tolist(), np.split(order, begins[1:]), strict=True):
            if own >= 0:
                out[places] = self._assign(values[places], own)
        return out

    def _assign(self, values: Float64Array, group: int) -> Int64Array:
        found = np.zeros(len(values), np.int64)
        for number, cut in enumerate(self._values[group]):
            above = values > cut
            equal = np.flatnonzero(values == cut)
            first = self._ties[group, number] - self._seen[group, number]
            above[equal[max(int(first), 0) :]] = True
            self._seen[group, number] += len(equal)
            found += above
        return found


def write_cutoffs(path: Path, cutoffs: Cutoffs) -> None:
    """Write cut-offs as JSON, to be read by ``load_cutoffs``."""
    files.write_json(path, cutoffs.as_json())


def load_cutoffs(path: Path) -> Cutoffs:
    """Read cut-offs from a file. Raises UsageError where it cannot be read, or was not written by ``write_cutoffs``."""
    hint = "a file that curate bucket wrote: RUN/cutoffs.json, or that of --save-cutoffs"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError("another format")
        groups = {str(name): tuple(float(value) for value in own) for name, own in found["groups"].items()}
        names = tuple(str(name) for name in found["buckets"])
        if not names or not groups or any(len(own) != len(names) - 1 for own in groups.values()):
            raise ValueError("cuts and buckets do not fit together")
        if not all(list(own) == sorted(own) for own in groups.values()):
            raise ValueError("cuts that do not rise")
        within = tuple(str(name) for name in found["within"])
        return Cutoffs(str(found["scheme"]), str(found["by"]), within, names, groups, dict(found["reference"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be used as cut-offs: {type(error).__name__}: {error}", hint) from error


def check_reference(cutoffs: Cutoffs, reference: Mapping[str, Any], path: Path) -> str | None:
    """Return a warning where cut-offs are of another model, else None.

    Raises UsageError where they are of numbers under another tokenizer, which cannot be compared.
    """
    theirs, ours = cutoffs.reference, reference
    if cutoffs.by in TOKENISED and theirs.get("tokenizer") != ours.get("tokenizer"):
        message = (
            f"{path} cuts {cutoffs.by} under {theirs.get('model')} (tokenizer {str(theirs.get('tokenizer'))[:8]}…); "
            f"the scores are of {ours.get('model')} (tokenizer {str(ours.get('tokenizer'))[:8]}…): "
            "they cannot be compared"
        )
        raise UsageError(message, "make cut-offs of bits per byte (--by bpb), or of these scores")
    if cutoffs.by in TOKENISED | {"bits_per_byte"} and not _is_one_model(theirs, ours):
        return f"the cut-offs are of {theirs.get('model')}, another model: it may find everything easier or harder"
    return None


def _is_one_model(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two references are of the same weights; their names count where there are no fingerprints."""
    known = one.get("weights") is not None and other.get("weights") is not None
    keys = ("weights", "tokenizer") if known else ("model", "revision", "tokenizer")
    return all(one.get(key) == other.get(key) for key in keys)


def groups_of(known: Sequence[str], names: Sequence[str]) -> Int64Array:
    """Return for each of ``names`` its index in ``known``, −1 for none."""
    index_of = {name: index for index, name in enumerate(known)}
    return np.array([index_of.get(name, -1) for name in names], np.int64)
