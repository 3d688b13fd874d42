"""Parts find their places in a changed corpus by the content of their files."""

from dataclasses import replace
from pathlib import Path

import pytest

from curate.corpus import open_corpus
from curate.corpus.files.file_identity import identify_source
from curate.corpus.slice_marks import describe_slices, list_slices
from curate.errors import TableError
from curate.rundir import parquet
from curate.rundir.schemas import SCORES
from curate.stages.score.arrange import ScoredPart, arrange_parts, read_scored_parts

SCORES_FOLDER = Path("run/scores")


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    for name, count in (("a", 3), ("b", 4), ("c", 5)):
        (root / f"{name}.jsonl").write_text("".join(f'{{"text": "{name} {row}"}}\n' for row in range(count)))
    return root


def opened(root, **options):
    corpus = open_corpus([str(root)], slice_bytes=1, **options)  # a document a slice
    return corpus, [identify_source(source) for source in corpus.sources]


def make_parts(root, folder=SCORES_FOLDER, **options):
    """The parts that scoring leaves."""
    corpus, origins = opened(root, **options)
    indices = {source.name: index for index, source in enumerate(corpus.sources)}
    parts, left = [], corpus.limit
    counts = dict.fromkeys(indices, 0)
    for documents in corpus.slices():
        mark = documents.mark
        note = {"made_from": "m", **describe_slices([mark]), "source": origins[indices[mark.file]]}
        if left is not None:
            before = [counts[name] for name, index in indices.items() if index < indices[mark.file]]
            note["left"] = left - sum(before)
        counts[mark.file] += mark.documents
        parts.append(ScoredPart(folder / f"{indices[mark.file]:05d}-{mark.number:06d}.parquet", note))
    return parts


def arrange(root, parts, **options):
    corpus, origins = opened(root, **options)
    return arrange_parts(corpus, origins, parts, SCORES_FOLDER)


def describe(arrangement):
    """The files of the placed parts, with the numbers of their slices."""
    placed = {}
    for each in arrangement.placed:
        assert list_slices(each.note) == list(each.marks)
        for mark in each.marks:
            placed.setdefault(mark.file, []).append(mark.number)
    return placed


def test_a_corpus_that_did_not_change_is_done(corpus):
    parts = make_parts(corpus)
    found = arrange(corpus, parts)
    assert found.is_done(SCORES_FOLDER) and not found.is_uneven and found.documents == 12
    assert found.describe() == "kept 3 files, 12 documents"
    assert [each.name for each in found.placed] == [part.path.name for part in parts]


def test_each_file_is_counted_by_what_became_of_it(corpus):
    parts = make_parts(corpus)
    (corpus / "a.jsonl").rename(corpus / "z.jsonl")
    (corpus / "b.jsonl").write_text('{"text": "other"}\n')
    with open(corpus / "c.jsonl", "a") as file:
        file.write('{"text": "more"}\n')
    (corpus / "d.jsonl").write_text('{"text": "new"}\n')
    found = arrange(corpus, parts)
    assert found.describe() == "kept 2 files, 8 documents; 1 new, 1 grew, 1 renamed, 1 changed"
    assert (found.changed, found.gone, found.is_uneven) == (["b.jsonl"], [], True)
    assert describe(found) == {"c.jsonl": [0, 1, 2, 3, 4], "z.jsonl": [0, 1, 2]}
    assert {part.mark.file for part in found.left_out} == {"b.jsonl"}
    assert [each.name[:5] for each in found.placed] == ["00001"] * 5 + ["00003"] * 3
    (last,) = found.placed[4].marks
    assert not last.last and last.next_row == 5 and last.next_offset == found.placed[4].slices[0].origin[2]


def test_parts_behind_one_that_is_missing_are_made_again_and_what_lies_aside_fills_the_gap(corpus):
    parts = make_parts(corpus)
    gap = parts.pop(1)
    found = arrange(corpus, parts)
    assert describe(found)["a.jsonl"] == [0] and [part.mark.number for part in found.needless] == [2]
    found = arrange(corpus, [*parts, replace(gap, path=Path("run/aside/x.parquet"))])
    assert describe(found)["a.jsonl"] == [0, 1, 2] and not found.needless and not found.is_done(SCORES_FOLDER)


def test_a_part_that_a_kill_left_in_two_places_is_needless_in_one(corpus):
    parts = make_parts(corpus)
    double = replace(parts[0], path=Path("run/aside/x.parquet"))
    found = arrange(corpus, [*parts, double])
    assert found.needless == double.list_slices() and found.left_out == [] and len(found.placed) == 12


def test_copies_are_given_out_once_and_to_their_own_names_first(corpus):
    (corpus / "0.jsonl").write_bytes((corpus / "a.jsonl").read_bytes())
    parts = make_parts(corpus)
    (corpus / "a.jsonl").rename(corpus / "y.jsonl")
    found = arrange(corpus, parts)
    assert describe(found)["0.jsonl"] == describe(found)["y.jsonl"] == [0, 1, 2] and found.renamed == 1
    own = [one.mark.file for each in found.placed for one, mark in each.pair_marks() if mark.file == "0.jsonl"]
    assert own == ["0.jsonl"] * 3


@pytest.mark.parametrize(
    ("before", "now", "placed", "reopened"),
    [
        (5, 5, {"a.jsonl": [0, 1, 2], "b.jsonl": [0, 1], "c.jsonl": [0]}, []),
        (5, 6, {"a.jsonl": [0, 1, 2], "b.jsonl": [0, 1]}, ["b.jsonl"]),
        (7, None, {"a.jsonl": [0, 1, 2], "b.jsonl": [0, 1, 2, 3], "c.jsonl": [0]}, ["b.jsonl", "c.jsonl"]),
        (None, None, {"a.jsonl": [0, 1, 2], "b.jsonl": [0, 1, 2, 3], "c.jsonl": [0, 1, 2, 3, 4]}, []),
    ],
)
def test_a_file_that_a_limit_ended_is_open_again_where_more_is_read(corpus, before, now, placed, reopened):
    found = arrange(corpus, make_parts(corpus, limit=before), limit=now)
    assert describe(found) == placed
    open_now = [mark.file for each in found.placed for one, mark in each.pair_marks() if mark != one.mark]
    assert open_now == reopened


def test_a_part_that_is_made_from_something_else_is_refused(tmp_path):
    parquet.write_part(tmp_path / "00000-000000.parquet", SCORES.empty_table(), {"made_from": "another"})
    with pytest.raises(TableError, match="belongs to another run"):
        read_scored_parts(tmp_path, "m")
    assert read_scored_parts(tmp_path / "none", "m") == []
