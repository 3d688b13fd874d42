"""The JSON that ``curate compare --json`` prints, read from a file and checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.errors import TableError, UsageError
from curate.monitoring.compare.summary import FORMAT
from curate.runtime.text import fold_whitespace, quote_path

KEYS = ("format", "verdict", "exit_code", "sides", "metric", "pairs")
"""By which a comparison is known."""
MAKE = "curate compare BEFORE AFTER --tolerance 0.5% --json > comparison.json"


def load_comparison(path: Path) -> dict[str, Any]:
    """Return the content of a file as ``curate compare --json`` prints it.

    Raises UsageError where the file is no comparison, TableError where another version wrote it.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", MAKE) from error
    except (ValueError, RecursionError) as error:
        message = f"{path} is neither a run directory nor JSON: {fold_whitespace(str(error))[:120]}"
        raise UsageError(message, MAKE) from error
    if not isinstance(value, dict) or any(key not in value for key in KEYS):
        raise UsageError(f"{path} is no output of curate compare --json{_guess(value)}", MAKE)
    if value["format"] != FORMAT:
        message = f"{path} is of format {value['format']}, and this version of curate reads format {FORMAT}"
        raise TableError(message, "compare again with this version")
    return value


def _guess(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    if value.get("made_by") == "curate compare":
        return ", but a baseline: name one in a comparison, as in curate compare baseline.json NEW --json"
    if "score" in value or "checksum" in value:
        return ", but the record of a run: name its directory"
    if "funnel" in value:
        return ", but the numbers of a report: name the run directory"
    return ""


def make_damage_error(path: Path, error: Exception) -> TableError:
    """Return the error for a comparison whose keys have values of other kinds."""
    message = f"{path} is damaged: {type(error).__name__} {fold_whitespace(str(error))[:120]}"
    return TableError(message, f"write it again: curate compare … --json > {quote_path(path)}")
