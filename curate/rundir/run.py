"""The run directory: where all verbs of one run meet, and what each table was made from.

``run.json`` holds one record a stage: its parameters, the fingerprint of what it was made from, and its counts. It
holds no times and no host names, so that the same work gives the same bytes. A verb that meets a stale or foreign
table stops here, with the command that mends it; it never mixes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from curate.corpus import Corpus, SliceMark, open_corpus
from curate.errors import TableError, UsageError
from curate.rundir import parquet
from curate.runtime import files
from curate.runtime.text import command

FORMAT = 1


def compute_fingerprint(value: Any) -> str:
    """A 128-bit xxh3 of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


@dataclass(slots=True)
class Run:
    """One run directory and its ``run.json``; stages read and write their records through it."""

    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> Path:
        return self.path / "scores"

    @property
    def filter(self) -> Path:
        return self.path / "filter.parquet"

    @property
    def hits(self) -> Path:
        return self.path / "hits"

    @property
    def duplicates(self) -> Path:
        return self.path / "duplicates.parquet"

    @property
    def buckets(self) -> Path:
        return self.path / "buckets.parquet"

    @property
    def order(self) -> Path:
        return self.path / "order.parquet"

    @property
    def carried(self) -> Path:
        return self.path / "carried"

    @property
    def unreadable(self) -> Path:
        return self.path / "unreadable.jsonl"

    def stage(self, name: str) -> dict[str, Any] | None:
        """The record of a stage, or None when it has not run here."""
        found = self.record.get(name)
        return dict(found) if isinstance(found, dict) else None

    def save(self, name: str, record: Mapping[str, Any] | None) -> None:
        """Replace (or with None remove) one stage's record, and write ``run.json`` whole."""
        rest = {key: value for key, value in self.record.items() if key != name}
        self.record = rest if record is None else {**rest, name: dict(record)}
        self.record["format"] = FORMAT
        files.write_json(self.path / "run.json", dict(sorted(self.record.items())))

    def finished_scores(self) -> dict[str, Any]:
        """The record of a complete scores table; TableError, naming the command, when there is none."""
        found = self.stage("score")
        if found is None:
            raise TableError(f"{self.path} holds no scores", command("score CORPUS", self.path))
        if not found.get("complete"):
            hint = "start the same curate score command again: it goes on where it stopped"
            raise TableError(f"the scores in {self.path} are not complete", hint)
        return found

    def corpus(self) -> Corpus:
        """The corpus that was scored, opened again and checked to be the same files."""
        found = self.finished_scores()
        corpus = Corpus.from_spec(found["corpus"])
        if corpus.fingerprint() != found["made_from"]["corpus"]:
            hint = "score it again (curate score … --restart), or bring the old files back"
            raise TableError("the corpus has changed since it was scored: a file's size or content differs", hint)
        return corpus


def choose_run_corpus(run: Run, named: Sequence[str] | None, verb: str, **options: Any) -> Corpus:
    """The corpus of a run: the one that was scored, else the one that an earlier verb read, else the one named here.

    ``options`` are those of ``open_corpus`` for a corpus that is named. A named corpus that is not the run's own is a
    UsageError: verbs of one run speak of one corpus. What was named is recorded for the verbs that follow.
    """
    known = run.stage("score") or run.stage("corpus")
    if known is None and not named:
        named = command(f"{verb} … --corpus CORPUS", run.path)
        hint = f"{named} names it; {command('score CORPUS', run.path)} scores it first"
        raise TableError(f"{run.path} knows no corpus", hint)
    if known is None:
        corpus = open_corpus(list(named or ()), **options)
        run.save("corpus", {"corpus": corpus.spec(), "identity": corpus.identity()})
        return corpus
    corpus = run.corpus() if run.stage("score") else _reopen(known)
    for name, has in (("text_field", corpus.text_field), ("id_field", corpus.id_field)):
        if options.get(name) not in (None, has):
            option = f"--{name.replace('_', '-')}"
            message = f'{option} {options[name]}: in the corpus of {run.path} it is "{has}"'
            raise UsageError(message, f"leave {option} out, or use another --run")
    if named and open_corpus(list(named), **options).identity() != corpus.identity():
        shown = " ".join(known["corpus"]["paths"])
        raise UsageError(f"the corpus of {run.path} is {shown}; --corpus names another", "use another --run")
    return corpus


def _reopen(known: Mapping[str, Any]) -> Corpus:
    corpus = Corpus.from_spec(known["corpus"])
    if corpus.identity() != known["identity"]:
        raise TableError("the corpus has changed since this run began", "use another --run, or bring the files back")
    return corpus


def open_run(path: str | Path, create: bool = False) -> Run:
    """Open a run directory. TableError when it is not there (unless ``create``) or not one of ours."""
    directory = Path(path)
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file, not a run directory", "name a directory with --run")
    place = directory / "run.json"
    if not place.exists():
        if not create:
            raise TableError(f"there is no run in {directory}", command("score CORPUS", directory))
        return Run(directory)
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"{place} cannot be read: {error}", "name another run with --run") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise TableError(f"{place} was written by another version of curate", "name another run with --run")
    return Run(directory, record)


def list_differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two nested records, one ``name: old, now new`` each."""
    found: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += list_differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {_shown(before)}, now {_shown(after)}")
    return found


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def list_done_slices(folder: Path, made_from: str) -> dict[str, list[SliceMark]]:
    """Return the slices whose parts lie complete in a folder, by file: those that follow one another from the first on.

    Temporary files of a killed writer are removed. Raises TableError for a part with another fingerprint.
    """
    parquet.remove_leftovers(folder)
    marks: dict[str, list[SliceMark]] = {}
    for path in parquet.parts(folder):
        note = parquet.read_metadata(path)
        if note.get("made_from") != made_from:
            raise TableError(f"{path} belongs to another run", "start over with --restart, or name another --run")
        mark = SliceMark(**note["slice"])
        marks.setdefault(mark.file, []).append(mark)
    for found in marks.values():
        found.sort(key=lambda mark: mark.number)
    return {name: _contiguous(found) for name, found in marks.items()}


def _contiguous(marks: list[SliceMark]) -> list[SliceMark]:
    return [mark for place, mark in enumerate(marks) if mark.number == place]
