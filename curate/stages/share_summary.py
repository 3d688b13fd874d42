"""What a verb with ``--part`` returns: one share of a corpus, worked on beside others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curate.corpus import Corpus
from curate.corpus.shares import deal_units
from curate.corpus.slice_marks import list_slices
from curate.corpus.types import Source
from curate.corpus.units import Unit
from curate.errors import UsageError
from curate.runtime.numbers import count_noun
from curate.runtime.text import command
from curate.runtime.work import profiler
from curate.runtime.work.array_tasks import ArrayTask
from curate.stages.slice_runner import SliceRun


@dataclass(frozen=True, slots=True)
class ShareSummary:
    """One share of a corpus, of which every document has been worked on."""

    run: str
    part: str
    """Which share, counted from 0: ``2/64``."""
    done: str
    """What is true of the documents now: ``scored``."""
    files: int
    """Files of the corpus of which this share has any."""
    documents: int
    """Documents of these files, with those that could not be read."""
    resumed: int
    """Those of them that were done before."""
    units: int
    """What is dealt, in all: files, pieces of large ones, and runs of small ones that share a slice."""
    seconds: float
    """Of work in this call."""
    completing: str
    """The command that completes the work when every share is done."""
    profile: dict[str, Any] | None = None
    """With ``--profile``, where the time went (``profiler.describe_profile``)."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-able."""
        return asdict(self)

    def render(self) -> str:
        """Return the summary for the terminal."""
        from curate.runtime.console import format_clock

        before = f", {self.resumed:,} of them before" if self.resumed else ""
        files = count_noun(self.files, "file")
        done = f"{count_noun(self.documents, 'document')} of {files} {self.done}{before}"
        lines = [
            f"part {self.part}  {done}   {format_clock(self.seconds)}",
        ]
        count = int(self.part.partition("/")[2])
        if self.units < count:
            dealt = f"{self.units:,} of {count_noun(count, 'part')} get any"
            lines.append(
                f"dealt     {dealt}: small files that share a slice are {self.done} by one process, and so is a file "
                "that can be read from its beginning alone"
            )
        if self.profile is not None:
            lines += profiler.render_profile(self.profile)
        commands = {self.completing: "completes it when every part is done"}
        commands |= {command("status --watch", Path(self.run)): "shows how far the others are"}
        width = max(map(len, commands))
        lines += ["", *(f"{typed:<{width}}  {what}" for typed, what in commands.items())]
        lines[-2] = f"next: {lines[-2]}"
        lines[-1] = f"      {lines[-1]}"
        return "\n".join(lines)


def check_share_options(paths: Sequence[str], limit: int | None, restart: bool) -> None:
    """Raise UsageError for options that cannot hold for one share of a corpus."""
    if limit is not None:
        raise UsageError("--part and --limit: a limit counts over all files", "leave --limit out, or draw a --sample")
    if restart:
        message = "--part and --restart: the parts that other processes write would be deleted"
        raise UsageError(message, "leave --restart out, or name another --run")
    if "-" in paths:
        raise UsageError("--part needs a corpus of files: every process reads another standard input", "name the files")


def summarise_share(
    run: str, corpus: Corpus, task: ArrayTask, share: Sequence[Unit], done: SliceRun, word: str, completing: str
) -> ShareSummary:
    """Return the summary of a share whose parts are written.

    ``corpus`` is cut as the parts are, ``done`` what ``run_slices`` returned for the units in ``share``, ``word`` what
    is true of their documents (scored), and ``completing`` the command that completes the work of all shares.
    """
    name_to_units: dict[str, list[tuple[Source, Unit]]] = {}
    for unit in share:
        for source in unit.list_sources(corpus):
            name_to_units.setdefault(source.name, []).append((source, unit))
    marks = [mark for note in done.notes.values() for mark in list_slices(note)]
    documents = sum(
        mark.documents
        for mark in marks
        if any(unit.covers(mark, source) for source, unit in name_to_units.get(mark.file, ()))
    )
    return ShareSummary(
        run=run,
        part=f"{task.index}/{task.count}",
        done=word,
        files=len(name_to_units),
        documents=documents,
        resumed=documents - done.documents,
        units=sum(map(len, deal_units(corpus.sources, corpus.slice_bytes, task.count))),
        seconds=done.seconds,
        completing=completing,
    )
