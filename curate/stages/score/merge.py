"""``curate merge``: the parts of several runs, arranged as those of one run over all their files.

Parts know the content of their file, so that they find their place in the corpus of all files by themselves, as those
of a corpus that has grown do (``arrange``). A part whose file keeps its name is linked, where the disk can; others are
written with the new name.
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from curate.corpus import Corpus
from curate.corpus.files.file_identity import identify_source
from curate.errors import TableError, UsageError
from curate.rundir import document_columns, parquet
from curate.rundir.guards import ownership
from curate.rundir.guards.claims import open_claimed, read_claimed
from curate.rundir.run import Run, list_differences, open_run, spell_score_command
from curate.rundir.signals import SIGNALS, list_measures
from curate.runtime import console
from curate.runtime.disk.files import replace_atomically
from curate.runtime.numbers import count_noun
from curate.runtime.text import command, quote_path
from curate.stages.score.arrange import Arrangement, PlacedPart, arrange_parts, read_scored_parts
from curate.stages.score.moves import describe_carried, is_carried_for, write_slices
from curate.stages.score.request import (
    NOT_READING,
    find_machine_difference,
    find_model_difference,
    list_identity_differences,
)
from curate.stages.score.resume import ResumableScores, add_lacking_columns
from curate.stages.score.summary import summarise_scores
from curate.stages.slice_runner import is_finished, list_marks


@dataclass(frozen=True, slots=True)
class MergeSummary:
    """What several runs came to as one."""

    run: str
    runs: tuple[str, ...]
    files: int
    read: int
    """Documents of all statuses."""
    statuses: dict[str, int]
    """Documents by status."""
    shared: tuple[str, ...]
    """Files that more than one of the runs had; they are taken once."""
    tokens: int
    perplexity: float | None
    """Token-weighted; None where nothing was measured."""

    @property
    def exit_code(self) -> int:
        """Return 3 where rows could not be read, else 0."""
        return 3 if self.statuses.get("unreadable") else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-able."""
        return asdict(self)

    def render(self) -> str:
        """Return the summary for the terminal."""
        files, documents = count_noun(self.files, "file"), count_noun(self.read, "document")
        lines = [f"{self.run}   {len(self.runs)} runs, {files}, {documents}"]
        lines.append(
            "            " + ", ".join(f"{count:,} {status}" for status, count in self.statuses.items() if count)
        )
        if self.perplexity is not None:
            lines.append(f"perplexity  {self.perplexity:.4g} token-weighted, over {self.tokens:,} tokens")
        if self.shared:
            shown = ", ".join(self.shared[:3]) + (", …" if len(self.shared) > 3 else "")
            lines.append(f"taken once  {count_noun(len(self.shared), 'file')} that several runs have ({shown})")
        lines += ["", f"next: {command('dedup', self.run)}", f"      {command('filter --dry-run', self.run)}"]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class MergedRun:
    """One of the runs that are merged."""

    run: Run
    record: Mapping[str, Any]
    corpus: Corpus


def merge_runs(paths: Sequence[str], into: str, allow_mixed: bool = False) -> MergeSummary:
    """Write the run of all files of several runs, and return what it holds. See ``curate.verbs.merge``."""
    named = list(dict.fromkeys(os.path.realpath(path) for path in paths))
    if len(named) < 2:
        raise UsageError("merge takes two or more runs", "curate merge RUN RUN --into RUN")
    if os.path.realpath(into) in named:
        raise UsageError(
            f"--into {into} is one of the runs to merge", spell_merge_command(paths, f"{into.rstrip('/')}-2")
        )
    merged = [open_merged_run(path) for path in dict.fromkeys(paths)]
    for other in merged[1:]:
        check_mergeable(merged[0], other, allow_mixed)
    corpus = join_corpora([each.corpus for each in merged])
    origins = [identify_source(source) for source in corpus.sources]
    run = open_claimed(into, "merge", create=True)
    run.reserve(*ownership.SCORE_NAMES)
    parts = [part for each in merged for part in read_scored_parts(each.run.scores, each.record["parts"])]
    arrangement = arrange_parts(corpus, origins, parts, run.scores)
    arrangement.placed = [restate_origin(placed, merged[0].record["parts"]) for placed in arrangement.placed]
    shared = check_complete(corpus, origins, arrangement, merged)
    scores = begin_merged(run, corpus, origins, merged)
    notes = {}
    with console.progress("merging", None) as progress:
        for placed in arrangement.placed:
            place_copy(run, placed, scores.carried)
            notes[run.scores / placed.name] = placed.note
            progress.advance(documents=placed.num_documents)
    remove_strays(run, {placed.name for placed in arrangement.placed})
    scores.notes = notes
    add_lacking_columns(scores)
    document_columns.complete_carried(run, scores.carried, corpus.fingerprint())
    summary = summarise_scores(run, scores.model, 0.0)
    scores.complete(summary.as_record(), arrangement.documents)
    counts = dict(run.finished_scores()["counts"])
    read, tokens = counts.pop("read"), counts.pop("tokens")
    counts.pop("bytes")
    names = tuple(str(each.run.path) for each in merged)
    return MergeSummary(str(run.path), names, len(corpus.sources), read, counts, shared, tokens, summary.perplexity)


