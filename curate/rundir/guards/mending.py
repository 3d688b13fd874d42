"""The command that makes a table of a run again, spelled from its record in ``run.json``.

It gives the same bytes where nothing else has changed. An earlier version may not have recorded all of it; then the
command has ``…`` where the options stood.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from curate.rundir.columns.names import join_names
from curate.rundir.run import Run
from curate.runtime.text import command, quote_path

REQUEST = "request"
"""The eval sets and options of ``decontaminate`` as they were given, in its record."""


def spell_options(options: Mapping[str, Any]) -> list[str]:
    """Return options as typed: ``--max-ppl 60``; those that are None or False are left out."""
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one is not False:
                words.append(flag if one is True else f"{flag} {shlex.quote(_spell_value(one))}")
    return words


def _spell_value(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def spell_decontaminate_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes the hits again; parts that are sound stay."""
    request = record.get(REQUEST)
    if request is None:
        return command("decontaminate EVALS…", run.path)
    words = ["decontaminate", *map(quote_path, request["evals"]), *spell_options(request["options"])]
    return command(" ".join(words), run.path)


def spell_dedup_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes the duplicates again."""
    parameters = dict(record["parameters"])
    named = {name: parameters.get(name) for name in ("threshold", "shingle", "permutations", "seed")}
    exact = {"exact_only": parameters.get("bands") is None}
    options = {
        **named,
        "keeper": parameters.get("keep"),
        **exact,
        "against": list(record["made_from"].get("against", ())),
    }
    return command(" ".join(["dedup", *spell_options(options)]), run.path)


def spell_filter_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes the decisions again."""
    return command(" ".join(["filter", *spell_options(record["parameters"])]), run.path)


def spell_bucket_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes the buckets again."""
    parameters = record["parameters"]
    if parameters.get("applied"):
        return command(f"bucket --cutoffs {quote_path(run.path / 'cutoffs.json')}", run.path)
    number, _, unit = str(parameters.get("scheme")).partition(" ")
    options = {"quantiles": number if unit == "quantiles" else None, "by": parameters.get("by")}
    within = join_names(parameters.get("within") or ()) or "none"
    return command(" ".join(["bucket", *spell_options({**options, "within": within})]), run.path)


def spell_order_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes the order again."""
    options = {name: value for name, value in record["parameters"].items() if name != "generator"}
    return command(" ".join(["order", *spell_options(options)]), run.path)
