"""Every way in which a run can stop, one class for each thing a caller would do differently about.

    CurateError                 message, hint, exit code
    ├── UsageError         2    an option, a recipe or a combination of them that means nothing
    ├── CorpusError        1    the corpus cannot be read as asked: missing, no text column, changed since it was scored
    │   └── RowError       1    one bad row, raised only under ``--on-error stop``
    ├── ModelError         1    a reference model that cannot be loaded, or whose numbers cannot be trusted
    ├── TableError         1    a table that is missing, stale, or made from something else
    ├── StorageError       1    the disk, or what lies on the other side of a URL, refuses
    ├── GateError          4    a gate of the user's own is not met
    └── Interrupted      130    stopped by the user; whole parts are kept and the same command goes on

A programmer's mistake in the pure floors is a ``ValueError``; a bug keeps its traceback.
"""


class CurateError(Exception):
    """A failure that its reader can mend: what was found and where, and the command or option that helps."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CurateError):
    """An option, a recipe or a combination of them that means nothing."""

    exit_code = 2


class CorpusError(CurateError):
    """The corpus cannot be read as asked."""


class RowError(CorpusError):
    """One bad row, raised only when the user asked to stop at the first (``--on-error stop``)."""


class ModelError(CurateError):
    """A reference model that cannot be loaded, or whose numbers cannot be trusted."""


class TableError(CurateError):
    """A table of the run directory is missing, stale, or was made from something else."""


class StorageError(CurateError):
    """The disk, or the far side of a URL, refuses: full, read-only, unreachable."""


class GateError(CurateError):
    """A gate that the user set is not met."""

    exit_code = 4


class Interrupted(CurateError):
    """Stopped by the user. Whole parts are kept; the same command goes on from there."""

    exit_code = 130
