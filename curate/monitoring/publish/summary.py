"""What ``curate publish`` returns: the numbers, and where they went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.monitoring.publish.measurements import Publication
from curate.runtime.console import LABEL_WIDTH
from curate.runtime.numbers import count_noun


@dataclass(frozen=True, slots=True)
class SentTo:
    """One target that has the numbers."""

    target: str
    """As it was given, without a password."""
    message: str
    """What was written or sent there."""
    details: Mapping[str, Any]
    """What a program needs to go on: files, the command that loads them, the id of an MLflow run."""


@dataclass(frozen=True, slots=True)
class PublishSummary:
    """Numbers that were published, or with ``--dry-run`` would be."""

    publication: Publication
    sent: tuple[SentTo, ...]
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        published = self.publication
        return {
            "kind": published.kind,
            "name": published.name,
            "evaluator": published.evaluator,
            "identity": dict(published.identity),
            "dry_run": self.dry_run,
            "left_out": published.left_out,
            "folded": published.folded,
            "metrics": [one.as_dict() for one in published.measurements],
            "sent": [{"target": one.target, "message": one.message, "details": dict(one.details)} for one in self.sent],
        }

    def render(self) -> str:
        published = self.publication
        if self.dry_run:
            return "\n".join(one.spell() for one in published.measurements)
        label = f"{published.kind:<{LABEL_WIDTH}} "
        lines = [f"{label}{published.name}   {count_noun(len(published.measurements), 'number')}"]
        lines += [f"{'sent to':<{LABEL_WIDTH}} {one.target}   {one.message}" for one in self.sent]
        lines += [f"{'next':<{LABEL_WIDTH}} {one.details['command']}" for one in self.sent if "command" in one.details]
        return "\n".join([*lines, *self._notes()])

    def _notes(self) -> list[str]:
        published, notes = self.publication, []
        if published.folded:
            notes.append(f'the {count_noun(published.folded, "smallest group")} became "other" (--max-labels)')
        if published.left_out:
            notes.append(f"{count_noun(published.left_out, 'number')} that nothing measured left out")
        return [f"{'note':<{LABEL_WIDTH}} {note}" for note in notes]
