"""``curate compare``: which of two models, corpora or weeks, with intervals, and a gate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import UsageError
from curate.runtime.options import (
    COMMAS,
    DEFAULT_MEMORY,
    MemoryLimitOption,
    RedactOption,
    SeedOption,
    as_list,
    verb_function,
)
from curate.runtime.text import quote_path

if TYPE_CHECKING:
    from pathlib import Path

    from curate.monitoring.compare.summary import SideComparison

FEWEST_DRAWS = 200
"""Draws with which a 95 % quantile can be told at all."""
MOST_DRAWS = 100_000


@verb_function()
def compare(
    sides: Annotated[
        list[str] | str,
        typer.Argument(help="Run directories, exports, or files of --save; each is compared with the first."),
    ],
    within: Annotated[
        str | None,
        typer.Option(help="Columns of the documents whose groups are compared one by one, as in domain."),
        COMMAS,
    ] = None,
    tolerance: Annotated[
        str | None, typer.Option(help="How far a measure may move, as in 0.5% of perplexity, or 0.01bpb: makes a gate.")
    ] = None,
    only_worse: Annotated[
        bool, typer.Option("--only-worse", help="With --tolerance, let measures fall as far as they like.")
    ] = False,
    unsure: Annotated[
        Literal["pass", "fail"] | None,
        typer.Option(help="What the gate makes of a difference that it cannot tell.  [default: exit code 5]"),
    ] = None,
    by: Annotated[
        Literal["ppl", "bpb"] | None,
        typer.Option(help="Measure: perplexity, or bits per byte.  [default: ppl, where tokenizers are the same]"),
    ] = None,
    pairs: Annotated[
        Literal["auto", "only", "never"],
        typer.Option(help="Compare documents that all sides hold in pairs; auto: where half of the smallest are."),
    ] = "auto",
    cluster: Annotated[
        str | None, typer.Option(help="Column whose groups are drawn as a whole, as the site of a page.")
    ] = None,
    time: Annotated[bool, typer.Option("--time", help="Take the sides as steps of a series, in their order.")] = False,
    time_column: Annotated[
        str | None, typer.Option(help="Take the values of this column of one side as the steps of a series.")
    ] = None,
    leak: Annotated[
        bool, typer.Option("--leak", help="Look for a leak: the first side is training text, the second is held out.")
    ] = False,
    by_kind: Annotated[
        bool, typer.Option("--by-kind", help="Compare kinds of text too: letters, digits, URLs … (--signals kinds).")
    ] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Compare calibration too (of runs with --signals calibration).")
    ] = False,
    cost: Annotated[
        str | None, typer.Option(help="File (YAML) with the price of each side: bits per byte against dollars.")
    ] = None,
    worst: Annotated[int, typer.Option(help="Show so many documents that rose most, and as many that fell most.")] = 0,
    spans: Annotated[
        bool, typer.Option("--spans", help="With --worst, read these documents again and show what changed in them.")
    ] = False,
    redact: RedactOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare sides that were read with other windows, prefixes or conventions.")
    ] = False,
    save: Annotated[
        str | None, typer.Option(help="Save the last side to this file (JSON), as a baseline for later comparisons.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Write an HTML page to this file.")] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: SeedOption = 0,
    memory_limit: MemoryLimitOption = None,
) -> "SideComparison":
    """Compare two models, corpora or weeks by perplexity or bits per byte, with intervals; return the comparison.

    Each side is a run directory, an export, or a file that ``--save`` wrote. Documents that both sides hold, by the
    hash of their text, are compared in pairs; where they share few, the sides are two samples. Perplexity needs one
    tokenizer; otherwise the unit is bits per byte. Intervals are of a bootstrap over documents, and with ``--within``
    those of all groups hold together.

    With ``--tolerance`` the exit code is 0 for what stays within it, 4 for what is beyond, and 5 where the documents
    are too few to tell, which says how many would. What was measured before and is not now never passes.

    Raises UsageError for sides that cannot be compared: read with other windows, prefixes or conventions, tokenizers
    that differ under perplexity, options that contradict one another. Raises TableError where a run has no finished
    scores or a file of ``save`` is damaged, StorageError where memory or the disk runs out.
    """
    import tempfile
    from dataclasses import replace
    from pathlib import Path

    from curate.monitoring.compare.baseline import spell_baseline
    from curate.monitoring.compare.compare import CompareOptions, compare_sides, save_side
    from curate.monitoring.compare.cost import load_costs
    from curate.monitoring.compare.page.html import write_page
    from curate.monitoring.compare.pair import PairingSettings
    from curate.monitoring.compare.sides import open_sides
    from curate.monitoring.compare.verdicts import parse_tolerance
    from curate.rundir.columns.names import split_group_columns
    from curate.runtime.disk.files import replace_atomically
    from curate.runtime.numbers import parse_size
    from curate.runtime.redaction import make_redactor

    named = as_list(sides)
    given = parse_tolerance(tolerance, only_worse) if tolerance is not None else None
    _check_options(named, locals())
    redactor = make_redactor(redact)
    memory = parse_size(memory_limit or DEFAULT_MEMORY, "--memory-limit")
    columns = tuple(split_group_columns(within)) if within else ()
    files = {"baseline": save, "page": out}
    written = {what: _check_output(what, path) for what, path in files.items() if path is not None}
    with tempfile.TemporaryDirectory(prefix="curate-compare-") as scratch, open_sides(named) as opened:
        options = CompareOptions(
            columns,
            cluster,
            None if by is None else "perplexity" if by == "ppl" else "bits_per_byte",
            given,
            unsure,
            anyway,
            draws,
            seed,
            PairingSettings("never" if leak else pairs, memory, Path(scratch) / "spill"),
            leak,
            time,
            time_column,
            None if cost is None else load_costs(cost),
            by_kind,
            calibration,
            worst,
            spans,
            redactor,
        )
        found = compare_sides(opened, options)
        if save is not None:
            with replace_atomically(written["baseline"]) as temporary:
                temporary.write_bytes(spell_baseline(save_side(opened[-1], columns)))
        if out is not None:
            write_page(written["page"], found)
    return replace(found, pages={what: str(files[what]) for what in written})


def _check_output(what: str, path: str) -> "Path":
    """Return where a file is to be written, once it is seen that it replaces nothing of somebody else's."""
    from curate.monitoring.compare.baseline import KEYS
    from curate.rundir.guards.ownership import is_json_with
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import check_output_file, check_output_page

    file = expand_home(path)
    if what == "page":
        check_output_page(file, "--out")
        return file
    check_output_file(file)
    if file.exists() and not is_json_with(file, KEYS):
        raise UsageError(f"--save {path}: there is a file of something else", "name a new file")
    return file


