"""What keeps ``datasets`` from loading an export is one line that has the first cause."""

import errno

import datasets
import pytest
from helpers.ordered_exports import an_export

from curate.errors import GateError, StorageError
from curate.verbs.verify import verify


@pytest.mark.parametrize(
    ("cause", "raised", "shown"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), StorageError, "may not be written: Permission denied"),
        (ValueError("JSON parse error:\nrow 3"), GateError, "datasets cannot load .*: JSON parse error: row 3"),
    ],
)
def test_why_an_export_cannot_be_loaded_is_told_by_the_first_cause(tmp_path, monkeypatch, cause, raised, shown):
    def fail(*args, **options):
        try:
            raise cause
        except Exception as error:
            raise RuntimeError("An error occurred while generating the dataset") from error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(raised, match=shown):
        verify(str(an_export(tmp_path)), loader="dataloader")
