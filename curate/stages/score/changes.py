"""Files that change while they are scored: looked at before and after, and noted so that they are read again.

    before ──► reading.json: size, time of change and number of each file ──► scoring ──► after: what differs?

A file that grew keeps the parts of what it had. One of the same size and ends is read again, by no model, and compared
with the hashes of its rows: one that was only touched stays. ``reading.json`` is removed once all is compared, so that
after a kill the next call compares.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from curate.corpus import Corpus, SliceMark, Source
from curate.corpus.files.file_identity import find_continuation, identify_source
from curate.corpus.files.sources import find_sources
from curate.errors import CurateError
from curate.rundir.columns.scored_texts import ScoredTexts
from curate.rundir.run import Run, note_changed_file
from curate.runtime.disk import files
from curate.stages.slice_runner import PartNotes, list_marks

FileState = list[int]
"""Size in bytes, time of the last change in nanoseconds, and number of the inode."""


def read_states(corpus: Corpus) -> dict[str, FileState | None]:
    """Return the state of each local file of a corpus by its name; None for one that is not there, or not local."""
    return {source.name: read_state(source) for source in corpus.sources}


def read_state(source: Source) -> FileState | None:
    """Return the state of a file; None where there is no such local file."""
    try:
        found = os.stat(source.path)
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def locate_states(run: Run) -> Path:
    """Return the path of the file that says in which state the files of a corpus were when their reading began."""
    return run.path / "reading.json"


def begin_reading(run: Run, states: Mapping[str, FileState | None]) -> None:
    """Write the states of the files that are about to be read; those of a reading that was killed stay."""
    known = read_begun(run)
    files.write_json(locate_states(run), {**states, **{name: known[name] for name in known if name in states}})


def read_begun(run: Run) -> dict[str, FileState | None]:
    """Return the states with which a reading began that has not ended; nothing where none has."""
    try:
        value = json.loads(locate_states(run).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def end_reading(run: Run) -> None:
    """Remove the states: everything that was read has been compared."""
    files.remove_file(locate_states(run))


def find_changes(
    run: Run, corpus: Corpus, origins: Sequence[Sequence[Any]], begun: Mapping[str, FileState | None], notes: PartNotes
) -> dict[str, int]:
    """Return the files that are not what was read, by name, with the bytes of each whose parts can be kept.

    ``origins`` are the contents that parts name (``identify_source``), ``begun`` the states when reading began.
    """
    changed: dict[str, int] = {}
    marks = list_marks(notes)
    for source, origin in zip(corpus.sources, origins, strict=True):
        before, now = begun.get(source.name), read_state(source)
        is_local = before is not None
        if source.name not in begun or not marks.get(source.name) or (is_local and before == now):
            continue
        current = _look_again(source, now)
        if current is None:
            changed[source.name] = 0
        elif list(origin) != identify_source(current):
            changed[source.name] = int(origin[2]) if find_continuation(current, origin) is not None else 0
        elif is_local and not is_unchanged(run, corpus, source, marks[source.name]):
            changed[source.name] = 0
    return changed


def _look_again(source: Source, state: FileState | None) -> Source | None:
    """Return a source with the size that it has now; None where it is gone."""
    if state is not None:
        return replace(source, size=state[0])
    try:
        found, _ = find_sources((source.path,))
    except CurateError:
        return None
    return replace(source, size=found[0].size) if found else None


def is_unchanged(run: Run, corpus: Corpus, source: Source, marks: Sequence[SliceMark]) -> bool:
    """Return whether the texts of a file, as far as it has parts, are those that were scored; no model reads them.

    Never where log probabilities were served: beside the same texts others may stand now.
    """
    if ((run.stage("score") or {}).get("made_from") or {}).get("model", {}).get("logprobs_field") is not None:
        return False
    alone = replace(corpus, sources=(source,), limit=None, on_error="quarantine", cuts=lambda _file: marks)
    scored = ScoredTexts(run)
    for documents, mark in zip(alone.slices(), marks, strict=False):
        if documents.mark != mark or scored.find_difference(documents) is not None:
            return False
    return True


def note_changes(run: Run, changed: Mapping[str, int]) -> str:
    """Note in ``run.json`` which files are to be read again, and return the command that does it."""
    hint = ""
    for name, kept_bytes in changed.items():
        hint = note_changed_file(run, name, kept_bytes)
    return hint
