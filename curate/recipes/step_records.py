"""The records of the steps that made a run: ``recipe.json``, by which an unchanged step is skipped.

A step is unchanged when its parameters, the records of the stages that it reads, the files that it names and what it
wrote are all as they were when it was done. Records and not clocks are compared, so that a copied run is still
unchanged, and a verb that was run by hand since is noticed. Files and models on the Hub count as unchanged.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from curate.corpus import Corpus
from curate.errors import CurateError
from curate.recipes.stage_graph import Step, folder_of, list_stages_read
from curate.rundir.run import FORMAT, Run, compute_fingerprint, list_differences
from curate.runtime.disk import files
from curate.runtime.disk.object_store import ObjectStore, is_store_url

WHOLE_BYTES = 16_000_000
"""Files up to this size are hashed completely, of larger ones both ends."""
STAGES = {"merge": "score"}
"""The stage that a verb records, where it is not of its own name."""
TABLES = {"score": "scores", "merge": "scores", "decontaminate": "hits", "dedup": "duplicates", "bucket": "buckets"}
"""The attribute of ``Run`` with the path of a stage's table, where it is not the name of the verb."""
WRITTEN = frozenset({"out", "into", "report", "save_cutoffs", "verify"})
"""Parameters that name no input."""
NO_MATTER = frozenset({"restart", "overwrite", "engine", "address", "workers", "gpus_per_worker", "cpus_per_worker"})
"""Parameters that do not change the output."""

Note = Mapping[str, Any]


class StepRecords:
    """The records of the steps of one run directory, each saved when its step is done."""

    __slots__ = ("_notes", "_path")

    def __init__(self, run: str | Path):
        self._path = Path(run) / "recipe.json"
        self._notes = _read_notes(self._path)

    def why(self, run: Run, step: Step) -> str | None:
        """Return the reason why a step has to be run, None where it is unchanged."""
        note = self._notes.get(make_key(step))
        if note is None or step.is_read_only:
            return "not done yet"
        now = describe_step(run, step)
        before = {name: value for name, value in note["parameters"].items() if name not in NO_MATTER}
        changed = list_differences(before, now["parameters"])
        if changed:
            return "; ".join(changed[:3])
        for name in now["read"]:
            if note["read"].get(name) != now["read"][name]:
                return f"{'the corpus' if name == 'corpus' else name} has changed"
        for name in now["files"]:
            if note["files"].get(name) != now["files"][name]:
                return "the export has changed" if step.verb == "verify" else f"the input of {name} has changed"
        if now["left"] is None or note["left"] != now["left"]:
            return "its output is missing or has changed"
        return None

    def exit_code(self, step: Step) -> int:
        """Return the exit code of a step that is done."""
        return int(self._notes[make_key(step)]["exit_code"])

    def wrote(self, step: Step) -> bool:
        """Return whether the folder that a step writes is exactly as the step left it last."""
        note = self._notes.get(make_key(step))
        return note is not None and (note["left"] or {}).get("out", "") == fingerprint_left(_locate(step.values["out"]))

    def same_but_corpus(self, run: Run, step: Step) -> bool:
        """Return whether nothing but the documents has changed for a step."""
        note = self._notes.get(make_key(step))
        if note is None:
            return False
        now = describe_step(run, step)
        before = {name: value for name, value in note["parameters"].items() if name not in NO_MATTER}
        same = before == now["parameters"] and all(note[name] == now[name] for name in ("files", "left"))
        return same and note["read"] != now["read"]

    def save(self, run: Run, step: Step, exit_code: int) -> None:
        """Record that a step is done, with its inputs and outputs as they are now; a read-only step is not recorded."""
        note = describe_step(run, step)
        changed_meanwhile = step.verb == "score" and bool((run.stage("score") or {}).get("reread"))
        if step.is_read_only or note["left"] is None or changed_meanwhile:
            return
        self._notes[make_key(step)] = {**note, "exit_code": exit_code}
        content = {"format": FORMAT, "steps": dict(sorted(self._notes.items()))}
        files.write_json(self._path, content)


