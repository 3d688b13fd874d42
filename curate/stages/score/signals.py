"""The signals that ``curate score --signals`` names."""

from curate.errors import UsageError


def choose_signals(text: str) -> list[str]:
    """Return the signals that ``--signals`` names, in the order of the table's columns.

    ``all`` and ``none`` stand alone. Raises UsageError for an unknown name.
    """
    from curate.rundir.signals import SIGNALS

    named = [name.strip() for name in text.split(",") if name.strip()]
    if named in (["all"], ["none"]):
        return list(SIGNALS) if named == ["all"] else []
    unknown = [name for name in named if name not in SIGNALS]
    if unknown:
        raise UsageError(f"--signals {unknown[0]} is unknown", f"any of {', '.join(SIGNALS)}; or all, or none")
    return [name for name in SIGNALS if name in named]
