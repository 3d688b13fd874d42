"""What ``curate export --part`` returns, and how it prints."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.runtime.console import format_clock
from curate.runtime.numbers import count_noun


@dataclass(frozen=True, slots=True)
class ExportPartSummary:
    """One part of an export: what was done of it beside others."""

    out: str
    """The export that is going to be."""
    parts: str
    """The folder in which all parts are until the export is complete."""
    part: str
    """Which part, counted from 0: ``2/64``."""
    documents: int
    """Documents of the share of the corpus that this part reads."""
    resumed: int
    """Those of them that were read before."""
    tasks: int
    """Pieces of work that the share has."""
    tasks_finished: int
    """Of all parts, by now."""
    tasks_in_all: int
    shards_finished: int | None
    """Of all parts, by now; None while it is not known where shards begin."""
    shards_in_all: int | None
    seconds: float
    """Of work in this call."""
    completing: str
    """The command that completes the export."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for ``--json``."""
        return asdict(self)

    def render(self) -> str:
        """Return the screen: what was done, and what is left."""
        before = f", {self.resumed:,} of them before" if self.resumed else ""
        lines = [
            f"part {self.part}  {count_noun(self.documents, 'document')} read{before}   {format_clock(self.seconds)}",
            f"export    {self.tasks_finished:,} of {count_noun(self.tasks_in_all, 'task')} read"
            + (
                f", {self.shards_finished:,} of {count_noun(self.shards_in_all, 'shard')} written"
                if self.shards_finished is not None and self.shards_in_all is not None
                else ""
            )
            + f"; what is done is in {self.parts}",
        ]
        count = int(self.part.partition("/")[2])
        if self.tasks_in_all < count:
            lines.append(f"dealt     {self.tasks_in_all:,} of {count_noun(count, 'part')} get any of the corpus")
        is_left = self.tasks_finished == self.tasks_in_all and self.shards_finished != self.shards_in_all
        if is_left or self.shards_finished is None:
            lines.append("again     the same parts again, when every part is done, go on with the shards")
        return "\n".join([*lines, "", f"next: {self.completing}     completes it when every part is done"])
