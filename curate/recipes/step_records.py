"""What a run directory remembers of the steps that made it: ``recipe.json``, by which an unchanged step is skipped.

A step is unchanged when its parameters, the records of the stages that it reads, the files that it names and what it
left behind are all as they were when it was done. Records and not clocks are compared, so that a copied run is still
unchanged, and a verb that was run by hand since is seen. What is named on the Hub is taken to be as it was.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from curate.corpus import Corpus
from curate.errors import CurateError
from curate.recipes.stage_graph import Step, folder_of, reads
from curate.rundir.run import FORMAT, Run, compute_fingerprint, list_differences
from curate.runtime import files

WHOLE_BYTES = 16_000_000  # files up to this are read whole, of larger ones their size and both ends
EDGE_BYTES = 1 << 16
TABLES = {"score": "scores", "decontaminate": "hits", "dedup": "duplicates", "bucket": "buckets"}
"""Where a stage keeps its table, by the name in ``Run``; elsewhere it is called like the verb."""
WRITTEN = frozenset({"out", "report", "save_cutoffs", "verify"})  # parameters that name no input
NO_MATTER = frozenset({"restart", "overwrite"})  # parameters that do not change what comes out

Note = Mapping[str, Any]


class StepRecords:
    """The notes on the steps of one run directory, each saved when its step is done."""

    __slots__ = ("_notes", "_path")

    def __init__(self, run: str | Path):
        self._path = Path(run) / "recipe.json"
        self._notes = _read_notes(self._path)

    def why(self, run: Run, step: Step) -> str | None:
        """Why a step has to be run, in words; None where it is unchanged."""
        note = self._notes.get(key_of(step))
        if note is None or step.looks:
            return "not done yet"
        now = describe_step(run, step)
        changed = list_differences(note["parameters"], now["parameters"])
        if changed:
            return "; ".join(changed[:3])
        for name in now["read"]:
            if note["read"].get(name) != now["read"][name]:
                return f"{'the corpus' if name == 'corpus' else name} has changed"
        for name in now["files"]:
            if note["files"].get(name) != now["files"][name]:
                return "the export has changed" if step.verb == "verify" else f"what {name} names has changed"
        if now["left"] is None or note["left"] != now["left"]:
            return "what it left is not there as it was"
        return None

    def exit_code(self, step: Step) -> int:
        """What a step that is done ended with."""
        return int(self._notes[key_of(step)]["exit_code"])

    def wrote(self, step: Step) -> bool:
        """Whether the folder that a step writes is, to the letter, the one that it left last."""
        note = self._notes.get(key_of(step))
        return note is not None and (note["left"] or {}).get("out", "") == fingerprint_left(Path(step.values["out"]))

    def same_but_corpus(self, run: Run, step: Step) -> bool:
        """Whether a step would be unchanged, had the documents not changed."""
        note = self._notes.get(key_of(step))
        if note is None:
            return False
        now = describe_step(run, step)
        same = all(note[name] == now[name] for name in ("parameters", "files", "left"))
        return same and note["read"] != now["read"]

    def save(self, run: Run, step: Step, exit_code: int) -> None:
        """Note that a step is done, as it now stands."""
        found = describe_step(run, step)
        if step.looks or found["left"] is None:
            return
        self._notes[key_of(step)] = {**found, "exit_code": exit_code}
        whole = {"format": FORMAT, "steps": dict(sorted(self._notes.items()))}
        files.write_json(self._path, whole)


def _read_notes(path: Path) -> dict[str, Any]:
    """The notes of an earlier run; none where they cannot be read: then every step is run."""
    try:
        found = json.loads(path.read_bytes())
        return dict(found["steps"]) if found["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def key_of(step: Step) -> str:
    """By what a step is remembered: its verb, and what it writes; of one that only reads, all that it asks."""
    if step.verb == "verify":
        return f"{step.name} {folder_of(step)} {compute_fingerprint(step.values)}"
    return f"{step.name} {folder_of(step)}" if folder_of(step) else step.name


def describe_step(run: Run, step: Step) -> dict[str, Any]:
    """What a step asks and reads, and what of it is there."""
    parameters = {name: value for name, value in step.values.items() if name not in NO_MATTER}
    names = ("corpus",) if step.verb == "score" else reads(step)
    read = {name: _corpus_of(run) if name == "corpus" else _stage_of(run, name) for name in names}
    return {
        "parameters": parameters,
        "read": read,
        "files": dict(_files_of(step, names)),
        "left": _left_by(run, step),
    }


def _stage_of(run: Run, name: str) -> str | None:
    record = run.stage(name)
    return None if record is None else str(record.get("fingerprint") or compute_fingerprint(record))


def _corpus_of(run: Run) -> str | None:
    """The documents of the run as they are now; None where they cannot be opened, or are not those that were scored."""
    record = run.stage("score") or run.stage("corpus")
    try:
        corpus = Corpus.from_spec(record["corpus"]) if record else None
        if (
            corpus is not None
            and record
            and "made_from" in record
            and corpus.fingerprint() != record["made_from"]["corpus"]
        ):
            return None
        return corpus.identity() if corpus else None
    except CurateError:
        return None


def _files_of(step: Step, read: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The local files that the parameters name, but for the run's own corpus, which is looked at as such."""
    for name, value in step.values.items():
        own = name in WRITTEN and step.verb != "verify"
        if own or (name == "corpus" and "corpus" in read):
            continue
        paths = [
            os.path.expanduser(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)
        ]
        # Who verifies an export wants to hear of any byte of it.
        whole = step.verb == "verify"
        found = [fingerprint_path(Path(path), whole) for path in paths if "://" not in path and os.path.exists(path)]
        if found:
            yield name, compute_fingerprint(found)


