"""The table of names: as Prometheus' guide has them."""

import re

from curate.monitoring.publish.metrics import ENDS, METRICS, VERDICT_TO_GATE, name_difference


def test_names_are_those_of_gauges_with_base_units():
    for name, kind in METRICS.items():
        assert re.fullmatch(r"curate_[a-z]+(_[a-z]+)*", name)
        assert not name.endswith(("_total", "_count", "_sum", "_bucket")), "reserved for counters and histograms"
        assert len(set(kind.labels)) == len(kind.labels) and kind.labels
        assert kind.help and not kind.help.endswith(".")
        assert {"By": name.endswith("_bytes"), "s": name.endswith("_seconds"), "1": name.endswith("_ratio")}.get(
            kind.unit, not name.endswith(("_seconds", "_ratio"))
        )


def test_every_difference_has_a_name():
    for metric in ("perplexity", "bits_per_byte"):
        for what in ("change", "slope"):
            assert all(name_difference(metric, what, end, of_group) in METRICS for end in ENDS for of_group in (0, 1))


def test_only_within_is_green():
    assert [verdict for verdict, gate in VERDICT_TO_GATE.items() if gate == 0] == ["within"]
