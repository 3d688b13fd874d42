"""``curate filter --probe``: the low, the middle and the high of a column in equal tokens, as three exports.

Which end of perplexity suits a purpose depends on the corpus (Marion et al. 2023, arXiv 2309.04564; Ankner et al. 2024,
arXiv 2405.20541); small proxy models trained on each end show it. The three share no document. Each has the tokens of
the budget but for less than one document of each group: it begins at a document, and ends with the last that fits.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import GateError, UsageError
from curate.exports import dataset_folder
from curate.exports.dataset_card import code
from curate.exports.formats.shards import TABLE_FORMATS
from curate.exports.job import ExportChoice
from curate.exports.stores.names import is_output_url
from curate.exports.write import write_choice
from curate.rundir import decision_table, quantiles
from curate.rundir.document_blocks import BlockReader
from curate.rundir.guards.claims import open_claimed
from curate.rundir.guards.ownership import check_outside
from curate.rundir.run import compute_fingerprint, list_local_paths
from curate.rundir.verdicts import tally
from curate.rundir.verdicts.rejections import open_rejections
from curate.runtime.disk.filenames import expand_home
from curate.runtime.disk.files import check_output_directory, make_storage_error
from curate.runtime.numbers import parse_tokens, spell_tokens
from curate.runtime.published import hide_folders, hide_in_text
from curate.runtime.redaction import NO_REDACTION, Redactor
from curate.stages.filter.apply import CompiledBand, CompiledCriteria, compile_criteria, make_end, weigh_members
from curate.stages.filter.counts import DecisionCount, Judgement
from curate.stages.filter.criteria import Band, Criteria, FilterOptions, build_criteria, parameters_of
from curate.stages.filter.decide import FilterJob
from curate.stages.filter.summary import ProbeSubset, ProbeSummary

SIDES = ("low", "middle", "high")
PARTS = 10
"""By default a subset has one in so many of the tokens."""
MADE_BY = "curate filter --probe"


def check_probe_options(options: FilterOptions, out: str, *, ledger: str | None, show: bool, dry_run: bool) -> None:
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
    if is_output_url(out):
        raise UsageError(f"--probe {out}: its exports are written to a folder of this machine", "name a folder")
    folder = expand_home(out)
    dataset_folder.refuse_misread_path(folder)
    try:
        is_taken = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    except OSError as error:
        raise make_storage_error(error, folder) from error
    if is_taken:
        raise UsageError(f"--probe {out} exists and is not an empty folder", "name a new folder, or one that is empty")
    check_output_directory(folder)


def build_side_criteria(side: str, options: FilterOptions, budget: int) -> Criteria:
    """Return the criteria that keep one side: the other criteria of ``options``, and a budget of tokens."""
    return build_criteria(replace(options, keep=side, tokens=budget, seed=0))


def write_probe(
    run: str,
    options: FilterOptions,
    out: str,
    memory_limit: str | None = None,
    redactor: Redactor = NO_REDACTION,
) -> ProbeSummary:
    """Write the three exports of a run into the folder ``out``; the decisions of the run stay as they are.

    Raises GateError where the other criteria keep nothing, UsageError where three budgets are more than they keep.
    """
    low = build_side_criteria("low", options, 1)
    opened = open_claimed(run, "filter", reads_only=True)
    dataset_folder.claim_output_folder(expand_home(out), "filter")
    opened.finished_scores()
    check_outside(list_local_paths(opened), expand_home(out), "--probe ")
    reader = FilterJob(opened, open_rejections(opened), memory_limit, "none").open(low)
    reader.load()
    return _write_subsets(reader, options, out, redactor)


def choose_subsets(
    reader: BlockReader, options: FilterOptions
) -> tuple[int, tuple[int, int], dict[str, CompiledCriteria]]:
    """Return the budget, the (documents, tokens) to choose from, and compiled criteria for each side.

    Raises GateError where the other criteria keep nothing, UsageError where three budgets are more than they keep.
    """
    documents, tokens = _count_members(reader, build_side_criteria("low", options, 1))
    if not documents:
        raise GateError("the other criteria keep nothing, so there is nothing to probe", "leave one of them out")
    budget = tokens // PARTS if options.tokens is None else parse_tokens(options.tokens)
    if 3 * budget > tokens:
        needed = f"three subsets of {spell_tokens(budget)} tokens need {spell_tokens(3 * budget)}"
        raise UsageError(
            f"--tokens: {needed}, {tokens:,} are kept", f"--tokens {tokens // PARTS} is a tenth of them, the default"
        )
    compiled = {side: compile_criteria(reader, build_side_criteria(side, options, max(budget, 1))) for side in SIDES}
    return budget, (documents, tokens), {**compiled, "middle": _settle_middle(reader, compiled["middle"])}


def _count_members(reader: BlockReader, criteria: Criteria) -> tuple[int, int]:
    """Return the documents that the other criteria keep and that have a number to order by, and their tokens."""
    batches = [
        (len(values), int(tokens.sum())) for values, _, tokens in _members(reader, criteria) if tokens is not None
    ]
    return sum(documents for documents, _ in batches), sum(tokens for _, tokens in batches)


def _members(reader: BlockReader, criteria: Criteria) -> Iterator[quantiles.Batch]:
    return weigh_members(reader, criteria, _require_band(criteria))


def _require_band(criteria: Criteria) -> Band:
    if criteria.band is None:
        raise ValueError("a probe needs a band")
    return criteria.band


def _settle_middle(reader: BlockReader, middle: CompiledCriteria) -> CompiledCriteria:
    """Return the middle with its upper end counted from the document with which it begins.

    A budget around the middle as ``filter`` spends it may lose a document at both ends; so it loses less than one.
    """
    criteria, compiled = middle.criteria, middle.band
    if compiled is None:
        raise ValueError("compiled criteria without a band")
    weights = quantiles.sum_weights(lambda: _members(reader, criteria), len(reader.within.names))
    begins = _find_begins(reader, criteria, compiled)
    positions = {}
    for group, (first, last, total) in enumerate(_require_band(criteria).ends(weights.tolist())):
        part = last - first
        positions[group] = min(begins.get(group, first) + part, total - part)  # the high begins there
    cuts = quantiles.find_cuts(lambda: _members(reader, criteria), {group: [end] for group, end in positions.items()})
    high = {group: make_end(cuts.get((group, position)), position) for group, position in positions.items()}
    return CompiledCriteria(criteria, replace(compiled, high=high), middle.reasons)


def _find_begins(reader: BlockReader, criteria: Criteria, compiled: CompiledBand) -> dict[int, int]:
    """Return, by group, the tokens that lie before the first document of its middle."""
    passed = {group: end.below for group, end in compiled.low.items()}
    begins: dict[int, int] = {}
    for values, groups, tokens in _members(reader, criteria):
        for group in np.unique(groups).tolist() if tokens is not None else ():
            if group not in compiled.low or tokens is None:
                continue
            end = compiled.low[group]
            ties = tokens[(groups == group) & (values == end.value)]
            starts = passed[group] + np.cumsum(ties) - ties
            later = starts[starts >= end.position]
            if len(later):
                begins.setdefault(group, int(later[0]))
            passed[group] += int(ties.sum())
    return {**passed, **begins}


def _write_subsets(reader: BlockReader, options: FilterOptions, out: str, redactor: Redactor) -> ProbeSummary:
    """Write the three exports and their description into a folder that appears complete or not at all."""
    budget, available, compiled = choose_subsets(reader, options)
    band = _require_band(compiled["low"].criteria)
    others = parameters_of(replace(compiled["low"].criteria, band=None))
    subsets = []
    with dataset_folder.build_folder(expand_home(out), overwrite=False) as folder:
        for side in SIDES:
            subsets.append(_write_side(reader, side, compiled[side], folder, out, redactor))
        summary = ProbeSummary(
            str(reader.run.path), out, band.column, band.within, budget, *available, others, tuple(subsets),
            reader.run.counted_tokens(),
        )  # fmt: skip
        _describe(summary, reader, folder)
    return summary


def _write_side(
    reader: BlockReader, side: str, compiled: CompiledCriteria, folder: Path, out: str, redactor: Redactor
) -> ProbeSubset:
    path, count = folder / ".decisions.parquet", DecisionCount()
    parameters = {"probe": side, **parameters_of(compiled.criteria)}
    made_from = {"made_from": reader.run.finished_scores()["fingerprint"], **reader.rejections.fingerprints()}
    note: dict[str, Any] = {**made_from, "parameters": parameters}
    note["fingerprint"] = compute_fingerprint(note)
    judgement = Judgement(reader, compiled)
    with decision_table.open_coded_writer(path, reader.reasons, note) as writer:
        for block, codes in judgement.blocks():
            count.add(block, codes)
            writer.add(block.slices, block.rows, codes)
    read = reader.run.finished_scores()["counts"]["read"]
    sums = tally.sum_tally("filter --probe", count.tally(reader.reasons), read)
    if not sums.kept.documents:
        raise GateError(f"no document is short enough for the {side} of so few tokens", "give more: --tokens 10M")
    rejected = {reason: share.documents for reason, share in sums.rejected.items()}
    record = {**note, "counts": {"read": read, "kept": sums.kept.documents, "rejected": rejected}}
    choice = ExportChoice(path, record, reader.rejections, sums.kept.documents, rejected)
    (folder / side).mkdir()
    write_choice(reader.run, choice, folder / side, f"{out}/{side}", redactor)
    path.unlink()
    spread = _measure(judgement, _require_band(compiled.criteria).column)
    return ProbeSubset(side, sums.kept.documents, sums.kept.tokens, *spread)


def _measure(judgement: Judgement, column: str) -> tuple[float, float, float]:
    """Return the lowest number of what is kept, the median, and the highest."""

    def passes() -> Iterator[quantiles.Batch]:
        for block, codes in judgement.blocks():
            values = block.numbers(column)[codes == 0]
            yield values, np.zeros(len(values), np.int64), None

    lowest, median, highest = quantiles.compute_quantiles(passes, [0], [0.0, 0.5, 1.0])[0]
    return lowest, median, highest


def _describe(summary: ProbeSummary, reader: BlockReader, folder: Path) -> None:
    """Write ``probe.json`` for programs, and ``README.md`` for people and for ``load_dataset``."""
    numbers = hide_folders({name: value for name, value in summary.as_dict().items() if name not in ("run", "out")})
    made_from = {"scores": reader.run.finished_scores()["fingerprint"], **reader.rejections.fingerprints()}
    dataset_folder.write_json(folder / "probe.json", {"made_by": MADE_BY, "made_from": made_from, **numbers})
    readme = hide_in_text(_make_readme(summary))
    dataset_folder.write_text(folder / "README.md", _make_front_matter(folder) + "\n" + readme)


def _make_readme(summary: ProbeSummary) -> str:
    within = f", each group of {', '.join(map(code, summary.within))} by itself" if summary.within else ""
    intro = (
        f"Three data sets by {code(summary.by)}{within}: the lowest, the middle and the highest tokens of "
        f"{summary.documents:,} documents with {summary.tokens:,} tokens. They share no document, and none has more "
        f"than {summary.budget:,} tokens. Train one small model on each with the same settings, and compare them "
        "on what matters to you."
    )
    if summary.read_tokens:
        intro += (
            f" Only the first {summary.read_tokens:,} tokens of a document were scored, and are counted here: give the "
            "three models equal steps, and not one pass each."
        )
    others = [f"- {name.replace('_', '-')}: {code(value)}" for name, value in summary.parameters.items()]
    note = "Each folder is an export of its own, with a manifest and a card; `probe.json` has the numbers above."
    parts = [
        "# Low, middle and high, to train small proxies on",
        intro,
        *(["The documents are those that these keep:", "\n".join(others)] if others else []),
        "\n".join(_tabulate(summary)),
        '```python\ndatasets.load_dataset("OUT", "low", split="train")\n```',
        note,
    ]
    return "\n\n".join(parts) + "\n"


def _tabulate(summary: ProbeSummary) -> Iterator[str]:
    yield "| | documents | tokens | lowest | median | highest |"
    yield "|---|---:|---:|---:|---:|---:|"
    for subset in summary.subsets:
        numbers = " | ".join(f"{value:.4g}" for value in (subset.lowest, subset.median, subset.highest))
        yield f"| {subset.side} | {subset.documents:,} | {subset.tokens:,} | {numbers} |"


def _make_front_matter(folder: Path) -> str:
    """Return the front matter by which ``load_dataset`` finds each side, of which it names the fingerprint."""
    from huggingface_hub.utils import yaml_dump

    pattern = dataset_folder.make_shard_glob(TABLE_FORMATS["hf"].pattern)
    configs = []
    for side in SIDES:
        identity = json.loads((folder / side / "manifest.json").read_bytes())["fingerprint"]
        configs.append(dataset_folder.describe_config(side, f"{side}/{pattern}", identity))
    return f"---\n{yaml_dump({'tags': ['curate'], 'configs': configs}, sort_keys=False)}---\n"
