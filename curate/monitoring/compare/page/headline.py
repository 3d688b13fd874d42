"""The first lines of a page: the answer in words, with a mark that does not need colour, and what crossed."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.monitoring.compare.page.whiskers import MarkKind, choose_kind
from curate.monitoring.compare.screen import format_change, format_interval
from curate.monitoring.compare.summary import SideComparison
from curate.monitoring.compare.verdicts import METRIC_NAMES

NAMED = 12
"""Groups that are named of one verdict."""
ANSWERS: dict[str, tuple[MarkKind, str]] = {
    "beyond": ("beyond", "Beyond the tolerance of {}"),
    "unmeasured": ("unmeasured", "Not everything was measured again"),
    "cannot tell": ("unsure", "Cannot tell whether it is within {}"),
    "within": ("within", "Within the tolerance of {}"),
}
MEANINGS = {
    "beyond": "beyond the tolerance",
    "unmeasured": "not measured now",
    "cannot tell": "cannot tell, with so few documents",
    "within": "within the tolerance",
}


@dataclass(frozen=True, slots=True)
class NamedGroups:
    """The groups of one verdict."""

    kind: MarkKind
    words: str
    names: Sequence[str]
    """At most ``NAMED``."""
    left_out: int


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer of a comparison."""

    kind: MarkKind
    title: str
    sentence: str
    groups: Sequence[NamedGroups]


def make_headline(comparison: SideComparison) -> Headline:
    """Return the answer: the verdict under a tolerance, else how far the sides are apart."""
    leak = comparison.leak is not None and bool(comparison.leak.alarms)
    tolerance, verdict = comparison.tolerance, comparison.verdict
    if tolerance is None or verdict is None:
        kind, title = _describe_difference(comparison)
        sentence = "in brackets the 95 % interval" if title.endswith(")") else ""
        return Headline("beyond", "Signs of a leak", "", ()) if leak else Headline(kind, title, sentence, ())
    kind, title = ANSWERS[verdict]
    upwards = " upwards" if tolerance.only_worse else ""
    title = "Signs of a leak" if leak else title.format(tolerance.text) + upwards
    return Headline(kind, title, f"exit code {comparison.exit_code}", list_verdicts(comparison))


def list_verdicts(comparison: SideComparison) -> list[NamedGroups]:
    """Return the groups of each verdict, those that crossed first; the sides where several have no groups."""
    rows = [(row.name, row.verdict) for pair in comparison.pairs for row in pair.rows]
    if len(comparison.pairs) > 1 and not any(pair.groups for pair in comparison.pairs):
        rows = [(pair.after, pair.all.verdict) for pair in comparison.pairs]
    if comparison.series is not None:
        rows += [(row.name, row.verdict) for row in comparison.series.rows]
    listed = []
    for verdict, words in MEANINGS.items():
        names = list(dict.fromkeys(name for name, other in rows if other == verdict))
        if names:
            kind = ANSWERS[verdict][0]
            listed.append(NamedGroups(kind, words, names[:NAMED], len(names) - len(names[:NAMED])))
    return listed


def _describe_difference(comparison: SideComparison) -> tuple[MarkKind, str]:
    measure = METRIC_NAMES[comparison.metric]
    if comparison.series is not None:
        row = comparison.series.all
        kind: MarkKind = "differs" if row.slope_low > 0 or row.slope_high < 0 else "same"
        ends = format_interval(row.change_low, row.change_high, comparison.metric)
        return kind, f"{measure.capitalize()} {format_change(row.change, comparison.metric)} per step ({ends})"
    if len(comparison.pairs) == 1:
        whole = comparison.pairs[0].all
        ends = format_interval(whole.change_low, whole.change_high, comparison.metric)
        change = format_change(whole.change, comparison.metric)
        return choose_kind(whole), f"{measure.capitalize()} {change} ({ends})"
    if comparison.pairs:
        return "differs", f"{measure.capitalize()} of {len(comparison.sides)} sides"
    return "same", f"{measure.capitalize()} of one side"
