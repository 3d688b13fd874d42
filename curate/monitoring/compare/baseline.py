"""``baseline.json``: what a later comparison needs of a side, small enough to be committed to git.

    format, made_by, version, label, model, identity (of the reading), within, windows, counts
    all, groups     name, units, documents, nats, tokens, bytes, squares (of the sums of units), quantiles (0 … 100 %)
    documents       up to MOST_PAIRED of them, to pair a later side with: hash, group, nats, tokens, bytes

``squares`` give the standard error of both measures (nats², nats · tokens, tokens², nats · bytes, bytes²). A file of a
later format is refused, never misread.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import TableError, UsageError
from curate.monitoring.compare.documents import DocumentBatch, Grouping
from curate.monitoring.compare.measures import UNIT_COLUMNS
from curate.monitoring.compare.pairing import SideUnits
from curate.monitoring.compare.totals import MEASURES, estimate_quantiles
from curate.rundir.run import compute_fingerprint
from curate.runtime.arrays import Float64Array
from curate.runtime.text import fold_whitespace
from curate.runtime.version import __version__

FORMAT = 1
CHECKSUM = "checksum"
MADE_BY = "curate compare"
KEYS = ("format", "made_by", "identity", "groups", "all")
"""By which a baseline is known."""
MOST_PAIRED = 1000
"""Documents up to which a baseline keeps each, in some 40 bytes."""
SHARES = np.linspace(0, 1, 101)
SQUARES = ("nats_nats", "nats_tokens", "tokens_tokens", "nats_bytes", "bytes_bytes")
DOCUMENT_KINDS = {"hash": np.uint64, "group": np.int32, "nats": np.float64, "tokens": np.int32, "bytes": np.int32}


@dataclass(frozen=True, slots=True)
class BaselineGroup:
    """What is known of one group of a baseline, or of all."""

    name: str
    units: int
    documents: int
    nats: float
    tokens: float
    bytes: float
    squares: Mapping[str, float]
    quantiles: Mapping[str, Sequence[float]]

    def measure(self, metric: str) -> tuple[float, float]:
        """Return a measure in the unit of differences, and the square of its standard error; infinite for one unit."""
        scale, below = UNIT_COLUMNS[metric]
        total = float(getattr(self, below))
        if not total:
            return math.nan, math.nan
        ratio, squares = self.nats / total, self.squares
        squared = squares["nats_nats"] - 2 * ratio * squares[f"nats_{below}"] + ratio**2 * squares[f"{below}_{below}"]
        factor = self.units / (self.units - 1) if self.units > 1 else math.inf
        return scale * ratio, scale**2 * max(squared, 0.0) / total**2 * factor


@dataclass(frozen=True, slots=True)
class Baseline:
    """A saved side."""

    label: str
    model: str
    identity: Mapping[str, Any]
    within: tuple[str, ...]
    windows: int
    counts: Mapping[str, int]
    all: BaselineGroup
    groups: tuple[BaselineGroup, ...]
    documents: Mapping[str, np.ndarray[Any, np.dtype[Any]]] | None
    """Arrays by the names of ``DOCUMENT_KINDS``; None where there were too many."""

    def read(self, grouping: Grouping) -> Iterator[DocumentBatch]:
        """Yield the documents that are kept, in the groups of ``grouping``."""
        assert self.documents is not None
        held = self.documents
        hashes = held["hash"]
        groups = np.zeros(len(hashes), np.int64)
        if grouping.within:
            numbers = np.array([grouping.number(group.name) for group in self.groups], np.int64)
            groups = numbers[held["group"]] if len(numbers) else groups
        yield DocumentBatch(
            hashes,
            held["nats"],
            held["tokens"].astype(np.int64),
            held["bytes"].astype(np.int64),
            groups,
            hashes,
            np.zeros(len(hashes), np.int64),
            self.windows,
        )


def build_baseline(
    label: str,
    model: str,
    identity: Mapping[str, Any],
    names: Sequence[str],
    within: Sequence[str],
    units: SideUnits,
    batches: Iterator[DocumentBatch] | None,
    counts: Mapping[str, int],
) -> dict[str, Any]:
    """Return the JSON of a baseline.

    ``names`` are those of the groups; ``batches`` are its documents where they are few.
    """
    tables = units.sums.tabulate(len(names))
    units.totals.grow(len(names))
    histograms = units.totals.histograms
    groups = [
        _describe_group(name, tables[index], {measure: histograms[measure][index] for measure in MEASURES})
        for index, name in enumerate(names)
        if len(tables[index])
    ]
    kept = [index for index in range(len(names)) if len(tables[index])]
    everything = {measure: histograms[measure].sum(axis=0) for measure in MEASURES}
    baseline = {
        "format": FORMAT,
        "made_by": MADE_BY,
        "version": __version__,
        "label": label,
        "model": model,
        "identity": dict(identity),
        "within": list(within),
        "windows": units.totals.windows,
        "counts": dict(counts),
        "all": _describe_group("all", tables[-1], everything),
        "groups": groups if within else [],
        "documents": None if batches is None else _pack_documents(batches, kept),
    }
    return {**baseline, CHECKSUM: compute_fingerprint(baseline)}


def spell_baseline(baseline: Mapping[str, Any]) -> bytes:
    """Return the bytes of the file: a line for each group, so that a change in git shows the groups that changed."""
    lines = []
    for key, value in baseline.items():
        if key == "groups" and value:
            rows = ",\n".join(f"  {_spell(one)}" for one in value)
            lines.append(f'"groups": [\n{rows}\n]')
        else:
            lines.append(f"{json.dumps(key)}: {_spell(value)}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")


def _spell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _describe_group(name: str, sums_UC: Float64Array, histograms: Mapping[str, Any]) -> dict[str, Any]:
    documents, nats, tokens, octets = (sums_UC[:, index] for index in range(4))
    products = (nats * nats, nats * tokens, tokens * tokens, nats * octets, octets * octets)
    return {
        "name": name,
        "units": len(sums_UC),
        "documents": int(documents.sum()),
        "nats": float(nats.sum()),
        "tokens": int(tokens.sum()),
        "bytes": int(octets.sum()),
        "squares": {key: float(each.sum()) for key, each in zip(SQUARES, products, strict=True)},
        "quantiles": {
            measure: [float(f"{value:.4g}") for value in estimate_quantiles(histograms[measure], SHARES)]
            for measure in MEASURES
        },
    }


def _pack_documents(batches: Iterator[DocumentBatch], kept: Sequence[int]) -> dict[str, Any] | None:
    place = {number: index for index, number in enumerate(kept)}
    found: list[DocumentBatch] = [batch for batch in batches if len(batch)]
    if sum(map(len, found)) > MOST_PAIRED:
        return None
    names = ("hash", "group", "nats", "tokens", "bytes")
    columns = {
        "hash": [batch.hashes for batch in found],
        "group": [np.array([place[int(number)] for number in batch.groups]) for batch in found],
        "nats": [batch.nats for batch in found],
        "tokens": [batch.tokens for batch in found],
        "bytes": [batch.bytes for batch in found],
    }
    joined = {name: np.concatenate([*columns[name], np.zeros(0)]).astype(DOCUMENT_KINDS[name]) for name in names[1:]}
    joined["hash"] = np.concatenate([*columns["hash"], np.zeros(0, np.uint64)]).astype(np.uint64)
    return {
        name: base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()
        for name, values in sorted(joined.items())
    }


def is_baseline(path: Path) -> bool:
    """Return whether a file is a baseline of some format."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("made_by") == MADE_BY