def _left_by(run: Run, step: Step) -> dict[str, str] | None:
    """The record, the table and the files that a step left; None where it leaves none of them."""
    if step.verb == "verify":
        return {}  # its finding was true of the files as they were, and these are looked at
    found = {name: fingerprint_left(path) for name, path in _written_by(run, step).items()}
    record = run.stage(step.verb)
    if record is not None:
        found["record"] = compute_fingerprint(record)
        table = getattr(run, TABLES.get(step.verb, step.verb), None)
        if isinstance(table, Path):
            found["table"] = fingerprint_left(table)
    return found or None


def _written_by(run: Run, step: Step) -> dict[str, Path]:
    """What a step writes beside its table, by the name of the parameter."""
    if step.verb == "report":
        page = Path(step.values.get("out") or run.path / "report.html")
        return {"out": page, "numbers": page.with_suffix(".json")}
    named = {name: Path(step.values[name]) for name in ("out", "save_cutoffs") if step.values.get(name)}
    return {**named, "cutoffs": run.path / "cutoffs.json"} if step.verb == "bucket" else named


# Files.


def _walk(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file of a folder with its name below it, or the file alone."""
    if not path.is_dir():
        yield "", path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield (Path(folder) / name).relative_to(path).as_posix(), Path(folder) / name


def fingerprint_path(path: Path, whole: bool = False) -> str:
    """Names, sizes and contents of a file or a folder; ``whole`` reads large files to their end, too."""
    return compute_fingerprint(sorted([name, *_content(place, whole)] for name, place in _walk(path)))


def fingerprint_left(path: Path) -> str:
    """Names and sizes, and of what is JSON the contents: enough to see that something is gone or was replaced."""
    if not path.exists():
        return "missing"
    rows = [
        [name, *(_content(place) if place.suffix == ".json" else [place.stat().st_size])] for name, place in _walk(path)
    ]
    return compute_fingerprint(sorted(rows))


def _content(path: Path, whole: bool = False) -> list[Any]:
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if whole or size <= WHOLE_BYTES:
                return [size, _hash(file)]
            first = file.read(EDGE_BYTES)
            file.seek(-EDGE_BYTES, os.SEEK_END)
            return [size, xxhash.xxh3_64_hexdigest(first + file.read())]
    except OSError as error:
        return [-1, str(error.strerror)]


def _hash(file: BinaryIO) -> str:
    found = xxhash.xxh3_64()
    while block := file.read(WHOLE_BYTES):
        found.update(block)
    return found.hexdigest()
