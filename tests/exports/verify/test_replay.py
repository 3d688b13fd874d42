"""A loader of the user's own, replayed: which documents it gives, and whether in order."""

import json

import datasets
import pyarrow as pa
import pytest
import torch
from helpers.exports import FORMATS
from helpers.ordered_exports import an_export, make_documents, write_ordered
from torch.utils.data import DataLoader

from curate.errors import UsageError
from curate.exports.verify import replay


@pytest.mark.parametrize("kind", FORMATS)
def test_a_shuffled_loader_of_ones_own_is_caught_and_a_sequential_one_passes(tmp_path, kind):
    out = an_export(tmp_path, kind)
    rows = datasets.load_dataset(str(out), split="train")
    assert replay(str(out), DataLoader(rows, batch_size=4)).kept
    torch.manual_seed(0)
    lost = replay(str(out), DataLoader(rows, batch_size=4, shuffle=True))
    assert not lost.kept and lost.departs_at_step == 1
    assert replay(str(out), iter(rows)).kept  # rows one by one
    assert replay(str(out), DataLoader(rows, 4, collate_fn=list), key="text").kept
    assert replay(str(out), ([n] for n in range(60)), key=lambda batch: batch).kept
    swapped = [*range(10), 11, 10, *range(12, 60)]
    lost = replay(str(out), ([n] for n in swapped), key=lambda batch: batch)
    assert (lost.departs_at_step, lost.position) == (11, 10)
    assert replay(str(out), ([n] for n in swapped), key=lambda batch: batch, world_size=2).kept


def test_equal_texts_are_told_apart_by_their_turn(tmp_path):
    documents = make_documents(6).set_column(0, "text", pa.array(["a", "b", "a", "a", "c", "b"]))
    out = write_ordered(tmp_path / "out", "parquet", documents)
    assert replay(str(out), ({"text": text} for text in "abaacb"), key="text").kept
    assert replay(str(out), ({"text": text} for text in "ababcb"), key="text").departs_at_step == 4


def test_a_batch_that_does_not_name_its_documents_is_answered_with_what_to_do(tmp_path):
    out = an_export(tmp_path)
    with pytest.raises(UsageError, match="curate_file") as caught:
        replay(str(out), [{"input_ids": [1]}])
    assert "key=" in caught.value.hint


@pytest.mark.parametrize("columns", ["without the text", "none listed", "as written"])
def test_documents_are_told_by_their_texts_where_the_manifest_lists_the_column_with_them(tmp_path, columns):
    out = an_export(tmp_path)
    texts = datasets.load_dataset(str(out), split="train")["text"][:]
    manifest = json.loads((out / "manifest.json").read_text())
    if columns == "without the text":
        manifest["columns"].pop("text")
    elif columns == "none listed":
        manifest.pop("columns")
    (out / "manifest.json").write_text(json.dumps(manifest))
    if columns == "as written":
        assert replay(str(out), ({"text": text} for text in texts), key="text").kept
        return
    with pytest.raises(UsageError, match="has no column text") as caught:
        replay(str(out), ({"text": text} for text in texts), key="text")
    assert "leave out key" in caught.value.hint
