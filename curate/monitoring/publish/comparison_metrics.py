"""The numbers of a comparison, from the JSON of ``curate compare --json``: verdicts, differences, slopes.

Nothing is computed anew: each number is one that the JSON has. Numbers that it has not (null) are left out, but a group
that is missing now still has its gate, 2.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.monitoring.compare.verdicts import combine_verdicts, parse_tolerance
from curate.monitoring.publish.comparison_file import load_comparison, make_damage_error
from curate.monitoring.publish.labels import OTHER, clean_label, name_group
from curate.monitoring.publish.measurements import (
    EvaluationEvent,
    MeasurementList,
    Publication,
    check_unique,
    rank_groups,
)
from curate.monitoring.publish.metrics import CALIBRATION, ENDS, VERDICT_TO_GATE, name_difference
from curate.runtime.numbers import format_figure, format_percent
from curate.runtime.version import __version__

Row = Mapping[str, Any]
"""A row of a pair or of a series, as the JSON has it."""
TO_TELL = ("beyond", "unmeasured", "cannot tell")
"""Verdicts whose groups keep their names before all others."""


def measure_comparison(path: Path, name: str, most: int) -> Publication:
    """Return all numbers of a comparison in a file; ``most`` is the number of values that a label may have.

    Raises UsageError where the file is no comparison, TableError where it is damaged or of another version.
    """
    value = load_comparison(path)
    try:
        return _Reading(path, name, most, value).publish()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise make_damage_error(path, error) from error
    except UsageError as error:  # a tolerance that is none
        raise make_damage_error(path, error) from error


class _Reading:
    """One comparison while its numbers are collected."""

    def __init__(self, path: Path, name: str, most: int, value: Mapping[str, Any]):
        self.path, self.name, self.most, self.value = path, name, most, value
        self.metric = str(value["metric"])
        self.found = MeasurementList()
        self.evaluations: list[EvaluationEvent] = []
        self.folded = 0
        self.sides = name_apart([str(side["label"]) for side in value["sides"]])

    def publish(self) -> Publication:
        """Return what was found."""
        value, found = self.value, self.found
        found.add("curate_last_comparison_timestamp_seconds", os.stat(self.path).st_mtime, comparison=self.name)
        found.add("curate_gate_exit_code", _read_number(value["exit_code"]), comparison=self.name)
        if value.get("tolerance") is not None:
            self.add_tolerance(str(value["tolerance"]))
        if value.get("leak") is not None:
            found.add("curate_leak_alarms", len(value["leak"]["alarms"]), comparison=self.name)
        if value.get("series") is None:
            for side, label in zip(value["sides"], self.sides, strict=True):
                self.add_side(side, label)
            for number, pair in enumerate(value["pairs"]):
                self.add_pair(pair, self.sides[0], self.sides[number + 1])
            self.add_signals()
        else:
            self.add_series(value["series"])
        if value.get("within"):
            found.add("curate_folded_comparison_domains", self.folded, comparison=self.name)
        check_unique(found.measurements)
        return Publication(
            "comparison",
            self.name,
            tuple(found.measurements),
            tuple(self.evaluations),
            str(value["sides"][-1].get("evaluator") or "") if value["sides"] else "",
            dict(self.identify()),
            tuple(self.list_artefacts()),
            found.left_out,
            self.folded,
        )

    def identify(self) -> Iterator[tuple[str, str]]:
        """Yield what was compared with what."""
        yield "version", __version__
        yield "verdict", str(self.value["verdict"] or "none")
        for key in ("metric", "tolerance", "within", "cluster"):
            if self.value.get(key):
                yield key, ",".join(self.value[key]) if isinstance(self.value[key], list) else str(self.value[key])
        ends = [("before", 0), ("after", len(self.sides) - 1)] if self.sides else []
        for what, index in ends:
            for key in ("label", "model", "tokenizer", "evaluator"):
                if self.value["sides"][index].get(key):
                    yield f"{what}.{key}", str(self.value["sides"][index][key])

    def list_artefacts(self) -> Iterator[Path]:
        """Yield the JSON, and the page that was written with it, where it is there."""
        yield self.path
        page = (self.value.get("pages") or {}).get("page")
        if page is not None and Path(page).is_file():
            yield Path(page)

    def add_tolerance(self, text: str) -> None:
        """Add the tolerance in its own unit."""
        tolerance = parse_tolerance(text)
        if tolerance.metric == "perplexity":
            share = float(text.strip().rstrip("%")) / 100
            self.found.add("curate_tolerance_ratio", share, comparison=self.name)
        else:
            self.found.add("curate_tolerance_bits_per_byte", tolerance.half_width, comparison=self.name)

    def add_side(self, side: Row, label: str) -> None:
        """Add what a side sums to."""
        for key in ("documents", "tokens", "perplexity", "bits_per_byte"):
            self.found.add(f"curate_side_{key}", _read_number(side[key]), comparison=self.name, side=label)

    def add_pair(self, pair: Row, before: str, after: str) -> None:
        """Add the rows of two sides."""
        labels = {"comparison": self.name, "before": before, "after": after}
        self.add_row(pair["all"], labels, "")
        self.evaluations.append(self.evaluate(pair["all"], ""))
        kept, folded = self.rank(pair["groups"])
        for row in kept:
            name = name_group(str(row["name"]))
            self.add_row(row, labels, name)
            self.evaluations.append(self.evaluate(row, name))
        if folded:
            self.add_other(folded, labels)

    def add_signals(self) -> None:
        """Add what signals say of two sides: their calibration, and their bits per byte by kind of text."""
        calibration, kinds = self.value.get("calibration"), self.value.get("kinds") or []
        if calibration is None and not kinds:
            return
        labels = {"comparison": self.name, "before": self.sides[0], "after": self.sides[1]}
        for row in calibration["rows"] if calibration is not None else []:
            for of in ("before", "after"):
                self.found.add(CALIBRATION[row["name"]], _read_number(row[of]), **labels, of=of)
        for kind in kinds:
            own = {**labels, "kind": str(kind["kind"])}
            self.found.add("curate_kind_compared_bytes_ratio", _read_number(kind["bytes_share"]), **own)
            for of in ("before", "after"):
                level = _read_number(kind["row"][of])
                self.found.add("curate_kind_compared_bits_per_byte", level, **own, of=of)

    def rank(self, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """Return the rows that keep their names, and those that become other: within first, then the smallest."""
        names = [str(row["name"]) for row in rows]
        largest = 1 + max((_count(row) for row in rows), default=0)
        sizes = [_count(row) + (largest if row.get("verdict") in TO_TELL else 0) for row in rows]
        kept, folded = rank_groups(sizes, names, self.most)
        self.folded = max(self.folded, len(folded))
        return [rows[index] for index in kept], [rows[index] for index in folded]

    def add_row(self, row: Row, labels: Mapping[str, str], domain: str) -> None:
        """Add the numbers of one row: documents, levels, the change with its interval, the verdict."""
        scope, found = "domain_" if domain else "", self.found
        labels = {**labels, "domain": domain} if domain else labels
        for index, of in enumerate(("before", "after")):
            found.add(f"curate_{scope}compared_documents", _read_number(row["documents"][index]), **labels, of=of)
            found.add(f"curate_{scope}compared_{self.metric}", _read_number(row[of]), **labels, of=of)
        self.add_difference(row, "change", labels, bool(domain))
        if row["verdict"] is not None:
            found.add(f"curate_{scope}gate", VERDICT_TO_GATE[row["verdict"]], **labels)

    def add_difference(self, row: Row, what: str, labels: Mapping[str, str], of_group: bool) -> None:
        """Add a change or a slope with the ends of its interval."""
        for end in ENDS:
            value = _read_number(row[f"change{end}"])
            self.found.add(name_difference(self.metric, what, end, of_group), value, **labels)

    def add_other(self, rows: Sequence[Row], labels: Mapping[str, str]) -> None:
        """Add what can be said of several groups at once: their documents, and the verdict on all of them."""
        labels = {**labels, "domain": OTHER}
        for index, of in enumerate(("before", "after")):
            documents = sum(row["documents"][index] for row in rows)
            self.found.add("curate_domain_compared_documents", documents, **labels, of=of)
        verdicts = [row["verdict"] for row in rows if row["verdict"] is not None]
        if verdicts:
            self.found.add("curate_domain_gate", VERDICT_TO_GATE[combine_verdicts(verdicts)], **labels)

    def add_series(self, series: Row) -> None:
        """Add the slopes of a series, and its last step as a pair."""
        self.found.add("curate_series_steps", len(series["steps"]), comparison=self.name)
        before, after = name_apart([str(step) for step in series["steps"]])[-2:]
        labels = {"comparison": self.name, "before": before, "after": after}
        last = {str(row["name"]): row["jumps"][-1] for row in series["groups"]}
        self.add_slope(series["all"], "")
        self.add_row(series["all"]["jumps"][-1], labels, "")
        self.evaluations.append(self.evaluate(series["all"]["jumps"][-1], ""))
        kept, folded = self.rank([_as_ranked(row) for row in series["groups"]])
        for row in kept:
            name, jump = name_group(str(row["name"])), last[str(row["name"])]
            self.add_slope(row, name)
            self.add_row(jump, labels, name)
            self.evaluations.append(self.evaluate(jump, name))
        if folded:
            self.add_other([last[str(row["name"])] for row in folded], labels)
            verdicts = [row["verdict"] for row in folded if row["verdict"] is not None]
            if verdicts:
                worst = VERDICT_TO_GATE[combine_verdicts(verdicts)]
                self.found.add("curate_domain_series_gate", worst, comparison=self.name, domain=OTHER)

    def add_slope(self, row: Row, domain: str) -> None:
        """Add the slope of one row with its interval, and the verdict on it and on all steps."""
        labels = {"comparison": self.name, **({"domain": domain} if domain else {})}
        self.add_difference(row, "slope", labels, bool(domain))
        if row["verdict"] is not None:
            scope = "domain_" if domain else ""
            self.found.add(f"curate_{scope}series_gate", VERDICT_TO_GATE[row["verdict"]], **labels)

    def evaluate(self, row: Row, domain: str) -> EvaluationEvent:
        """Return a row as an event: the measure after, and the verdict with the change that it is about."""
        change, low, high = (_read_number(row[key]) for key in ("change", "change_low", "change_high"))
        words = "no difference could be measured"
        if change is not None:
            ends = ", ".join("unbounded" if end is None else self.spell_change(end) for end in (low, high))
            words = f"{self.spell_change(change)} [{ends}] from {_spell(row['before'])} to {_spell(row['after'])}"
        tolerance = f", tolerance {self.value['tolerance']}" if self.value.get("tolerance") else ""
        documents = int(row["documents"][1])
        value, verdict = _read_number(row["after"]), str(row["verdict"] or "")
        return EvaluationEvent(self.metric, value, clean_label(domain), documents, verdict, f"{words}{tolerance}")

    def spell_change(self, change: float) -> str:
        """Return a change in its unit, with its sign."""
        text = format_percent(abs(change), 2) if self.metric == "perplexity" else f"{abs(change):.4f} bits per byte"
        return f"{'−' if change < 0 else '+'}{text}"


def _as_ranked(row: Row) -> Row:
    """Return a row of a series with the documents of its last two steps, as those of pairs have them."""
    return {**row, "documents": list(row["documents"])[-2:]}


def _count(row: Row) -> int:
    return max(int(number) for number in row["documents"])


def _read_number(value: Any) -> float | None:
    """Return a number of the JSON; None for null. Raises TypeError for a text or a flag."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a number, found {type(value).__name__}")
    return float(value)


def _spell(value: float | None) -> str:
    return "nothing" if value is None else format_figure(value)


def name_apart(labels: Sequence[str]) -> list[str]:
    """Return labels of which no two are equal: the second of a name ends with 2."""
    found: list[str] = []
    for label in labels:
        named, count = label, 1
        while named in found:
            count += 1
            named = f"{label} {count}"
        found.append(named)
    return found