def _check_options(sides: list[str], given: Mapping[str, Any]) -> None:
    """Raise UsageError for options that contradict one another or have no effect."""
    if given["only_worse"] and given["tolerance"] is None:
        raise UsageError("--only-worse has no effect without --tolerance", "--tolerance 0.5% --only-worse")
    if given["unsure"] is not None and given["tolerance"] is None:
        raise UsageError("--unsure has no effect without --tolerance", "--tolerance 0.5% --unsure fail")
    for name, least in (("draws", FEWEST_DRAWS), ("worst", 0)):
        if given[name] < least:
            raise UsageError(f"--{name} must be at least {least}, not {given[name]}", f"--{name} {max(least, 5)}")
    if given["seed"] < 0:
        raise UsageError(f"--seed must be 0 or more, not {given['seed']}", "--seed 0")
    if given["draws"] > MOST_DRAWS:
        raise UsageError(f"--draws must be at most {MOST_DRAWS:,}, not {given['draws']:,}", "--draws 1000")
    if given["spans"] and not given["worst"]:
        raise UsageError("--spans has no effect without --worst", "--worst 5 --spans")
    _check_sides(sides, given)


def _check_sides(sides: list[str], given: Mapping[str, Any]) -> None:
    """Raise UsageError where there are too few sides, or too many for an option."""
    of_series = [f"--{name.replace('_', '-')}" for name in ("time", "time_column") if given[name]]
    if len(of_series) == 2:
        raise UsageError("--time takes sides as steps, --time-column the values of one side", "leave out one of them")
    if not sides:
        raise UsageError("no side is named", "curate compare BEFORE AFTER")
    for name in ("leak", "cost", "worst", "by_kind", "calibration") if of_series else ():
        option = f"--{name.replace('_', '-')}"
        if given[name]:
            raise UsageError(f"{option} has no effect with {of_series[0]}", f"leave out {option}")
    if given["time_column"] is not None and len(sides) != 1:
        raise UsageError(f"--time-column needs one side, not {len(sides)}", "name one run, or --time for several")
    if given["time"] and len(sides) < 3:
        raise UsageError(f"--time needs at least three sides as steps, not {len(sides)}", "leave out --time for two")
    if len(sides) == 1 and given["time_column"] is None and given["save"] is None:
        raise UsageError(f"{sides[0]} is compared with nothing", f"curate compare {quote_path(sides[0])} AFTER")
    if given["leak"] and len(sides) != 2:
        raise UsageError(f"--leak needs two sides, training and held out, not {len(sides)}", "name two")
    for name in ("worst", "by_kind", "calibration"):
        if given[name] and len(sides) != 2:
            raise UsageError(f"--{name.replace('_', '-')} needs two sides, not {len(sides)}", "name two")
