"""What ``curate score --part`` returns: one share of a corpus, scored beside others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curate.corpus.gathering import list_units
from curate.corpus.slice_marks import list_slices
from curate.errors import UsageError
from curate.rundir.run import spell_score_command
from curate.runtime.numbers import count_noun
from curate.runtime.work import profiler

if TYPE_CHECKING:
    from curate.stages.score.resume import ResumableScores
    from curate.stages.slice_runner import SliceRun


@dataclass(frozen=True, slots=True)
class ScoredShare:
    """One share of a corpus, of which every document has a row in the table of scores."""

    run: str
    part: str
    """Which share, counted from 0: ``2/64``."""
    files: int
    """Files of the corpus that are of this share."""
    documents: int
    """Documents of these files, with those that could not be read."""
    resumed: int
    """Those of them that were scored before."""
    files_scored: int
    """Files of the whole corpus that are scored to their ends by now."""
    files_in_all: int
    units: int
    """What can be dealt, in all: files, and runs of small ones that share a slice."""
    seconds: float
    """Of scoring in this call."""
    completing: str
    """The command that completes the scores when every share is done."""
    profile: dict[str, Any] | None = None
    """With ``--profile``, where the time went (``profiler.describe_profile``)."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-able."""
        return asdict(self)

    def render(self) -> str:
        """Return the summary for the terminal."""
        from curate.runtime.console import format_clock

        before = f", {self.resumed:,} of them before" if self.resumed else ""
        scored = f"{count_noun(self.documents, 'document')} of {count_noun(self.files, 'file')} scored{before}"
        lines = [
            f"part {self.part}  {scored}   {format_clock(self.seconds)}",
            f"corpus    {self.files_scored:,} of {count_noun(self.files_in_all, 'file')} scored to the end",
        ]
        count = int(self.part.partition("/")[2])
        if self.units < count:
            dealt = f"{self.units:,} of {count_noun(count, 'part')} get any"
            lines.append(
                f"dealt     {dealt}: a file is scored by one process, and so are small files that share a slice"
            )
        if self.profile is not None:
            lines += profiler.render_profile(self.profile)
        lines += [
            "",
            f"next: {self.completing}     completes the scores when every part is done",
        ]
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


def summarise_share(scores: "ResumableScores", done: "SliceRun") -> ScoredShare:
    """Return the summary of a share whose parts are written."""
    assert scores.task is not None and scores.share is not None and scores.record is not None
    sources = scores.corpus.sources
    mine = {source.name for unit in scores.share for source in sources[slice(*unit)]}
    marks = [mark for note in done.notes.values() for mark in list_slices(note)]
    documents = sum(mark.documents for mark in marks if mark.file in mine)
    completing = spell_score_command(scores.run, scores.record, scores.record["corpus"]["paths"])
    return ScoredShare(
        run=str(scores.run.path),
        part=f"{scores.task.index}/{scores.task.count}",
        files=len(mine),
        documents=documents,
        resumed=documents - done.documents,
        files_scored=len({mark.file for mark in marks if mark.last}),
        files_in_all=len(sources),
        units=len(list_units(sources, scores.corpus.slice_bytes)),
        seconds=done.seconds,
        completing=completing,
    )
