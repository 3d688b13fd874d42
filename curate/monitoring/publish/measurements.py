"""The flat list that is published: numbers with their names and labels, and evaluations, one a group."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.monitoring.publish.labels import OTHER, clean_label
from curate.monitoring.publish.metrics import METRICS

FAR = 2**53
"""Whole numbers up to here are exact as floats."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number."""

    name: str
    """A key of ``METRICS``."""
    value: float
    labels: Mapping[str, str]
    """Those that ``METRICS`` has for the name, in its order; empty texts for what a number has not."""

    def as_dict(self) -> dict[str, Any]:
        """Return the number as JSON has it, without the labels that are empty."""
        return {"name": self.name, "value": self.value, "labels": {key: one for key, one in self.labels.items() if one}}

    def spell(self) -> str:
        """Return ``name{label="value"} number`` as Prometheus has it, without the labels that are empty."""
        named = ",".join(f'{key}="{_escape(value)}"' for key, value in self.labels.items() if value)
        return f"{self.name}{{{named}}} {spell_number(self.value)}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"")


def spell_number(value: float) -> str:
    """Return a number in full: a whole one without a point."""
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < FAR else repr(float(value))


@dataclass(frozen=True, slots=True)
class EvaluationEvent:
    """What one measure says of one group of documents, or of all, as an event."""

    measure: str
    """perplexity or bits_per_byte."""
    value: float | None
    """None where it was not measured."""
    domain: str
    """Empty for all documents."""
    documents: int
    verdict: str = ""
    """That of the gate; empty without one."""
    explanation: str = ""


@dataclass(slots=True)
class MeasurementList:
    """Collects numbers. What is no number (NaN, null) is left out, and counted."""

    measurements: list[Measurement] = field(default_factory=list)
    left_out: int = 0

    def add(self, name: str, value: float | None, **labels: str) -> None:
        """Take one number with all labels of its name; their values are cleaned."""
        if value is None or math.isnan(value):
            self.left_out += 1
            return
        kind = METRICS[name]
        if set(labels) != set(kind.labels):
            raise ValueError(f"{name} has the labels {kind.labels}, not {tuple(labels)}")
        cleaned = {key: clean_label(labels[key]) for key in kind.labels}
        self.measurements.append(Measurement(name, float(value), cleaned))


@dataclass(frozen=True, slots=True)
class Publication:
    """All that is published of one run or one comparison."""

    kind: str
    """run or comparison: the label by which its numbers are told from those of others."""
    name: str
    """The value of that label."""
    measurements: tuple[Measurement, ...]
    evaluations: tuple[EvaluationEvent, ...]
    evaluator: str
    """The fingerprint of the model and of how it read; empty where it is not known."""
    identity: Mapping[str, str]
    """What was measured by what: model, tokenizer and more."""
    artefacts: tuple[Path, ...] = ()
    """Pages and JSON files that show more."""
    left_out: int = 0
    """Numbers that were not measured."""
    folded: int = 0
    """Groups that are counted as other."""


def check_unique(measurements: Iterable[Measurement]) -> None:
    """Raise ValueError where two numbers have one name and the same labels, of which a target would lose one."""
    seen = set[tuple[str, ...]]()
    for one in measurements:
        key = (one.name, *one.labels.values())
        if key in seen:
            raise ValueError(f"{one.spell()} is there twice")
        seen.add(key)


def flatten_identity(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the texts and numbers of a nested record, names joined by dots; what is null is left out."""
    found: dict[str, str] = {}
    for key, one in value.items():
        if isinstance(one, Mapping):
            found |= flatten_identity(one, f"{prefix}{key}.")
        elif isinstance(one, (list, tuple)):
            found[f"{prefix}{key}"] = ", ".join(map(str, one))
        elif one is not None:
            found[f"{prefix}{key}"] = str(one)
    return found


def rank_groups(documents: Sequence[int], names: Sequence[str], most: int) -> tuple[list[int], list[int]]:
    """Return the groups that keep their names, in the order given, and those that become other.

    With more than ``most`` groups those with the fewest documents become other, so that ``most`` values are left,
    other among them. One that is called so belongs to them.
    """
    if len(names) <= most:
        return list(range(len(names))), []
    order = sorted(range(len(names)), key=lambda index: (-documents[index], names[index]))
    kept = set([index for index in order if names[index] != OTHER][: most - 1])
    return [index for index in range(len(names)) if index in kept], [
        index for index in range(len(names)) if index not in kept
    ]
