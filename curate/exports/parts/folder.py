"""``.OUT.parts``: where the tasks of a job array put what they do of the export OUT, until it is completed.

    .OUT.parts/record.json              of which export: its options, the tables of the run, the versions
    .OUT.parts/curate_000012/ …         a spill (``curate.exports.spilled.places``)
    .OUT.parts/curate_taken.json        the corpus has a column of that prefix, so that another one is used

It is hidden, so that no corpus has it. Parts of one export alone are put there. Those of another are refused by name,
and discarded by the plain command with ``--overwrite`` where no process works on them: a part never discards any.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import UsageError
from curate.exports.job import ExportJob
from curate.exports.joined_slices import NameTakenError
from curate.exports.ordered import tasks
from curate.exports.prefixes import follow_prefix
from curate.exports.spilled.places import SpillFolder
from curate.rundir.run import compute_fingerprint
from curate.runtime import console
from curate.runtime.calls import repeat_command
from curate.runtime.disk import claims
from curate.runtime.disk.files import make_storage_error, write_json
from curate.runtime.disk.writers import name_temporary
from curate.runtime.version import __version__

MADE_BY = "curate export --part"
RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class PartsFolder:
    """The folder of the parts of an export."""

    path: Path

    def make_spill(self, job: ExportJob) -> SpillFolder:
        """Return where tasks and shards of a job are put."""
        return SpillFolder(self.path, job.prefix, keeps=True)

    def follow_prefixes(self, job: ExportJob) -> ExportJob:
        """Return the job with the prefix that others have found to be free."""
        while (note := self._find_note(job)).exists():
            job = follow_prefix(job, NameTakenError(json.loads(note.read_bytes())["column"]))
        return job

    def note_taken(self, job: ExportJob, taken: NameTakenError) -> None:
        """Say to others that a column of the corpus has the name of one that is added."""
        write_json(self._find_note(job), {"column": str(taken)})

    def _find_note(self, job: ExportJob) -> Path:
        return self.path / f"{job.prefix}taken.json"

    def remove(self) -> None:
        """Remove the folder; what cannot be removed now is what the next export to this path removes."""
        aside = name_temporary(self.path)
        with suppress(FileNotFoundError):
            os.replace(self.path, aside)
        shutil.rmtree(aside, ignore_errors=True)


def find_parts_path(out: Path) -> Path:
    """Return the folder of the parts of an export to ``out``, a link followed."""
    out = out.resolve() if out.is_symlink() else out
    return out.with_name(f".{out.name}.parts")


def describe_job(job: ExportJob, num_tasks: int) -> dict[str, Any]:
    """Return what all parts of an export have in common, by name: JSON."""
    placed, filtered = job.placed, job.choice.filter
    tables = {"score": job.run.stage("score"), "filter": filtered, "order": placed.order, "bucket": placed.bucket}
    tables |= {"decontaminate": job.choice.rejections.hits, "dedup": job.choice.rejections.duplicates}
    return {
        "--format": job.format,
        "--shard-size": job.shard_bytes,
        "--rejected": job.rejected,
        "--by-bucket": placed.by_bucket,
        "leaks": asdict(job.treatment),
        "--redact": job.redactor.choice.spell(),
        "table": {verb: None if record is None else compute_fingerprint(record) for verb, record in tables.items()},
        "tasks": num_tasks,
        "prefix": job.prefix,
        "version": {"curate": __version__, "pyarrow": pa.__version__},
    }


def find_parts(out: Path, job: ExportJob, overwrite: bool) -> PartsFolder | None:
    """Return what tasks of a job array have done of an export; None where there were none. Raises as ``open_parts``."""
    if not find_parts_path(out).exists():
        return None
    return open_parts(out, job, sum(1 for _ in tasks.group_slices(job)), overwrite, create=False)


def open_parts(out: Path, job: ExportJob, num_tasks: int, overwrite: bool, create: bool) -> PartsFolder | None:
    """Return the folder of the parts of an export, for which a claim is held; None where it is not there to be created.

    With ``overwrite`` parts of another export are discarded, but not where the folder may be created. Raises UsageError
    where there are such or where something else is there, BusyError where processes work on them that would be
    discarded.
    """
    path, described = find_parts_path(out), describe_job(job, num_tasks)
    try:
        with claims.lock_folder(path.parent):
            aside = _set_aside_other(path, described, overwrite and not create)
            if create and not path.exists():
                temporary = name_temporary(path)
                temporary.mkdir()
                write_json(temporary / RECORD, {"made_by": MADE_BY, **described})
                os.rename(temporary, path)
    except OSError as error:
        raise make_storage_error(error, path) from error
    if aside is not None:
        console.say("discarded", f"{path}: parts of another export")
        shutil.rmtree(aside, ignore_errors=True)
    return PartsFolder(path) if path.exists() else None


def _set_aside_other(path: Path, described: Mapping[str, Any], overwrite: bool) -> Path | None:
    """Rename the folder where it is of another export and may be discarded, and return its new path."""
    if not path.exists():
        return None
    record = _read_record(path)
    if record is None:
        message = f"{path} holds something that curate export --part did not write"
        raise UsageError(message, "move it away, or export to another folder")
    if record == described:
        return None
    if not overwrite:
        message = f"{path} holds parts of another export: {'; '.join(_list_differences(record, described))}"
        plain = repeat_command("export", overwrite=True, part=None)
        raise UsageError(message, f"finish that export, or {plain} discards its parts and does this one alone")
    out = path.name[1:].removesuffix(".parts")
    for claim, silent in claims.list_writing(path.parent):
        for resource in claim.writes:
            if claims.overlaps(resource, out):
                raise claims.explain_conflict(path.parent, claim, "writing", resource, silent)
    aside = name_temporary(path)
    os.rename(path, aside)
    return aside


def _read_record(path: Path) -> dict[str, Any] | None:
    """Return what the parts in a folder belong to; None where it is no such folder."""
    try:
        record = json.loads((path / RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return record if isinstance(record, dict) and record.pop("made_by", None) == MADE_BY else None


def _list_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between two exports."""
    found = []
    for name in dict.fromkeys((*old, *new)):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if name == "table" and isinstance(before, Mapping) and isinstance(now, Mapping):
            verbs = [verb for verb in now if before.get(verb) != now[verb]]
            found.append(f"curate {', '.join(verbs)} has run since, or is followed by only one of them")
        else:
            found.append(f"{name} {before}, not {now}")
    return found
