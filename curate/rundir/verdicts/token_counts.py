"""Which tokens the scores of a run count: all of each document, or, in runs of earlier versions, the scored ones.

Scores have ``tokens``, all of the text, and ``scored_tokens``. Earlier versions had ``tokens`` alone, those that were
scored; with ``score --truncate`` that is the beginning of each document.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.rundir import parquet

SCORED = "scored_tokens"


def has_scored_tokens(part: Path) -> bool:
    """Return whether a part of the scores counts scored tokens apart from all tokens. Raises TableError."""
    return SCORED in parquet.read_schema(part).names


def are_mixed(parts: Sequence[Path]) -> bool:
    """Return whether an earlier version wrote the first of these parts and this version the last, or the reverse."""
    return len(parts) > 1 and has_scored_tokens(parts[0]) != has_scored_tokens(parts[-1])


def find_counted_tokens(record: Mapping[str, Any], parts: Sequence[Path]) -> int | None:
    """Return how many tokens of each document are counted at most; None where all are.

    ``record`` is that of ``score`` in ``run.json``, ``parts`` are those of its table.
    """
    most = ((record.get("made_from") or {}).get("model") or {}).get("max_tokens")
    if not most or not parts or (has_scored_tokens(parts[0]) and has_scored_tokens(parts[-1])):
        return None
    return int(most)


def explain_counted_tokens(most: int) -> str:
    """Return, for a user, why only ``most`` tokens of a document are counted, and what counts them all."""
    return (
        f"tokens are those that were scored, the first {most:,} of each document: an earlier version of curate did not "
        "count the others; score again with --restart to count all"
    )
