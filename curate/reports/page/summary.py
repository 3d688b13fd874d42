"""The summary that ``curate report`` returns, and its lines on the screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.runtime.text import command


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """The files that ``curate report`` wrote."""

    run: str
    page: str
    """Path of the HTML file."""
    numbers: str
    """Path of the JSON file."""
    bytes: int
    """Size of the page."""
    read: int
    kept: int
    examples: int
    """Documents that the page shows as examples."""
    stale: tuple[str, ...]
    """One sentence for each table that is stale; the page shows it as such."""

    def as_dict(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def render(self) -> str:
        from curate.runtime.console import format_size

        lines = [
            f"{self.page}   {format_size(self.bytes)}: open it in a browser; it needs nothing else",
            f"{self.numbers}   the same numbers",
        ]
        if self.stale:
            what = "table of this run is" if len(self.stale) == 1 else "tables of this run are"
            lines.append(f"{len(self.stale)} {what} stale, and shown as such: {command('status', self.run)}")
        return "\n".join(lines)
