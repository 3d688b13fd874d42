"""The verb ``decontaminate``: which documents contain eval items, with the evidence, and a recall that is measured.

It cannot silently do nothing: no eval item, no document, or a planted item that is not found is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import GateError, Interrupted, UsageError
from curate.evidence.leakage import Leakage, Recall, SetReport

if TYPE_CHECKING:
    from curate.corpus import Corpus, Documents
    from curate.detection import Detector
    from curate.evalsets import EvalItem, EvalSet
    from curate.hitbook import Scanned, Tally
    from curate.runs import Run

SHOWN = 3  # hits, the strongest and the weakest, on the screen
HOSTS = 200  # documents that canaries are planted in
ACTIONS = ("drop", "mark", "cut-span")


def decontaminate(
    evals: Annotated[list[str], typer.Argument(help="Eval sets: files, folders, NAME:SPLIT of the Hub, known names.")],
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    corpus: Annotated[list[str] | None, typer.Option(help="What to look through (default: the run's corpus).")] = None,
    method: Annotated[
        Literal["ngram", "minhash"], typer.Option(help="How candidates are found: exactly, or by MinHash windows.")
    ] = "ngram",
    action: Annotated[
        Literal["drop", "mark", "cut-span"], typer.Option(help="What becomes of a contaminated document.")
    ] = "drop",
    turns: Annotated[
        Literal["all", "user", "assistant"], typer.Option(help="Of conversations: which turns are looked through.")
    ] = "all",
    eval_fields: Annotated[
        str | None, typer.Option(help="Columns of the eval sets, as in question=problem,answer=solution.")
    ] = None,
    lock: Annotated[str | None, typer.Option(help="The evals.lock to keep to (default: the run's own).")] = None,
    fail_on_hit: Annotated[bool, typer.Option("--fail-on-hit", help="Exit with 4 when anything is found.")] = False,
    verify: Annotated[
        str | None, typer.Option(help="Look through this export instead, write nothing, exit with 4 on a hit.")
    ] = None,
    report: Annotated[str | None, typer.Option(help="Where the page goes (default: RUN/contamination.html).")] = None,
    canaries: Annotated[int, typer.Option(help="Eval items of each kind that are planted to measure recall.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the canaries.")] = 0,
    text_field: Annotated[str | None, typer.Option(help="The column with the text, or @SCHEMA, with --corpus.")] = None,
    id_field: Annotated[str | None, typer.Option(help="The column with the document's id, with --corpus.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads (default: the cores that there are).")] = None,
    on_error: Annotated[str, typer.Option(help="A bad row: quarantine it and go on, or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away the hits of this run and begin.")] = False,
) -> Leakage:
    """Find the documents that contain items of eval sets, with the evidence, and measure what would be found.

    Replaces the hits of the run. Every run first plants eval items in copies of some documents and looks for them: a
    plant that is not found word by word, an eval set without items, or a corpus without documents is an error.
    Contaminated documents are dropped by ``filter`` and ``export``; with ``--action mark`` they are marked, with
    ``cut-span`` the matching passage is cut out on export.
    """
    from dataclasses import replace
    from pathlib import Path

    from curate import console, crew, detection, evalsets, evidence, hitbook, runs

    check_counts(canaries, workers)
    place = runs.open_run(run, create=True)
    options = {"text_field": text_field, "id_field": id_field, "on_error": on_error}
    read = open_export(verify, options) if verify else runs.choose_corpus(place, corpus, "decontaminate", **options)
    console.say("reading", read.describe())
    check_action(action, read)
    locked = Path(lock) if lock else place.path / "evals.lock"
    sets = evalsets.open_evals(evals, evalsets.parse_fields(eval_fields), locked if lock else None)
    notes = describe_sets(sets, locked)
    check_apart(sets, read)
    items = [item for one in sets for item in one.items]
    detector = detection.make_detector(items, method)
    check_matchable(detector, sets)
    found = Job(place, read, sets, items, detector, method, action, turns if read.conversation else None)
    recall = found.measure(canaries, seed, write=not verify)
    threads = workers or crew.cores()
    if verify:
        return found.verify(threads, recall, notes)
    tally, seconds = found.scan(threads, restart)
    if locked.parent.is_dir():
        evalsets.write_lock(locked, sets)
    leakage = found.summarise(tally, seconds, recall, notes)
    page = Path(report) if report else place.path / "contamination.html"
    evidence.write_page(page, leakage, hitbook.for_page(place, evidence.MOST))
    found.record(leakage)
    return replace(leakage, report=str(page), fail_on_hit=fail_on_hit)


def check_counts(canaries: int, workers: int | None) -> None:
    if canaries < 1:
        raise UsageError(
            f"--canaries {canaries}: without a plant nothing is measured", "at least 1; the default is 100"
        )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, not {workers}")


def check_action(action: str, corpus: "Corpus") -> None:
    """UsageError where a passage could not be cut out of the text."""
    if action == "cut-span" and (corpus.conversation or "." in corpus.text_field):
        what = "a conversation" if corpus.conversation else f"the nested column {corpus.text_field}"
        raise UsageError(f"--action cut-span cannot cut into {what}", "--action drop, or --action mark")


def open_export(path: str, options: Mapping[str, Any]) -> "Corpus":
    """A finished dataset, to be looked through again."""
    from curate.corpus import open_corpus

    return open_corpus([path], **options)


def describe_sets(sets: "Sequence[EvalSet]", locked: Any) -> tuple[str, ...]:
    """Say which sets were read and from which columns; warn where they are not those of the lock.  → the warnings"""
    from curate import console, evalsets

    for one in sets:
        console.say("eval set", one.describe())
        for problem in one.problems:
            console.warn(problem)
    notes = evalsets.check_lock(evalsets.read_lock(locked), sets) if locked.exists() else []
    for note in notes:
        console.warn(f"{locked}: {note}")
    return tuple(notes)


def check_apart(sets: "Sequence[EvalSet]", corpus: "Corpus") -> None:
    """UsageError where a file is both: every document would be contaminated by itself."""
    import os

    evals = {os.path.realpath(one.source) for one in sets}
    for source in corpus.sources:
        if os.path.realpath(source.path) in evals:
            raise UsageError(f"{source.path} is an eval set and in the corpus too", "take it out of one of the two")


def check_matchable(detector: "Detector", sets: "Sequence[EvalSet]") -> None:
    """GateError where no eval item at all can be looked for."""
    many = sum(len(one.items) for one in sets)
    if len(detector.probes.unmatchable) == many:
        message = f"all {many:,} eval items are too short or too common to be looked for"
        raise GateError(
            f"{message}, so a clean result would mean nothing",
            "name the columns with the questions: --eval-fields question=COLUMN",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One run of the verb."""

    place: "Run"
    corpus: "Corpus"
    sets: "Sequence[EvalSet]"
    items: "list[EvalItem]"
    detector: "Detector"
    method: str
    action: str
    turns: str | None

    def measure(self, each: int, seed: int, write: bool) -> tuple[Recall, ...]:
        """Plant, look, and count; GateError where a verbatim plant was missed."""
        from curate import canaries

        hosts = self.hosts(seed)
        planted = canaries.plant(self.detector.probes, hosts, each, seed)
        matches = self.detector.scan([canary.text for canary in planted])
        by_text: dict[int, list[Any]] = {}
        for match in matches:
            by_text.setdefault(match.document, []).append(match)
        hit = [canaries.found_in(canary, by_text.get(number, [])) for number, canary in enumerate(planted)]
        recall = tuple(
            Recall(
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

        from curate import tables

        path = self.place.path / "canaries.jsonl"
        with tables.replacing(path) as beside, open(beside, "w", encoding="utf-8") as handle:
            for canary, found in zip(planted, hit, strict=True):
                item = self.items[canary.item]
                row = {"kind": canary.kind, "eval_set": item.set, "eval_id": item.id, "found": found}
                row |= {"planted": canary.text[canary.start : canary.end]}
                handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        return str(path)

    def check_recall(self, recall: Sequence[Recall], where: str | None) -> None:
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

    def texts(self, documents: "Documents") -> "list[Scanned]":
        """What is looked through of some documents: their texts, or the wished turns."""
        from curate.conversation import select_turns
        from curate.hitbook import Scanned

        if self.turns is None:
            pairs = zip(documents.texts, documents.statuses, strict=True)
            return [Scanned(place, text) for place, (text, status) in enumerate(pairs) if status == "ok" and text]
        found = []
        for place, turns in enumerate(documents.turns or []):
            wanted = {id(turn) for turn in select_turns(turns or (), self.turns)}
            found += [
                Scanned(place, turn.text, number, turn.role)
                for number, turn in enumerate(turns or ())
                if id(turn) in wanted
            ]
        return found

    def look(self, documents: "Documents") -> "tuple[Documents, Any, Tally]":
        """One slice: its hits as a table, and its counts."""
        from curate import hitbook

        scanned = self.texts(documents)
        matches = self.detector.scan([one.text for one in scanned])
        return documents, *hitbook.tabulate(documents, scanned, matches, self.items, self.action)

    def made_from(self) -> dict[str, Any]:
        from curate import background, verdicts

        sets = {one.name: one.fingerprint for one in self.sets}
        rule = [verdicts.VERSION, background.VERSION]
        return {
            "corpus": self.corpus.identity(),
            "evals": sets,
            "method": self.method,
            "turns": self.turns,
            "rule": rule,
        }

    def scan(self, workers: int, restart: bool) -> "tuple[Tally, float]":
        """Look through every slice that has no part yet."""
        from curate import console, crew, hitbook, runs

        fingerprint = hitbook.begin(self.place, self.made_from(), {"action": self.action}, restart)
        self.place.hits.mkdir(parents=True, exist_ok=True)
        done = runs.done_slices(self.place, fingerprint, self.place.hits)
        resumed = sum(mark.documents for marks in done.values() for mark in marks)
        if resumed:
            console.say("resuming", f"{resumed:,} documents were looked through already")
        numbers = {source.name: number for number, source in enumerate(self.corpus.sources)}
        with console.progress("scanning", self.corpus.size) as progress:
            try:
                for documents, table, tally in crew.in_order(self.look, self.corpus.slices(done), workers):
                    hitbook.write(self.place, numbers[documents.mark.file], documents, table, tally, fingerprint)
                    progress.advance(documents=len(documents), done_bytes=documents.read_bytes)
            except KeyboardInterrupt:
                message = f"stopped after {resumed + progress.documents:,} documents; whole parts are kept"
                raise Interrupted(message, "the same command goes on from here") from None
            marks = runs.done_slices(self.place, fingerprint, self.place.hits)
            missing = [name for name in numbers if not (marks.get(name) and marks[name][-1].last)]
            seconds = 0.0 if resumed else progress.seconds  # of a part of the work, no speed could be told
            return hitbook.complete(self.place, fingerprint, missing), seconds

    def summarise(self, tally: "Tally", seconds: float, recall: tuple[Recall, ...], notes: tuple[str, ...]) -> Leakage:
        """What the hits come to."""
        from curate import console, hitbook

        if not tally.counts["scanned"]:
            raise GateError("no document was looked through, so a clean result would mean nothing", self.reason(tally))
        unmatchable: dict[str, list[str]] = {}
        for number in self.detector.probes.unmatchable:
            unmatchable.setdefault(self.items[number].set, []).append(self.items[number].id)
        strongest, weakest = hitbook.ends(self.place, SHOWN)
        often = hitbook.frequent(self.place, tally.counts["scanned"])
        for note in often:
            console.warn(note)
        return Leakage(
            run=str(self.place.path),
            corpus=" ".join(self.corpus.paths),
            method=self.method,
            action=self.action,
            turns=self.turns,
            counts=dict(tally.as_dict()["counts"]),
            sets=tuple(
                SetReport(one.name, len(one.items), tuple(unmatchable.get(one.name, ())), *found)
                for one, found in zip(
                    self.sets, hitbook.by_set(self.place, [one.name for one in self.sets]), strict=True
                )
            ),
            recall=recall,
            strongest=strongest,
            weakest=weakest,
            report=None,
            notes=(*notes, *often),
            seconds=seconds,
        )

    def reason(self, tally: "Tally") -> str:
        read, empty, unreadable = (f"{tally.counts[name]:,}" for name in ("read", "empty", "unreadable"))
        return f"of {read} documents {empty} are empty and {unreadable} unreadable"

    def record(self, found: Leakage) -> None:
        """What later verbs and readers of run.json want of it."""
        record = dict(self.place.stage("decontaminate") or {})
        recall = {one.kind: {"planted": one.planted, "found": one.found} for one in found.recall}
        sets = {one.name: {"items": one.items, "unmatchable": len(one.unmatchable)} for one in found.sets}
        self.place.save("decontaminate", {**record, "recall": recall, "sets": sets})

    def verify(self, workers: int, recall: tuple[Recall, ...], notes: tuple[str, ...]) -> Leakage:
        """Look through an export as a run would, and leave nothing behind."""
        from dataclasses import replace
        from pathlib import Path
        from tempfile import TemporaryDirectory

        from curate.runs import Run

        with TemporaryDirectory(prefix="curate-verify-") as folder:
            aside = replace(self, place=Run(Path(folder)))
            found = aside.summarise(*aside.scan(workers, False), recall, notes)
        return replace(found, run=str(self.place.path), verified=True)