def load_baseline(path: Path) -> Baseline:
    """Return a saved side. Raises UsageError where the file is no baseline, TableError where it cannot be read."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "curate compare RUN --save baseline.json"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path} is no JSON: {fold_whitespace(str(error))}", _hint(path)) from error
    if not isinstance(value, dict) or value.get("made_by") != MADE_BY:
        raise UsageError(f"{path} is no baseline of curate compare", "curate compare RUN --save baseline.json")
    if value.get("format") != FORMAT:
        message = f"{path} is of format {value.get('format')}, and this version of curate reads format {FORMAT}"
        raise TableError(message, f"use the version that wrote it ({value.get('version')}), or save it again")
    checksum = value.pop(CHECKSUM, None)
    if checksum != compute_fingerprint(value):
        raise TableError(f"{path} was changed since it was saved: its checksum differs", _hint(path))
    try:
        return _read_baseline(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TableError(f"{path} is damaged: {type(error).__name__} {error}", _hint(path)) from error


def _hint(path: Path) -> str:
    return f"restore it from a copy, or save it again: curate compare RUN --save {path}"


def _read_baseline(value: Mapping[str, Any]) -> Baseline:
    packed = value["documents"]
    documents = None
    if packed is not None:
        documents = {
            name: np.frombuffer(base64.b64decode(packed[name], validate=True), np.dtype(kind).newbyteorder("<")).astype(
                kind
            )
            for name, kind in DOCUMENT_KINDS.items()
        }
        if len({len(values) for values in documents.values()}) != 1:
            raise ValueError("its documents have columns of different lengths")
    groups = tuple(_read_group(one) for one in value["groups"])
    if documents is not None and groups and len(documents["group"]) and documents["group"].max() >= len(groups):
        raise ValueError("a document is of a group that is not there")
    return Baseline(
        str(value["label"]),
        str(value["model"]),
        dict(value["identity"]),
        tuple(value["within"]),
        int(value["windows"]),
        {str(key): int(number) for key, number in value["counts"].items()},
        _read_group(value["all"]),
        groups,
        documents,
    )


def _read_group(value: Mapping[str, Any]) -> BaselineGroup:
    squares = {key: float(value["squares"][key]) for key in SQUARES}
    quantiles = {measure: [float(one) for one in value["quantiles"][measure]] for measure in MEASURES}
    units, documents = (int(value[key]) for key in ("units", "documents"))
    nats, tokens, octets = (float(value[key]) for key in ("nats", "tokens", "bytes"))
    return BaselineGroup(str(value["name"]), units, documents, nats, tokens, octets, squares, quantiles)
