"""The names of all metrics that ``curate publish`` writes: what each says, its unit, and its labels.

Names follow Prometheus' guide: the prefix ``curate_``, base units at the end, no unit for what has none, one meaning
and one set of labels a name, so that a sum over the labels of counts is a count. What is said of every group by
``--within`` has a name of its own, ``curate_domain_…``: a total among its parts would be counted twice.

All are gauges, also the tokens. A counter only grows within the life of a process, and Prometheus takes one that falls
for a restart, so that ``rate()`` of a smaller corpus would be wrong; and ``_total`` is reserved for counters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

RUN = ("run",)
DOMAIN = ("run", "domain")
COMPARISON = ("comparison",)
SIDE = ("comparison", "side")
PAIR = ("comparison", "before", "after")
PAIR_SIDE = (*PAIR, "of")
PAIR_DOMAIN = (*PAIR, "domain")
PAIR_DOMAIN_SIDE = (*PAIR, "domain", "of")
SERIES_DOMAIN = ("comparison", "domain")

VERDICT_TO_GATE: Mapping[str, int] = {"within": 0, "beyond": 1, "cannot tell": 2, "unmeasured": 2}
"""The value of ``curate_gate`` for each verdict."""


@dataclass(frozen=True, slots=True)
class MetricKind:
    """What one name means."""

    help: str
    labels: tuple[str, ...]
    unit: str = ""
    """In UCUM, as OpenTelemetry has it; empty where none is, so that exporters add no suffix to the name."""


_GATE = "0 within the tolerance, 1 beyond it, 2 cannot tell or unmeasured"
_BITS = "in bits per byte"
_SHARE = "as a share of the perplexity before"

_OF_RUNS = {
    "curate_run_info": MetricKind(
        "Identity of a run: its model, how that read, and its corpus; always 1",
        ("run", "model", "tokenizer", "evaluator", "corpus", "version"),
    ),
    "curate_last_run_timestamp_seconds": MetricKind(
        "When a table of the run was last completed, in seconds since 1970", RUN, "s"
    ),
    "curate_documents": MetricKind(
        "Documents read, by what became of them: kept, rejected, unreadable", ("run", "outcome", "reason"), "{document}"
    ),
    "curate_tokens": MetricKind("Tokens of the documents that are kept", RUN, "{token}"),
    "curate_scored_documents": MetricKind("Documents with a score", RUN, "{document}"),
    "curate_scored_tokens": MetricKind("Tokens that were scored", RUN, "{token}"),
    "curate_scored_bytes": MetricKind("Bytes of text that the scored tokens spell", RUN, "By"),
    "curate_perplexity": MetricKind("Perplexity of all scored documents, by token", RUN),
    "curate_bits_per_byte": MetricKind("Bits per byte of all scored documents", RUN),
    "curate_stale_tables": MetricKind("Tables of the run that are stale or not complete, and not counted", RUN),
    "curate_domain_documents": MetricKind("Documents with a score, by group", DOMAIN, "{document}"),
    "curate_domain_tokens": MetricKind("Tokens that were scored, by group", DOMAIN, "{token}"),
    "curate_domain_bytes": MetricKind("Bytes of text that the scored tokens spell, by group", DOMAIN, "By"),
    "curate_domain_perplexity": MetricKind("Perplexity of the scored documents of a group, by token", DOMAIN),
    "curate_domain_bits_per_byte": MetricKind("Bits per byte of the scored documents of a group", DOMAIN),
    "curate_folded_domains": MetricKind('Groups that are counted under the label "other"', RUN),
}
_OF_COMPARISONS = {
    "curate_last_comparison_timestamp_seconds": MetricKind(
        "When the comparison was written, in seconds since 1970", COMPARISON, "s"
    ),
    "curate_gate_exit_code": MetricKind(
        "Exit code of curate compare: 0 within the tolerance or without one, 4 beyond, 5 cannot tell", COMPARISON
    ),
    "curate_gate": MetricKind(f"Verdict on all documents: {_GATE}", PAIR),
    "curate_domain_gate": MetricKind(f"Verdict on a group of documents: {_GATE}", PAIR_DOMAIN),
    "curate_series_gate": MetricKind(f"Verdict on the slope and all steps of a series: {_GATE}", COMPARISON),
    "curate_domain_series_gate": MetricKind(
        f"Verdict on the slope and all steps of a series of a group: {_GATE}", SERIES_DOMAIN
    ),
    "curate_tolerance_ratio": MetricKind(f"Tolerance {_SHARE}", COMPARISON, "1"),
    "curate_tolerance_bits_per_byte": MetricKind(f"Tolerance {_BITS}", COMPARISON),
    "curate_leak_alarms": MetricKind("Signs that held-out text is known to the model", COMPARISON),
    "curate_series_steps": MetricKind("Steps of a series", COMPARISON),
    "curate_folded_comparison_domains": MetricKind('Groups that are judged under the label "other"', COMPARISON),
    "curate_side_documents": MetricKind("Documents of a side with a score", SIDE, "{document}"),
    "curate_side_tokens": MetricKind("Tokens of a side that were scored", SIDE, "{token}"),
    "curate_side_perplexity": MetricKind("Perplexity of all documents of a side, by token", SIDE),
    "curate_side_bits_per_byte": MetricKind("Bits per byte of all documents of a side", SIDE),
    "curate_compared_documents": MetricKind("Documents that were compared, before and after", PAIR_SIDE, "{document}"),
    "curate_domain_compared_documents": MetricKind(
        "Documents of a group that were compared, before and after", PAIR_DOMAIN_SIDE, "{document}"
    ),
    "curate_compared_perplexity": MetricKind("Perplexity of the compared documents, before and after", PAIR_SIDE),
    "curate_compared_bits_per_byte": MetricKind("Bits per byte of the compared documents, before and after", PAIR_SIDE),
    "curate_domain_compared_perplexity": MetricKind(
        "Perplexity of the compared documents of a group, before and after", PAIR_DOMAIN_SIDE
    ),
    "curate_domain_compared_bits_per_byte": MetricKind(
        "Bits per byte of the compared documents of a group, before and after", PAIR_DOMAIN_SIDE
    ),
}
CALIBRATION: Mapping[str, str] = {
    "Full-ECE": "curate_calibration_error_ratio",
    "top-1 ECE": "curate_top_token_calibration_error_ratio",
    "top-1 accuracy": "curate_top_token_accuracy_ratio",
}
"""The names of the measures of ``curate compare --calibration``."""
_OF_SIGNALS = {
    CALIBRATION["Full-ECE"]: MetricKind("Calibration error over all token probabilities (Full-ECE)", PAIR_SIDE, "1"),
    CALIBRATION["top-1 ECE"]: MetricKind("Calibration error of the likeliest token", PAIR_SIDE, "1"),
    CALIBRATION["top-1 accuracy"]: MetricKind("Share of tokens that were the likeliest", PAIR_SIDE, "1"),
    "curate_kind_compared_bits_per_byte": MetricKind(
        "Bits per byte of one kind of text, before and after", (*PAIR, "kind", "of")
    ),
    "curate_kind_compared_bytes_ratio": MetricKind("Share of the bytes after, by kind of text", (*PAIR, "kind"), "1"),
}
ENDS: Mapping[str, str] = {
    "": "the estimate",
    "_low": "the lower end of its interval",
    "_high": "the upper end of its interval",
}
"""The estimate of a difference and the two ends of its interval, by what stands in the names."""


def _name_differences() -> dict[str, MetricKind]:
    """Return the names of changes and slopes, by measure, of all documents and of groups, with their intervals."""
    found = {}
    for what, said in (("change", "Change from before to after"), ("slope", "Slope of a series by step")):
        for scope in ("", "domain_"):
            labels = {"change": (PAIR, PAIR_DOMAIN), "slope": (COMPARISON, SERIES_DOMAIN)}[what][bool(scope)]
            of_group = " of a group" if scope else ""
            for end, name in ENDS.items():
                text = f"{said}{of_group}, {name}"
                share = f"curate_{scope}perplexity_{what}{end}_ratio"
                found[share] = MetricKind(f"{text}, {_SHARE}", labels, "1")
                found[f"curate_{scope}bits_per_byte_{what}{end}"] = MetricKind(f"{text}, {_BITS}", labels)
    return found


METRICS: Mapping[str, MetricKind] = {**_OF_RUNS, **_OF_COMPARISONS, **_OF_SIGNALS, **_name_differences()}
"""Every metric by its name. Dashboards and alert rules read these."""


def name_difference(metric: str, what: str, end: str, of_group: bool) -> str:
    """Return the name of a change or slope of a measure; ``end`` is a key of ``ENDS``."""
    unit = "_ratio" if metric == "perplexity" else ""
    return f"curate_{'domain_' if of_group else ''}{metric}_{what}{end}{unit}"
