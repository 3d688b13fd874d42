"""One run of ``curate decontaminate``: canaries, the scan over all slices, and the summary of the hits."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from curate.corpus.chat.types import select_turns
from curate.corpus.shares import choose_share
from curate.corpus.units import Unit
from curate.errors import GateError
from curate.rundir.columns.scored_texts import open_scored_texts
from curate.rundir.guards.mending import REQUEST
from curate.rundir.run import Run, spell_first_score_command
from curate.rundir.verdicts import overlaps
from curate.rundir.verdicts.rejections import Rejections
from curate.runtime import calls, console
from curate.runtime.disk import files
from curate.runtime.work import threads
from curate.runtime.work.array_tasks import ArrayTask
from curate.stages.decontaminate import canaries, hits_record, hits_table, solutions, surprisal, thresholds
from curate.stages.decontaminate.hits_table import HitCounts, ScannedText
from curate.stages.decontaminate.options import Action, Method, Turns, Variants
from curate.stages.decontaminate.summary import CanaryRecall, DecontaminationSummary, EvalSetReport
from curate.stages.share_summary import ShareSummary, summarise_share
from curate.stages.slice_runner import Advance, Executor, ProcessedSlice, SliceRun, describe_part, run_slices

if TYPE_CHECKING:
    from curate.corpus import Corpus, Documents
    from curate.stages.decontaminate.detector import Detector
    from curate.stages.decontaminate.evalsets import EvalItem, EvalSet


SHOWN = 3
"""Hits that the terminal shows of the strongest, and of the weakest."""
HOSTS = 200
"""Documents that canaries are planted in, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class DecontaminationJob:
    """One call of ``curate decontaminate``: what it reads, what it looks for, and what becomes of the hits."""

    run: "Run"
    corpus: "Corpus"
    sets: "Sequence[EvalSet]"
    items: "list[EvalItem]"
    detector: "Detector"
    method: Method
    action: Action
    variants: Variants
    turns: Turns | None
    """Of conversations the turns that are scanned: all, user or assistant; None for a corpus of texts."""

    def measure(self, each: int, seed: int, write: bool) -> tuple[CanaryRecall, ...]:
        """Plant eval items in documents, scan these, and return the share found of each kind of plant.

        ``each`` is the number of plants of a kind. With ``write`` the plants are listed in RUN/canaries.jsonl. Raises
        GateError where a verbatim plant was not found, or where there is no text to plant in.
        """
        hosts = self.choose_hosts(seed)
        planted = canaries.plant_canaries(self.detector.queries, hosts, each, seed)
        matches = self.detector.scan([canary.text for canary in planted])
        by_text: dict[int, list[Any]] = {}
        for match in matches:
            by_text.setdefault(match.document, []).append(match)
        hit = [canaries.is_canary_found(canary, by_text.get(number, [])) for number, canary in enumerate(planted)]
        recall = tuple(
            CanaryRecall(
                kind,
                sum(canary.kind == kind for canary in planted),
                sum(found for canary, found in zip(planted, hit, strict=True) if canary.kind == kind),
            )
            for kind in canaries.KINDS
        )
        written = self.write_canaries(planted, hit) if write else None
        self.check_recall(recall, written)
        return recall

    def adapt(self) -> "DecontaminationJob":
        """Return the job with a detector that knows what the corpus often says, by the beginnings of its files."""
        return replace(self, detector=self.detector.adapt(self.read_beginnings()))

    def read_beginnings(self) -> list[str]:
        """Return the texts at the beginnings of up to eight files, some 800 in all."""
        texts: list[str] = []
        for source in self.corpus.sources[:8]:
            documents = next(replace(self.corpus, sources=(source,), limit=HOSTS).slices())
            texts += [one.text for one in self.list_texts(documents) if one.text.strip()]
            if len(texts) > 4 * HOSTS:
                break
        return texts

    def choose_hosts(self, seed: int) -> list[str]:
        """Return texts of the corpus to plant in, from the beginnings of up to eight files. GateError without any."""
        texts = self.read_beginnings()
        if not texts:
            for documents in self.corpus.slices():
                texts = [one.text for one in self.list_texts(documents) if one.text.strip()]
                if texts:
                    break
        if not texts:
            raise GateError("no document of the corpus has any text, so a clean result proves nothing")
        return Random(seed).sample(texts, min(HOSTS, len(texts)))

    def write_canaries(self, planted: Sequence[Any], hit: Sequence[bool]) -> str:
        """Write RUN/canaries.jsonl, a line for each plant with whether it was found, and return its path."""
        path = self.run.path / "canaries.jsonl"
        with files.replace_atomically(path) as beside, open(beside, "w", encoding="utf-8") as handle:
            for canary, found in zip(planted, hit, strict=True):
                item = self.items[canary.item]
                row = {"kind": canary.kind, "eval_set": item.set, "eval_id": item.id, "found": found}
                row |= {"planted": canary.text[canary.start : canary.end]}
                handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        return str(path)

    def check_recall(self, recall: Sequence[CanaryRecall], written: str | None) -> None:
        """Raise GateError where a verbatim plant was not found. ``written`` is the file that lists the plants."""
        verbatim = next(one for one in recall if one.kind == "verbatim")
        if verbatim.found == verbatim.planted and verbatim.planted:
            return
        missed = verbatim.planted - verbatim.found
        message = (
            f"canary recall {verbatim.share:.3f} < 1: {missed} of {verbatim.planted} verbatim plants were not found, "
            "so a clean result proves nothing"
        )
        other = (
            "minhash is an estimate: --method ngram is exact" if self.method == "minhash" else "this is a bug of ours"
        )
        raise GateError(message, f"{other}; the plants are in {written}" if written else other)

    def list_texts(self, documents: "Documents") -> "list[ScannedText]":
        """Return the texts of some documents that are scanned: the documents, or those turns that ``turns`` names."""
        if self.turns is None:
            pairs = zip(documents.texts, documents.statuses, strict=True)
            return [ScannedText(index, text) for index, (text, status) in enumerate(pairs) if status == "ok" and text]
        texts = []
        for index, turns in enumerate(documents.turns or []):
            selected = {id(turn) for turn in select_turns(turns or (), self.turns)}
            texts += [
                ScannedText(index, turn.text, number, turn.role)
                for number, turn in enumerate(turns or ())
                if id(turn) in selected
            ]
        return texts

    def find_hits(self, documents: "Documents") -> "tuple[pa.Table, HitCounts]":
        """Return the hits of one slice as a table, and its counts."""
        scanned = self.list_texts(documents)
        matches = self.detector.scan([one.text for one in scanned])
        return hits_table.tabulate_hits(documents, scanned, matches, self.items, self.action, self.variants)

    def made_from(self) -> dict[str, Any]:
        """Return what the hits depend on; other values make them stale."""
        sets = {one.name: one.fingerprint for one in self.sets}
        rule = [thresholds.VERSION, surprisal.VERSION]
        rule += [solutions.VERSION] if self.detector.solutions else []
        return {
            "corpus": self.corpus.identity(),
            "evals": sets,
            "method": self.method,
            "turns": self.turns,
            "rule": rule,
        }

    def scan(self, workers: int, restart: bool, executor: Executor | None = None) -> "tuple[HitCounts, float]":
        """Scan every slice that has no part yet, and return the counts of all slices and the seconds that it took.

        ``executor`` says where (``run_slices``), each worker with ``workers`` threads. The seconds are 0 where parts
        were there before: no speed can be derived from a part of the work. Raises TableError for parts of other hits
        that several processes made, unless with ``restart``.
        """
        again = calls.repeat_command("decontaminate", restart=True)
        fingerprint = hits_record.begin_hits(self.run, self.made_from(), self.parameters(), restart, again)
        done = self.scan_units(fingerprint, workers, executor=executor)
        return hits_table.sum_counts(done.notes.values()), 0.0 if done.resumed else done.seconds

    def scan_share(self, task: ArrayTask, workers: int) -> ShareSummary:
        """Scan the share of a task of a job array, beside processes that scan others, and return its summary.

        Raises TableError where the hits of the run are made from something else.
        """
        again = calls.repeat_command("decontaminate", restart=True, part=None, corpus=None)
        slice_bytes = self.corpus.slice_bytes
        fingerprint = hits_record.begin_share(self.run, self.made_from(), self.parameters(), slice_bytes, again)
        share = choose_share(self.corpus, task)
        assert share is not None
        done = self.scan_units(fingerprint, workers, share)
        completing = calls.repeat_command("decontaminate", part=None, corpus=None)
        return summarise_share(str(self.run.path), self.corpus, task, share, done, "scanned", completing)

    def prove(self, each: int, seed: int) -> None:
        """Measure the recall once for all shares, before the first process records what the hits are made from.

        The plain command that completes the hits measures again, and writes what it planted. Raises GateError.
        """
        if not hits_record.has_begun(self.run):
            self.measure(each, seed, write=False)

    def scan_units(
        self,
        fingerprint: str,
        workers: int,
        share: Sequence[Unit] | None = None,
        executor: Executor | None = None,
    ) -> SliceRun:
        """Scan the slices of some units, of all with None, that have no part yet, and return what was done."""
        scored = open_scored_texts(self.run, self.corpus.sources)
        work, check = ScanWork(self, fingerprint, workers), None if scored is None else scored.check
        leftovers, known = [self.run.path], self.run.list_known_notes(self.run.hits)
        return run_slices(self.corpus, work, leftovers, executor=executor, known=known, check=check, share=share)

    def parameters(self) -> dict[str, Any]:
        """Return what becomes of the hits; other values make them anew."""
        return {"action": self.action, "variants": self.variants}

    def summarise(
        self, counts: "HitCounts", seconds: float, recall: tuple[CanaryRecall, ...], notes: tuple[str, ...]
    ) -> DecontaminationSummary:
        """Return the summary of the hits in the run directory. GateError where no document was scanned."""
        if not counts.counts["scanned"]:
            message = "no document was scanned, so a clean result proves nothing"
            raise GateError(message, count_unscanned(counts))
        unmatchable: dict[str, list[str]] = {}
        for number in self.detector.unmatchable:
            unmatchable.setdefault(self.items[number].set, []).append(self.items[number].id)
        strongest, weakest = hits_table.select_extremes(self.run, SHOWN)
        often = hits_table.describe_frequent_items(self.run, counts.counts["scanned"])
        for note in often:
            console.warn(note)
        if self.run.stage("score") is not None:
            often += overlaps.describe_overlaps(
                overlaps.count_overlaps(self.run, Rejections(hits=self.run.stage("decontaminate")))
            )
        return DecontaminationSummary(
            run=str(self.run.path),
            corpus=" ".join(self.corpus.paths),
            method=self.method,
            action=self.action,
            variants=self.variants,
            turns=self.turns,
            counts=dict(counts.as_dict()["counts"]),
            sets=tuple(
                EvalSetReport(one.name, len(one.items), tuple(unmatchable.get(one.name, ())), *found)
                for one, found in zip(
                    self.sets, hits_table.count_by_set(self.run, [one.name for one in self.sets]), strict=True
                )
            ),
            recall=recall,
            strongest=strongest,
            weakest=weakest,
            report=None,
            languages=dict(sorted(Counter(self.detector.queries.tables).items())),
            notes=(*notes, *often),
            seconds=seconds,
            score_command=None if self.run.stage("score") else spell_first_score_command(self.run),
            solutions=len(self.detector.solutions.queries) if self.detector.solutions else 0,
        )

    def complete(self, counts: "HitCounts", summary: DecontaminationSummary, request: Mapping[str, Any]) -> None:
        """Record the hits in run.json, with the recall, the eval sets and the ``request`` (``mending.REQUEST``)."""
        recall = {one.kind: {"planted": one.planted, "found": one.found} for one in summary.recall}
        sets = {one.name: {"items": one.items, "unmatchable": len(one.unmatchable)} for one in summary.sets}
        hits_table.complete_hits(self.run, counts, {"recall": recall, "sets": sets, REQUEST: request})

    def verify(self, workers: int, recall: tuple[CanaryRecall, ...], notes: tuple[str, ...]) -> DecontaminationSummary:
        """Scan an export as a run would, and return the summary. Nothing is written to the run directory."""
        with files.open_scratch_folder("curate-verify-", self.run.path) as folder:
            temporary = replace(self, run=Run(folder))
            summary = temporary.summarise(*temporary.scan(workers, False), recall, notes)
        return replace(summary, run=str(self.run.path), verified=True, score_command=None)


