"""One run of ``curate decontaminate``: canaries, the scan over all slices, and the summary of the hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import GateError, Interrupted
from curate.stages.decontaminate.summary import CanaryRecall, DecontaminationSummary, EvalSetReport

if TYPE_CHECKING:
    from curate.corpus import Corpus, Documents
    from curate.rundir.run import Run
    from curate.stages.decontaminate.detector import Detector
    from curate.stages.decontaminate.evalsets import EvalItem, EvalSet
    from curate.stages.decontaminate.hits_table import HitCounts, ScannedText


SHOWN = 3  # hits, the strongest and the weakest, on the screen
HOSTS = 200  # documents that canaries are planted in


@dataclass(frozen=True, slots=True, eq=False)
class DecontaminationJob:
    """One run of the verb."""

    run: "Run"
    corpus: "Corpus"
    sets: "Sequence[EvalSet]"
    items: "list[EvalItem]"
    detector: "Detector"
    method: str
    action: str
    turns: str | None

    def measure(self, each: int, seed: int, write: bool) -> tuple[CanaryRecall, ...]:
        """Plant, look, and count; GateError where a verbatim plant was missed."""
        from curate.stages.decontaminate import canaries

        hosts = self.hosts(seed)
        planted = canaries.plant(self.detector.probes, hosts, each, seed)
        matches = self.detector.scan([canary.text for canary in planted])
        by_text: dict[int, list[Any]] = {}
        for match in matches:
            by_text.setdefault(match.document, []).append(match)
        hit = [canaries.found_in(canary, by_text.get(number, [])) for number, canary in enumerate(planted)]
        recall = tuple(
            CanaryRecall(
                kind,
                sum(canary.kind == kind for canary in planted),
                sum(found for canary, found in zip(planted, hit, strict=True) if canary.kind == kind),
            )
            for kind in canaries.KINDS
        )
        where = self.note_canaries(planted, hit) if write else None
        self.check_recall(recall, where)
        return recall

    def hosts(self, seed: int) -> list[str]:
        """Documents of the user's own, the first of up to eight files; GateError where there are none."""
        from dataclasses import replace
        from random import Random

        texts: list[str] = []
        for source in self.corpus.sources[:8]:
            documents = next(replace(self.corpus, sources=(source,), limit=HOSTS).slices())
            texts += [one.text for one in self.texts(documents) if one.text.strip()]
            if len(texts) > 4 * HOSTS:
                break
        if not texts:
            for documents in self.corpus.slices():
                texts = [one.text for one in self.texts(documents) if one.text.strip()]
                if texts:
                    break
        if not texts:
            raise GateError("no document of the corpus has any text, so a clean result would mean nothing")
        return Random(seed).sample(texts, min(HOSTS, len(texts)))

    def note_canaries(self, planted: Sequence[Any], hit: Sequence[bool]) -> str:
        """RUN/canaries.jsonl: what was planted, and whether it was found."""
        import json

        from curate.runtime import files

        path = self.run.path / "canaries.jsonl"
        with files.replacing(path) as beside, open(beside, "w", encoding="utf-8") as handle:
            for canary, found in zip(planted, hit, strict=True):
                item = self.items[canary.item]
                row = {"kind": canary.kind, "eval_set": item.set, "eval_id": item.id, "found": found}
                row |= {"planted": canary.text[canary.start : canary.end]}
                handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        return str(path)

    def check_recall(self, recall: Sequence[CanaryRecall], where: str | None) -> None:
        verbatim = next(one for one in recall if one.kind == "verbatim")
        if verbatim.found == verbatim.planted and verbatim.planted:
            return
        missed = verbatim.planted - verbatim.found
        message = (
            f"canary recall {verbatim.share:.3f} < 1: {missed} of {verbatim.planted} verbatim plants were not found, "
            "so a clean result would mean nothing"
        )
        other = (
            "minhash is an estimate: --method ngram is exact" if self.method == "minhash" else "this is a bug of ours"
        )
        raise GateError(message, f"{other}; the plants are in {where}" if where else other)

    def texts(self, documents: "Documents") -> "list[ScannedText]":
        """What is looked through of some documents: their texts, or the wished turns."""
        from curate.corpus.chat.types import select_turns
        from curate.stages.decontaminate.hits_table import ScannedText

        if self.turns is None:
            pairs = zip(documents.texts, documents.statuses, strict=True)
            return [ScannedText(place, text) for place, (text, status) in enumerate(pairs) if status == "ok" and text]
        found = []
        for place, turns in enumerate(documents.turns or []):
            wanted = {id(turn) for turn in select_turns(turns or (), self.turns)}
            found += [
                ScannedText(place, turn.text, number, turn.role)
                for number, turn in enumerate(turns or ())
                if id(turn) in wanted
            ]
        return found

    def look(self, documents: "Documents") -> "tuple[Documents, Any, HitCounts]":
        """One slice: its hits as a table, and its counts."""
        from curate.stages.decontaminate import hits_table

        scanned = self.texts(documents)
        matches = self.detector.scan([one.text for one in scanned])
        return documents, *hits_table.tabulate(documents, scanned, matches, self.items, self.action)

    def made_from(self) -> dict[str, Any]:
        from curate.stages.decontaminate import surprisal, thresholds

        sets = {one.name: one.fingerprint for one in self.sets}
        rule = [thresholds.VERSION, surprisal.VERSION]
        return {
            "corpus": self.corpus.identity(),
            "evals": sets,
            "method": self.method,
            "turns": self.turns,
            "rule": rule,
        }

    def scan(self, workers: int, restart: bool) -> "tuple[HitCounts, float]":
        """Look through every slice that has no part yet."""
        from curate.rundir.run import list_done_slices
        from curate.runtime import console
        from curate.runtime.threads import in_order
        from curate.stages.decontaminate import hits_table

        fingerprint = hits_table.begin(self.run, self.made_from(), {"action": self.action}, restart)
        self.run.hits.mkdir(parents=True, exist_ok=True)
        done = list_done_slices(self.run, fingerprint, self.run.hits)
        resumed = sum(mark.documents for marks in done.values() for mark in marks)
        if resumed:
            console.say("resuming", f"{resumed:,} documents were looked through already")
        numbers = {source.name: number for number, source in enumerate(self.corpus.sources)}
        with console.progress("scanning", self.corpus.size) as progress:
            try:
                for documents, table, tally in in_order(self.look, self.corpus.slices(done), workers):
                    hits_table.write(self.run, numbers[documents.mark.file], documents, table, tally, fingerprint)
                    progress.advance(documents=len(documents), done_bytes=documents.read_bytes)
            except KeyboardInterrupt:
                message = f"stopped after {resumed + progress.documents:,} documents; whole parts are kept"
                raise Interrupted(message, "the same command goes on from here") from None
            marks = list_done_slices(self.run, fingerprint, self.run.hits)
            missing = [name for name in numbers if not (marks.get(name) and marks[name][-1].last)]
            seconds = 0.0 if resumed else progress.seconds  # of a part of the work, no speed could be told
            return hits_table.complete(self.run, fingerprint, missing), seconds

    def summarise(
        self, tally: "HitCounts", seconds: float, recall: tuple[CanaryRecall, ...], notes: tuple[str, ...]
    ) -> DecontaminationSummary:
        """What the hits come to."""
        from curate.runtime import console
        from curate.stages.decontaminate import hits_table

        if not tally.counts["scanned"]:
            raise GateError("no document was looked through, so a clean result would mean nothing", self.reason(tally))
        unmatchable: dict[str, list[str]] = {}
        for number in self.detector.probes.unmatchable:
            unmatchable.setdefault(self.items[number].set, []).append(self.items[number].id)
        strongest, weakest = hits_table.ends(self.run, SHOWN)
        often = hits_table.frequent(self.run, tally.counts["scanned"])
        for note in often:
            console.warn(note)
        return DecontaminationSummary(
            run=str(self.run.path),
            corpus=" ".join(self.corpus.paths),
            method=self.method,
            action=self.action,
            turns=self.turns,
            counts=dict(tally.as_dict()["counts"]),
            sets=tuple(
                EvalSetReport(one.name, len(one.items), tuple(unmatchable.get(one.name, ())), *found)
                for one, found in zip(
                    self.sets, hits_table.by_set(self.run, [one.name for one in self.sets]), strict=True
                )
            ),
            recall=recall,
            strongest=strongest,
            weakest=weakest,
            report=None,
            notes=(*notes, *often),
            seconds=seconds,
        )

    def reason(self, tally: "HitCounts") -> str:
        read, empty, unreadable = (f"{tally.counts[name]:,}" for name in ("read", "empty", "unreadable"))
        return f"of {read} documents {empty} are empty and {unreadable} unreadable"

    def record(self, found: DecontaminationSummary) -> None:
        """What later verbs and readers of run.json want of it."""
        record = dict(self.run.stage("decontaminate") or {})
        recall = {one.kind: {"planted": one.planted, "found": one.found} for one in found.recall}
        sets = {one.name: {"items": one.items, "unmatchable": len(one.unmatchable)} for one in found.sets}
        self.run.save("decontaminate", {**record, "recall": recall, "sets": sets})

    def verify(self, workers: int, recall: tuple[CanaryRecall, ...], notes: tuple[str, ...]) -> DecontaminationSummary:
        """Look through an export as a run would, and leave nothing behind."""
        from dataclasses import replace
        from pathlib import Path
        from tempfile import TemporaryDirectory

        from curate.rundir.run import Run

        with TemporaryDirectory(prefix="curate-verify-") as folder:
            aside = replace(self, run=Run(Path(folder)))
            found = aside.summarise(*aside.scan(workers, False), recall, notes)
        return replace(found, run=str(self.run.path), verified=True)
