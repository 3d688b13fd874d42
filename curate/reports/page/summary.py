"""What ``curate report`` returns, and how it prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.runtime.text import command


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """What was written."""

    run: str
    page: str
    numbers: str
    """The JSON file."""
    bytes: int
    """Of the page."""
    read: int
    kept: int
    examples: int
    stale: tuple[str, ...]
    """What is stale in the run, and is shown as such."""

    def as_dict(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def render(self) -> str:
        from curate.runtime.console import size

        lines = [
            f"{self.page}   {size(self.bytes)}: open it in a browser; it needs nothing else",
            f"{self.numbers}   the same numbers",
        ]
        if self.stale:
            what = "table of this run is" if len(self.stale) == 1 else "tables of this run are"
            lines.append(f"{len(self.stale)} {what} stale, and shown as such: {command('status', self.run)}")
        return "\n".join(lines)