def open_merged_run(path: str) -> MergedRun:
    """Return a run with its finished scores.

    Raises TableError where it cannot be merged, and what ``Run.corpus`` raises.
    """
    run = read_claimed(open_run(path), "merge")
    record = run.finished_scores()
    if "parts" not in record:
        message = f"the scores in {run.path} are of an earlier version, which does not say of which files they are"
        raise TableError(message, f"{spell_score_command(run, record, record['corpus']['paths'])} --restart")
    if record["corpus"]["limit"] is not None:
        asked = record["request"]
        options = {name: value for name, value in asked["options"].items() if name != "limit"}
        rest = {**record, "request": {**asked, "options": options}}
        message = f"the scores in {run.path} end at --limit {record['corpus']['limit']}, which counts over files"
        raise TableError(message, f"{spell_score_command(run, rest, rest['corpus']['paths'])} scores the rest")
    return MergedRun(run, record, run.corpus())


def check_mergeable(first: MergedRun, other: MergedRun, allow_mixed: bool = False) -> None:
    """Raise TableError, naming the option or the file, where two runs are of different models or readings.

    With ``allow_mixed`` other chips and versions may have scored.
    """
    one, two = first.record, other.record
    problems = []
    if one["parts"] != two["parts"]:
        problem = find_model_difference(one["request"]["model"], two["request"]["model"])
        models = one["made_from"]["model"], two["made_from"]["model"]
        problems = [problem] if problem else list_identity_differences(models[0], models[1])
        machine = {} if allow_mixed else find_machine_difference(models[0], models[1])
        problems += list_differences({key: models[0].get(key) for key in machine}, machine)
        problems += list_differences(spell_reading(one["corpus"]), spell_reading(two["corpus"]))
    way = " --restart" if problems else ""
    if one["corpus"]["id_field"] != two["corpus"]["id_field"]:
        problems.append(f"--id-field: {one['corpus']['id_field']}, now {two['corpus']['id_field']}")
    if problems:
        message = f"{other.run.path} was scored otherwise than {first.run.path}: {'; '.join(problems[:3])}"
        # Columns and delimiters are found in each corpus, or kept from the last call, where they are not given.
        found = {name: one["corpus"].get(name) for name in ("text_field", "id_field", "delimiter", "quoting")}
        found = {name: value for name, value in found.items() if value != two["corpus"].get(name)}
        request = {**one["request"], "options": {**one["request"]["options"], **found}}
        same = spell_score_command(other.run, {**one, "request": request}, two["corpus"]["paths"])
        raise TableError(message, f"{same}{way} scores it in the same way")