def count_unscanned(counts: "HitCounts") -> str:
    """Return why documents were not scanned, as a sentence."""
    read, empty, unreadable = (f"{counts.counts[name]:,}" for name in ("read", "empty", "unreadable"))
    return f"of {read} documents {empty} are empty and {unreadable} unreadable"


@dataclass(frozen=True, slots=True, eq=False)
class ScanWork:
    """What ``curate decontaminate`` does with slices (``slice_runner.SliceWork``)."""

    job: DecontaminationJob
    fingerprint: str
    workers: int
    columns: "Literal['text', 'all'] | tuple[str, ...]" = "text"
    label: str = "scanning"
    done: str = "scanned"

    @property
    def folder(self) -> Path:
        """The hits of the run."""
        return self.job.run.hits

    def process(
        self, slices: "Iterator[Documents]", advance: Advance
    ) -> "Iterator[ProcessedSlice[tuple[pa.Table, HitCounts]]]":
        """Scan several slices at once, in threads."""
        return threads.map_in_order(self._scan, slices, self.workers)

    def _scan(self, documents: "Documents") -> "ProcessedSlice[tuple[pa.Table, HitCounts]]":
        return ProcessedSlice(documents, self.job.find_hits(documents), documents.read_bytes)

    def write(self, path: Path, processed: "ProcessedSlice[tuple[pa.Table, HitCounts]]") -> None:
        """Write the hits of a slice, with their counts."""
        table, counts = processed.result
        hits_table.write_hits(path, table, counts, describe_part(self, processed.documents))
