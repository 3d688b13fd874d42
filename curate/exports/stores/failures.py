"""What to do about the errors of an object store, where an export is written or read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import StorageError
from curate.runtime.disk.files import FULL, make_storage_error
from curate.runtime.disk.object_store import RIGHTS

ELSEWHERE = "free some space, or CURATE_MIRRORS=FOLDER names another folder for what is on its way"
AGAIN = "run the same command again; it begins anew"


@contextmanager
def explain_errors() -> Iterator[None]:
    """Give the errors of a store within the block hints that are right for an export."""
    try:
        yield
    except StorageError as error:
        raise StorageError(error.message, _choose_hint(error)) from error.__cause__


def _choose_hint(error: StorageError) -> str:
    """Return what to do about an error of a store, by the exception of its driver."""
    cause = error.__cause__
    if isinstance(cause, FileNotFoundError):
        return "create the bucket, or name another one"
    if getattr(cause, "errno", None) in FULL:
        return ELSEWHERE
    if "conditional writes" in error.message:
        return "export to S3, GCS, Azure or what speaks their protocol, or to a local folder and copy it"
    if isinstance(cause, PermissionError):
        return RIGHTS
    if "credentials" in error.message.lower():
        return "set those of the store, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
    return AGAIN


def make_local_error(error: OSError, folder: Path) -> StorageError:
    """Return the error for the folder of this machine in which exports are built or fetched."""
    made = make_storage_error(error, folder)
    return StorageError(made.message, ELSEWHERE)