def spell_reading(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides how rows are read, by the names of options."""
    return {f"--{name.replace('_', '-')}": value for name, value in spec.items() if name not in NOT_READING}


def join_corpora(corpora: Sequence[Corpus]) -> Corpus:
    """Return the corpus of the files of several corpora, read as the first. Raises what ``open_corpus`` raises."""
    specs = [corpus.spec() for corpus in corpora]
    paths = list(dict.fromkeys(path for spec in specs for path in spec["paths"]))
    return Corpus.from_spec({**specs[0], "paths": paths})


def check_complete(
    corpus: Corpus, origins: Sequence[Sequence[Any]], arrangement: Arrangement, merged: Sequence[MergedRun]
) -> tuple[str, ...]:
    """Return the files that several of the runs have.

    Raises TableError where a file of the joined corpus has no scores, or scores have no file in it.
    """
    notes = {Path(placed.name): placed.note for placed in arrangement.placed}
    marks = list_marks(notes)
    lacking = [source.name for source in corpus.sources if not is_finished(marks.get(source.name, ()))]
    if lacking:
        message = f"no run has the scores of {', '.join(lacking[:3])}"
        if corpus.is_drawn_by_place:
            message += ": in a sample, the draw depends on the name of a file, which changes where names are the same"
        raise TableError(message, "score all files into one run")
    paths = Counter(source.path for each in merged for source in each.corpus.sources)
    twice = {path for path, count in paths.items() if count > 1}
    known, left_out = {tuple(origin) for origin in origins}, [*arrangement.left_out, *arrangement.needless]
    dropped = sorted({one.mark.file for one in left_out if one.origin not in known})
    count = sum(int(each.record["counts"]["read"]) for each in merged)
    doubled = sum(one.mark.documents for one in left_out)
    if dropped or arrangement.documents + doubled != count:
        what = ", ".join(dropped[:3]) or "some documents"
        message = f"the scores of {what} have no place in a corpus of all files ({' '.join(corpus.paths)})"
        raise TableError(message, "score all files into one run")
    return tuple(source.name for source in corpus.sources if source.path in twice)


def begin_merged(
    run: Run, corpus: Corpus, origins: Sequence[Sequence[Any]], merged: Sequence[MergedRun]
) -> ResumableScores:
    """Record that a run is being merged, and return its scores. Raises TableError where it holds others."""
    first = merged[0].record
    signals = join_signals([each.record["made_from"]["parameters"]["signals"] for each in merged])
    columns = [set(document_columns.list_carried(each.run)) for each in merged]
    carried = [name for name in document_columns.list_carried(merged[0].run) if name in set.intersection(*columns)]
    sizes = {each.record["corpus"]["slice_bytes"] for each in merged}
    scores = ResumableScores(
        run,
        corpus,
        first["request"],
        signals,
        tuple(carried),
        [list(origin) for origin in origins],
        first,
        mixed=list_machines(merged),
        uneven=len(sizes) > 1 or any(each.record.get("uneven") for each in merged),
    )
    record = scores.describe(first["made_from"]["model"])
    before = run.stage("score")
    is_same = before is not None and all(before.get(name) == record[name] for name in ("parts", "fingerprint"))
    if not is_same and (before is not None or parquet.list_parts(run.scores)):
        raise TableError(
            f"{run.path} holds other scores",
            spell_merge_command([str(each.run.path) for each in merged], f"{run.path}-2"),
        )
    run.save("score", {"complete": False, **record})
    return scores


def join_signals(signals: Sequence[Sequence[str]]) -> list[str]:
    """Return the signals that any of some runs has, but for those that only a model can add: all must have these."""
    some, every = set().union(*signals), set.intersection(*map(set, signals))
    left_out = [name for name in list_measures(some) if name not in every]
    if left_out:
        console.warn(f"{' and '.join(left_out)}: not all of the runs have them, and only the model can add them")
    return [name for name in SIGNALS if name in some and name not in left_out]


def list_machines(merged: Sequence[MergedRun]) -> list[dict[str, Any]]:
    """Return the chips and versions that scored, beside those of the first run, each once."""
    machines: list[dict[str, Any]] = []
    for each in merged:
        other = find_machine_difference(merged[0].record["made_from"]["model"], each.record["made_from"]["model"])
        machines += [one for one in (other, *each.record.get("mixed", [])) if one and one not in machines]
    return machines


def spell_merge_command(runs: Sequence[str], into: str) -> str:
    """Return the command that merges runs into another directory."""
    return f"curate merge {' '.join(map(quote_path, runs))} --into {quote_path(into)}"


def place_copy(run: Run, placed: PlacedPart, carried: Sequence[str]) -> None:
    """Link or write a part of another run, and its carried columns, to where it belongs in this one."""
    root = placed.part.path.parent.parent
    for name in carried:
        folder = document_columns.locate_column(run, name)
        source = root / "carried" / folder.name / placed.part.path.name
        note = parquet.read_metadata(source) if source.exists() else {}
        if is_carried_for(note, placed.part.note):
            copy_part(source, folder / placed.name, placed, describe_carried(note, placed.note))
    copy_part(placed.part.path, run.scores / placed.name, placed, placed.note)


def restate_origin(placed: PlacedPart, parts: str) -> PlacedPart:
    """Return a part as one that is made from ``parts``: runs of other machines have other fingerprints."""
    return replace(placed, note={**placed.note, "made_from": parts})


def copy_part(path: Path, target: Path, placed: PlacedPart, note: Mapping[str, Any]) -> None:
    """Link a file, or copy it where the disk cannot, or write it with new metadata where they differ.

    A link that is there already keeps its temporary name after the renaming, which ``replace_atomically`` removes.
    """
    if not placed.is_unchanged:
        write_slices(path, target, placed, note)
        return
    with replace_atomically(target) as temporary:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)


def remove_strays(run: Run, names: set[str]) -> None:
    """Remove parts that a merge of these runs does not make."""
    for path in parquet.list_parts(run.scores):
        if path.name not in names:
            ownership.remove_part(path)
