"""The sketches are read again from the first slice that is wanted, and a text that changed is an error."""

import gzip
import json
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.near_copies import edited, random_documents, run_on, spelled, words_of
from helpers.runs import write_lines

from curate.corpus import SliceMark, open_corpus
from curate.errors import CorpusError
from curate.matching import minhash, shingles
from curate.stages.dedup import sketch_table, sketches

CONFIG = sketches.SketchConfig(5, 128, 0, minhash.Bands(18, 7), 49)


def test_a_text_that_changed_since_it_was_sketched_is_an_error(tmp_path, monkeypatch):
    these = words_of(27)
    read = sketch_table.read_sets

    def change_first(*arguments):
        path = tmp_path / "corpus" / "a.jsonl"
        path.write_text(path.read_text().replace(these[3], these[4]))
        return read(*arguments)

    monkeypatch.setattr(sketch_table, "read_sets", change_first)
    with pytest.raises(CorpusError, match=r"a\.jsonl has changed"):
        run_on(tmp_path, [spelled(these), spelled(edited(these, 50))])


def test_reading_again_begins_at_the_first_slice_of_a_file_that_is_wanted():
    marks = {
        name: [SliceMark(name, number, 10 * number, 10 * number + 10, None, 10, number == 3) for number in range(4)]
        for name in ("a", "b", "c")
    }
    found = sketch_table.list_skippable(marks, {("a", 2), ("a", 3), ("c", 0)})
    assert {name: len(skipped) for name, skipped in found.items()} == {"a": 2, "b": 4, "c": 0}


def write_formats(folder, texts):
    """Write the texts into files of several formats and sizes, with rows between them that are no documents."""
    folder.mkdir()
    fifths = [texts[first::5] for first in range(5)]
    write_lines(folder / "a.jsonl", [b"", *({"text": text} for text in fifths[0]), b"", b"{", {"text": " "}])
    with gzip.open(folder / "b.jsonl.gz", "wt") as out:
        out.write("".join(json.dumps({"text": text}) + "\n\n" for text in fifths[1]))
    pq.write_table(pa.table({"text": fifths[2]}), folder / "c.parquet", row_group_size=7)
    (folder / "d.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in fifths[3]))
    for number, text in enumerate(fifths[4]):
        write_lines(folder / f"e{number:03d}.jsonl", [{"text": text}])


@pytest.mark.parametrize("slice_bytes", [300, 2500, 10**6])
@pytest.mark.parametrize("options", [{}, {"sample": 0.5, "seed": 3}, {"limit": 70}])
def test_any_documents_are_read_again_as_they_were_sketched(tmp_path, slice_bytes, options):
    texts = random_documents(7, 120)
    write_formats(tmp_path / "corpus", texts)
    corpus = open_corpus([str(tmp_path / "corpus")], slice_bytes=slice_bytes, **options)
    parts = sketch_table.sketch_corpora(tmp_path / "run" / "dedup" / "sketches", [corpus], CONFIG, 1)
    read = [text for documents in corpus.slices() for text in documents.texts if (text or "").strip()]
    assert len(read) == parts[-1].stop and (len(read) == 120 or options)
    sets = [shingles.sort_unique(sketches.hash_texts([text], CONFIG).hashes) for text in read]
    chance = Random(slice_bytes)
    for count in (0, 1, 2, 9, 40, len(read)):
        numbers = np.array(sorted(chance.sample(range(len(read)), count)), np.int64)
        again = list(sketch_table.read_sets([corpus], parts, numbers, CONFIG, 2))
        assert len(again) == count
        for number, hashes in zip(numbers, again, strict=True):
            np.testing.assert_array_equal(hashes, sets[number])


def test_only_wanted_rows_are_parsed_when_a_slice_is_read_again(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": text} for text in random_documents(8, 60)])
    corpus = open_corpus([str(tmp_path / "a.jsonl")], slice_bytes=2000)
    parts = sketch_table.sketch_corpora(tmp_path / "run" / "dedup" / "sketches", [corpus], CONFIG, 1)
    needed = [part for part in parts if part.first <= 4 < part.stop or part.first <= 41 < part.stop]
    assert len(parts) > 5 and len(needed) == 2
    found = sketch_table.find_slices(corpus, sketch_table.list_marks(parts, 0), needed, np.array([4, 41], np.int64))
    assert [documents.rows.tolist() for documents, _ in found] == [[4], [41]]
