"""The signals that ``curate score --signals`` names."""

from curate.errors import UsageError
from curate.rundir.signals import SIGNALS


def choose_signals(text: str) -> list[str]:
    """Return the signals that ``--signals`` names, in the order of the table's columns.

    ``all`` and ``none`` stand alone; an empty text is ``none``. Raises UsageError for an unknown name, and for ``all``
    or ``none`` next to other names.
    """
    named = [name.strip() for name in text.split(",") if name.strip()]
    if named in (["all"], ["none"]):
        return list(SIGNALS) if named == ["all"] else []
    alone = [name for name in named if name in ("all", "none")]
    if alone:
        raise UsageError(f"--signals {alone[0]} must stand alone, not in {text}", f"--signals {alone[0]}")
    unknown = [name for name in named if name not in SIGNALS]
    if unknown:
        allowed = f"{', '.join(SIGNALS)}, all or none"
        raise UsageError(f"--signals must be one or more of {allowed}, not {unknown[0]}", "--signals all")
    return [name for name in SIGNALS if name in named]
