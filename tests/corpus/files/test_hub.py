"""Datasets of the Hub: streamed, resumed, and what is said when the Hub is out of reach."""

import datasets
import pytest
from helpers.corpora import as_value, number_records, read, write_records

from curate.corpus import Corpus, open_corpus
from curate.errors import CurateError, StorageError


@pytest.fixture
def hub(tmp_path):
    """A dataset repository on disk: what `datasets` streams is the same whether the Hub or a folder holds it."""
    write_records(tmp_path / "owner" / "set" / "data" / "train-0.parquet", number_records(40), rows_per_group=7)
    write_records(tmp_path / "owner" / "set" / "data" / "train-1.parquet", number_records(5))
    (tmp_path / "owner" / "set" / "README.md").write_text("# a card\n")
    return tmp_path


def test_a_dataset_of_the_hub_streams_and_resumes(hub, monkeypatch):
    monkeypatch.chdir(hub)
    corpus = open_corpus(["owner/set:train"], slice_bytes=500)
    assert corpus.describe() == 'owner/set:train   1 file hub; text in column "text" (also: id, n, tag)'
    whole = list(map(as_value, corpus.slices(columns="all")))
    assert [text for value in whole for text in value[3]] == [r["text"] for r in number_records(40) + number_records(5)]
    assert {value[0].file for value in whole} == {"set:train"} and whole[-1][0].last
    for cut in (1, 4, len(whole) - 1):
        done = {"set:train": [value[0] for value in whole[:cut]]}
        assert list(map(as_value, corpus.slices(done, columns="all"))) == whole[cut:]
    assert Corpus.from_spec(corpus.spec()).fingerprint() == corpus.fingerprint()


def test_a_configuration_is_named_with_an_at(hub, monkeypatch):
    asked = []

    def load(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        return datasets.Dataset.from_list(number_records(3)).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(read(open_corpus(["owner/name@sample-10BT:train"]))) == 3
    assert set(asked) == {("owner/name", "sample-10BT", "train", True)}


def test_a_stream_of_the_hub_that_breaks_off_is_an_error_and_no_bad_row(monkeypatch):
    def rows():
        yield from number_records(3)
        raise ConnectionError("gone")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.IterableDataset.from_generator(rows))
    with pytest.raises(StorageError, match=r"^owner/name:train: "):
        read(open_corpus(["owner/name:train"]))


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CurateError) as caught:
        open_corpus(["no-such/dataset:train"])
    assert "no-such/dataset:train" in caught.value.message and caught.value.hint
