"""Every way in which a run can stop: one class for each reaction of a caller.

    CurateError                 message, hint, exit code
    ├── UsageError         2    an option, a recipe or a combination of them that is not allowed
    ├── CorpusError        1    the corpus cannot be read: missing, no text column, changed since it was scored
    │   └── RowError       1    one bad row, raised only under ``--on-error stop``
    ├── ModelError         1    a reference model that cannot be loaded, or whose numbers cannot be trusted
    ├── TableError         1    a table that is missing, stale, or made from something else
    │   └── DamageError    1    a file of a run that is missing, truncated or altered
    ├── BusyError          1    another process that lives works on the same: wait for it
    ├── StorageError       1    the disk or a server refuses to read or write
    ├── EngineError        1    workers of ``--engine`` that cannot be had, or that die
    ├── GateError          4    a result fails a gate that the user set
    └── Interrupted      130    stopped by the user; complete parts are kept, and the same command continues

A programmer's mistake in a pure function is a ``ValueError``; a bug keeps its traceback.
"""


class CurateError(Exception):
    """A failure that the user can repair: what was found and where, and the command or option that helps."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CurateError):
    """An option, a recipe or a combination of them is not allowed."""

    exit_code = 2


class CorpusError(CurateError):
    """The corpus cannot be read with the given options."""


class RowError(CorpusError):
    """One bad row; raised only under ``--on-error stop``."""


class ModelError(CurateError):
    """A reference model that cannot be loaded, or whose numbers cannot be trusted."""


class TableError(CurateError):
    """A table of the run directory is missing, stale, or made from other inputs."""


class DamageError(TableError):
    """A file of a run is missing, truncated or altered. No verb goes on without the table, as with a stale one."""


class BusyError(CurateError):
    """Another process, which is alive, works on the same tables: wait, and run the same command again."""


class StorageError(CurateError):
    """The disk or a server refuses to read or write: full, read-only, unreachable."""


class EngineError(CurateError):
    """The workers of an engine cannot be had, die, or fail at what they are given."""


class GateError(CurateError):
    """A result fails a gate that the user set."""

    exit_code = 4


class Interrupted(CurateError):
    """The user or a signal stopped the run. Complete parts are kept; the same command continues from there."""

    exit_code = 130
