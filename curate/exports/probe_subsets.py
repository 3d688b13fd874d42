"""``curate filter --probe``: the low, the middle and the high of a column in equal tokens, as three exports.

Which end of perplexity suits a purpose depends on the corpus (Marion et al. 2023, arXiv 2309.04564; Ankner et al. 2024,
arXiv 2405.20541), and small proxies trained on each end tell. The three share no document, and each holds the budget
but for less than one document of each group: all begin at a document, and end with the last that fits whole.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import GateError, UsageError
from curate.exports import dataset_folder, joined_slices
from curate.exports.write import write_choice
from curate.rundir import decision_table, quantiles, rejections, tally
from curate.rundir.document_blocks import BlockReader
from curate.rundir.run import compute_fingerprint, open_run
from curate.runtime.numbers import parse_tokens, spell_tokens
from curate.stages.filter import apply, criteria
from curate.stages.filter.apply import CompiledBand, CompiledBound, CompiledCriteria
from curate.stages.filter.counts import DecisionCount, Judgement
from curate.stages.filter.criteria import Band, Criteria, FilterOptions
from curate.stages.filter.decide import FilterJob
from curate.stages.filter.summary import ProbeSubset, ProbeSummary

SIDES = ("low", "middle", "high")
PARTS = 10  # by default each has a tenth of the tokens
MADE_BY = "curate filter --probe"


def check(options: FilterOptions, out: str, *, ledger: str | None, show: bool, dry_run: bool) -> None:
    """Check what is given with ``--probe OUT``.

    Raises UsageError for an option that has no effect with ``--probe``, and where ``out`` is neither new nor empty.
    """
    given = {
        "--keep": options.keep is not None,
        "--rate": options.rate is not None,
        "--temperature": options.temperature is not None,
        "--seed": options.seed != 0,
        "--ledger": ledger is not None,
        "--show": show,
        "--dry-run": dry_run,
    }
    for option, is_given in given.items():
        if is_given:
            hint = f"leave {option} out: low, middle and high are all written, of equal --tokens"
            raise UsageError(f"{option} has no effect with --probe", hint)
    folder = Path(out)
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(f"--probe {out} exists and is not an empty folder", "name a new folder, or one that is empty")


def criteria_for(side: str, options: FilterOptions, budget: int) -> Criteria:
    """Return the criteria that keep one side: the other criteria of ``options``, and a budget of tokens."""
    return criteria.criteria_of(replace(options, keep=side, tokens=budget, seed=0))


def write_probe(run: str, options: FilterOptions, out: str, memory_limit: str | None = None) -> ProbeSummary:
    """Write the three exports of a run into the folder ``out``; the decisions of the run stay as they are.

    Raises GateError where the other criteria keep nothing, UsageError where three budgets are more than they keep.
    """
    low = criteria_for("low", options, 1)
    opened = open_run(run)
    opened.finished_scores()
    source = FilterJob(opened, rejections.open_rejections(opened), memory_limit, "none").open(low)
    source.load()
    return write(source, options, out)


def choose(source: BlockReader, options: FilterOptions) -> tuple[int, tuple[int, int], dict[str, CompiledCriteria]]:
    """The budget, the documents and tokens that there are, and a sieve for each side.

    GateError where nothing is kept, UsageError where three times the budget is more than there is.
    """
    held = _count_members(source, criteria_for("low", options, 1))
    if not held[0]:
        raise GateError("the other criteria keep nothing, so there is nothing to probe", "curate filter --dry-run")
    budget = held[1] // PARTS if options.tokens is None else parse_tokens(options.tokens)
    if 3 * budget > held[1]:
        told = f"three subsets of {spell_tokens(budget)} tokens need {spell_tokens(3 * budget)}, {held[1]:,} are kept"
        raise UsageError(f"--tokens: {told}", f"--tokens {held[1] // PARTS} is a tenth of them, the default")
    found = {side: apply.prepare(source, criteria_for(side, options, max(budget, 1))) for side in SIDES}
    return budget, held, {**found, "middle": settle(source, found["middle"])}


def _count_members(source: BlockReader, asked: Criteria) -> tuple[int, int]:
    """Documents that the other criteria keep and that have a number to go by, and their tokens."""
    batches = [(len(values), int(tokens.sum())) for values, _, tokens in _members(source, asked) if tokens is not None]
    return sum(many for many, _ in batches), sum(tokens for _, tokens in batches)


def _members(source: BlockReader, asked: Criteria) -> Iterator[quantiles.Batch]:
    return apply.weigh_members(source, asked, _band(asked))


def _band(asked: Criteria) -> Band:
    if asked.band is None:
        raise ValueError("a probe goes by a band")
    return asked.band


def settle(source: BlockReader, middle: CompiledCriteria) -> CompiledCriteria:
    """The middle with its upper end counted from the document with which it begins.

    A budget around the middle as ``filter`` spends it may lose a document at both ends; so it loses less than one.
    """
    asked = middle.criteria
    fence, band = middle.fence, _band(asked)
    if fence is None:
        raise ValueError("a sieve without its ends")
    weights = quantiles.totals(lambda: _members(source, asked), len(source.within.names))
    begins = _find_begins(source, asked, fence)
    ends = {}
    for group, (first, last, total) in enumerate(band.ends(weights.tolist())):
        part = last - first
        ends[group] = min(begins.get(group, first) + part, total - part)  # the high begins there
    found = quantiles.find(lambda: _members(source, asked), {group: [end] for group, end in ends.items()})
    high: dict[int, CompiledBand] = {group: apply.edge_of(found.get((group, end)), end) for group, end in ends.items()}
    return CompiledCriteria(asked, replace(fence, high=high), middle.names)


def _find_begins(source: BlockReader, asked: Criteria, fence: CompiledBound) -> dict[int, int]:
    """The tokens of each group that lie before the first document of its middle."""
    passed: dict[int, int] = {group: edge.below for group, edge in fence.low.items()}
    found: dict[int, int] = {}
    for values, groups, tokens in _members(source, asked):
        for group in np.unique(groups).tolist() if tokens is not None else ():
            if group not in fence.low or tokens is None:
                continue
            edge = fence.low[group]
            own = tokens[(groups == group) & (values == edge.value)]
            starts = passed[group] + np.cumsum(own) - own
            later = starts[starts >= edge.place]
            if len(later):
                found.setdefault(group, int(later[0]))
            passed[group] += int(own.sum())
    return {**passed, **found}


# What is written.


def write(source: BlockReader, options: FilterOptions, out: str) -> ProbeSummary:
    """The three exports, and what they are, into a folder that is there whole or not at all."""
    budget, held, sieves = choose(source, options)
    band = _band(sieves["low"].criteria)
    others = criteria.parameters_of(replace(sieves["low"].criteria, band=None))
    subsets = []
    with dataset_folder.building(Path(out), overwrite=False) as folder:
        for side in SIDES:
            subsets.append(_write_side(source, side, sieves[side], folder, out))
        sums = (budget, *held, others, tuple(subsets))
        most = source.run.finished_scores()["made_from"]["model"].get("max_tokens")
        result = ProbeSummary(str(source.run.path), out, band.column, band.within, *sums, most)
        _describe(result, source, folder)
    return result


def _write_side(source: BlockReader, side: str, chosen: CompiledCriteria, folder: Path, out: str) -> ProbeSubset:
    path, count = folder / ".decisions.parquet", DecisionCount()
    parameters = {"probe": side, **criteria.parameters_of(chosen.criteria)}
    made_from = {"made_from": source.run.finished_scores()["fingerprint"], **source.rejections.fingerprints()}
    note: dict[str, Any] = {**made_from, "parameters": parameters}
    note["fingerprint"] = compute_fingerprint(note)
    judgement = Judgement(source, chosen)
    with decision_table.coded_writer(path, source.reasons, note) as writer:
        for block, codes in judgement.blocks():
            count.add(block, codes)
            writer.add(block.file, block.rows, codes)
    read = source.run.finished_scores()["counts"]["read"]
    sums = tally.sum_up("filter --probe", count.tally(source.reasons), read)
    if not sums.kept.documents:
        raise GateError(f"no document is short enough for the {side} of so few tokens", "give more: --tokens 10M")
    rejected = {why: share.documents for why, share in sums.rejected.items()}
    record = {**note, "counts": {"read": read, "kept": sums.kept.documents, "rejected": rejected}}
    choice = joined_slices.ExportChoice(path, record, source.rejections, sums.kept.documents, rejected)
    (folder / side).mkdir()
    write_choice(source.run, choice, folder / side, f"{out}/{side}")
    path.unlink()
    return ProbeSubset(side, sums.kept.documents, sums.kept.tokens, *_measure(judgement, _band(chosen.criteria).column))


def _measure(judgement: Judgement, column: str) -> tuple[float, float, float]:
    """The lowest number of what is kept, the median, the highest."""

    def passes() -> Iterator[quantiles.Batch]:
        for block, codes in judgement.blocks():
            own = block.numbers(column)[codes == 0]
            yield own, np.zeros(len(own), np.int64), None

    lowest, median, highest = quantiles.quantiles(passes, [0], [0.0, 0.5, 1.0])[0]
    return lowest, median, highest


def _describe(result: ProbeSummary, source: BlockReader, folder: Path) -> None:
    """``probe.json`` for programs, ``README.md`` for people and for ``load_dataset``."""
    told = {name: value for name, value in result.as_dict().items() if name not in ("run", "out")}
    made_from = {"scores": source.run.finished_scores()["fingerprint"], **source.rejections.fingerprints()}
    dataset_folder.write_json(folder / "probe.json", {"made_by": MADE_BY, "made_from": made_from, **told})
    dataset_folder.write_text(folder / "README.md", _make_readme(result))


def _make_readme(result: ProbeSummary) -> str:
    from curate.exports.dataset_card import code

    within = f", each group of {', '.join(map(code, result.within))} by itself" if result.within else ""
    told = (
        f"Three data sets by {code(result.by)}{within}: the lowest, the middle and the highest tokens of "
        f"{result.documents:,} documents with {result.tokens:,} tokens. They share no document, and none has more than "
        f"{result.budget:,} tokens. Train one small model on each with the same settings, and compare them on what "
        "matters to you."
    )
    if result.read_tokens:
        told += (
            f" Only the first {result.read_tokens:,} tokens of a document were scored, and are counted here: give the "
            "three models equal steps, and not one pass each."
        )
    others = [f"- {name.replace('_', '-')}: {code(value)}" for name, value in result.parameters.items()]
    note = "Each folder is an export of its own, with a manifest and a card; `probe.json` has the numbers above."
    parts = [
        "# Low, middle and high, to train small proxies on",
        told,
        *(["The documents are those that these keep:", "\n".join(others)] if others else []),
        "\n".join(_tabulate(result)),
        '```python\ndatasets.load_dataset("OUT", "low", split="train")\n```',
        note,
    ]
    return _front_matter() + "\n" + "\n\n".join(parts) + "\n"


def _tabulate(result: ProbeSummary) -> Iterator[str]:
    yield "| | documents | tokens | lowest | median | highest |"
    yield "|---|---:|---:|---:|---:|---:|"
    for one in result.subsets:
        numbers = " | ".join(f"{value:.4g}" for value in (one.lowest, one.median, one.highest))
        yield f"| {one.side} | {one.documents:,} | {one.tokens:,} | {numbers} |"


def _front_matter() -> str:
    """By which ``load_dataset`` finds each side."""
    files = [
        f"- config_name: {side}\n  data_files:\n  - {{split: train, path: {side}/train/*.arrow}}" for side in SIDES
    ]
    return "\n".join(["---", "tags: [curate]", "configs:", *files, "---", ""])