def _read_notes(path: Path) -> dict[str, Any]:
    """Return the records of an earlier run; none where they cannot be read, so that every step is run."""
    try:
        content = json.loads(path.read_bytes())
        return dict(content["steps"]) if content["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def make_key(step: Step) -> str:
    """Return the key of a step's record: its verb and what it writes; for ``verify`` its verb and all parameters."""
    if step.verb == "verify":
        return f"{step.name} {folder_of(step)} {compute_fingerprint(step.values)}"
    return f"{step.name} {folder_of(step)}" if folder_of(step) else step.name


def describe_step(run: Run, step: Step) -> dict[str, Any]:
    """Return the parameters of a step, and fingerprints of what it reads and of what it wrote."""
    parameters = {name: value for name, value in step.values.items() if name not in NO_MATTER}
    names = ("corpus",) if step.verb == "score" else list_stages_read(step)
    read = {name: _identify_corpus(run) if name == "corpus" else _identify_stage(run, name) for name in names}
    return {
        "parameters": parameters,
        "read": read,
        "files": dict(_fingerprint_inputs(step, names)),
        "left": _fingerprint_outputs(run, step),
    }


def _identify_stage(run: Run, name: str) -> str | None:
    record = run.stage(name)
    return None if record is None else str(record.get("fingerprint") or compute_fingerprint(record))


def _identify_corpus(run: Run) -> str | None:
    """Return the identity of the run's documents, None where they cannot be opened or are not the scored ones."""
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


def _fingerprint_inputs(step: Step, read: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the parameters that name local files, or an export in a store, with a fingerprint of those.

    A corpus is left out where the step reads it as a stage.
    """
    for name, value in step.values.items():
        is_output = name in WRITTEN and step.verb != "verify"
        if is_output or (name == "corpus" and "corpus" in read):
            continue
        paths = [
            os.path.expanduser(path)
            for path in (value if isinstance(value, list) else [value])
            if isinstance(path, str)
        ]
        every_byte = step.verb == "verify"
        local = [Path(path) for path in paths if "://" not in path and os.path.exists(path)]
        if local:
            yield name, compute_fingerprint([fingerprint_path(path, every_byte) for path in local])
        elif step.verb == "verify" and name == "out" and is_store_url(value):
            yield name, fingerprint_left(value)


def _fingerprint_outputs(run: Run, step: Step) -> dict[str, str] | None:
    """Return fingerprints of the record, the table and the files that a step wrote; None where it wrote none."""
    if step.verb == "verify":
        return {}  # the result depends on the files alone, which are inputs
    outputs = {name: fingerprint_left(path) for name, path in _list_outputs(run, step).items()}
    record = run.stage(STAGES.get(step.verb, step.verb))
    if record is not None:
        outputs["record"] = compute_fingerprint(record)
        table = getattr(run, TABLES.get(step.verb, step.verb), None)
        if isinstance(table, Path):
            outputs["table"] = fingerprint_left(table)
    return outputs or None


def _locate(output: str) -> Path | str:
    """Return the path of an output, or its URL."""
    return output if is_store_url(output) else Path(output)


def _list_outputs(run: Run, step: Step) -> dict[str, Path | str]:
    """Return the files and folders that a step writes next to its table, by the name of the parameter."""
    if step.verb == "report":
        page = Path(step.values.get("out") or run.path / "report.html")
        return {"out": page, "numbers": page.with_suffix(".json")}
    named = {name: _locate(step.values[name]) for name in ("out", "save_cutoffs") if step.values.get(name)}
    return {**named, "cutoffs": run.path / "cutoffs.json"} if step.verb == "bucket" else named


def _walk(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of a folder with its path below it, or the file alone."""
    if not path.is_dir():
        yield "", path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield (Path(folder) / name).relative_to(path).as_posix(), Path(folder) / name


def fingerprint_path(path: Path, every_byte: bool = False) -> str:
    """Return a fingerprint of the names, sizes and contents of a file or a folder.

    Of files larger than WHOLE_BYTES both ends count, with ``every_byte`` all of them.
    """
    return compute_fingerprint(sorted([name, *_hash_content(file, every_byte)] for name, file in _walk(path)))


def fingerprint_left(path: Path | str) -> str:
    """Return a fingerprint of names and sizes, and of the contents of JSON files; ``missing`` where nothing is there.

    That is enough to notice an output that was removed or replaced. Of what is at a URL it is one of names, sizes and
    what the store says of each object. Raises StorageError where the store refuses.
    """
    if isinstance(path, str):
        found = ObjectStore(path).list()
        return compute_fingerprint([[name, found[name].size, found[name].tag] for name in sorted(found)] or "missing")
    if not path.exists():
        return "missing"
    rows = [
        [name, *(_hash_content(file) if file.suffix == ".json" else [file.stat().st_size])]
        for name, file in _walk(path)
    ]
    return compute_fingerprint(sorted(rows))


def _hash_content(path: Path, every_byte: bool = False) -> list[Any]:
    """Return size and hash of a file, −1 and the reason where it cannot be read."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if every_byte or size <= WHOLE_BYTES:
                return [size, _hash(file)]
            return [size, xxhash.xxh3_64_hexdigest(b"".join(files.read_edges(file, size)))]
    except OSError as error:
        return [-1, str(error.strerror)]


def _hash(file: BinaryIO) -> str:
    digest = xxhash.xxh3_64()
    while block := file.read(WHOLE_BYTES):
        digest.update(block)
    return digest.hexdigest()
