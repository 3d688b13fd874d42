"""Pieces of large files: every slice is in exactly one, whoever reads which, and reading may begin anywhere."""

import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.corpora import write_records

from curate.corpus import open_corpus
from curate.corpus.gathering import read_gathered
from curate.corpus.shares import deal_units
from curate.corpus.units import Unit, cut_unit, find_entries, list_units

FORMATS = ("jsonl", "json", "csv", "parquet")


def write_corpus(folder, seed):
    """Write files of several sizes, of one format each, and return the corpus cut into small slices."""
    rng = random.Random(seed)
    folder.mkdir()
    for number, kind in enumerate(rng.choices(FORMATS, k=rng.randint(1, 4))):
        rows = [{"text": "é" * rng.randint(0, 40), "id": str(row)} for row in range(rng.choice((1, 5, 60, 300)))]
        path = folder / f"{number}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=rng.choice((7, 1000)))
        elif kind == "csv":
            path.write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows))
        else:
            write_records(path, rows)
    sample = rng.choice((None, 0.5))
    return open_corpus([str(folder)], text_field="text", slice_bytes=rng.choice((60, 400, 3000)), sample=sample)


def shown(slices):
    return [(one.marks, one.rows.tolist(), one.texts, one.ids) for one in slices]


@pytest.mark.parametrize("seed", range(25))
def test_every_slice_is_in_one_share_and_is_the_slice_of_the_whole_corpus(tmp_path, seed):
    corpus = write_corpus(tmp_path / "corpus", seed)
    whole = shown(read_gathered(corpus))
    for count in (1, 2, 3, 7):
        shares = deal_units(corpus.sources, corpus.slice_bytes, count)
        assert shares == deal_units(corpus.sources, corpus.slice_bytes, count)
        found = [shown(read_gathered(corpus, units=share)) for share in shares]
        number = {source.name: index for index, source in enumerate(corpus.sources)}
        every = sorted(
            (one for share in found for one in share), key=lambda one: (number[one[0][0].file], one[0][0].number)
        )
        assert every == whole


@pytest.mark.parametrize("seed", range(25))
def test_a_piece_is_read_on_behind_its_slices_and_its_entry_may_be_known_or_found(tmp_path, seed):
    corpus, rng = write_corpus(tmp_path / "corpus", 100 + seed), random.Random(seed)
    for unit in (unit for share in deal_units(corpus.sources, corpus.slice_bytes, 5) for unit in share):
        if unit.pieces == 1:
            continue
        source = corpus.sources[unit.first]
        every = shown(read_gathered(corpus, units=[Unit(unit.first, unit.stop)]))
        mine = [one for one in every if unit.covers(one[0][0], source)]
        others = [one[0][0] for one in every if one not in mine and rng.random() < 0.5]
        done = rng.randint(0, len(mine))
        marks = sorted([*others, *(one[0][0] for one in mine[:done])], key=lambda mark: mark.number)
        assert shown(read_gathered(corpus, {source.name: marks}, units=[unit])) == mine[done:]
        pieces = [Unit(*unit[:2], piece, *unit[3:]) for piece in range(unit.pieces)]
        entries = dict(zip(pieces, find_entries(corpus, pieces), strict=True))
        assert shown(read_gathered(corpus, {source.name: marks}, units=[unit], entries=entries)) == mine[done:]


def test_a_piece_is_finished_where_its_slices_and_those_around_it_are_there(tmp_path):
    rows = [{"text": "x" * 50} for _ in range(90)]
    corpus = open_corpus([str(write_records(tmp_path / "a.jsonl", rows))], slice_bytes=200)
    (source,) = corpus.sources
    pieces = cut_unit(Unit(0, 1), corpus.sources, 200, source.size / 3)
    marks = [one.mark for one in corpus.slices()]
    own = [[mark for mark in marks if unit.covers(mark, source)] for unit in pieces]
    assert [mark for each in own for mark in each] == marks and all(len(each) > 2 for each in own)
    for unit, mine in zip(pieces, own, strict=True):
        assert unit.is_finished(marks, source)
        assert not unit.is_finished([], source)
        for gone in (mine[0], mine[1], mine[-1]):
            assert not unit.is_finished([mark for mark in marks if mark != gone], source)
    assert pieces[0].is_finished(own[0] + own[1][:1], source) and not pieces[0].is_finished(own[0], source)
    assert pieces[2].is_finished(own[1][-1:] + own[2], source) and not pieces[2].is_finished(own[2], source)


def test_files_that_can_only_be_read_from_their_beginnings_are_not_cut(tmp_path):
    corpus = open_corpus([str(write_records(tmp_path / "a.jsonl", [{"text": "x" * 50}] * 90))], slice_bytes=200)
    (source,) = corpus.sources
    assert len(cut_unit(Unit(0, 1), [source], 200, source.size / 3)) == 3
    for other in (
        replace(source, compression="gz"),
        replace(source, encoding="utf-16"),
        replace(source, format="text"),
    ):
        assert cut_unit(Unit(0, 1), [other], 200, source.size / 3) == [Unit(0, 1)]
    assert cut_unit(Unit(0, 1), [source], source.size, source.size / 3) == [Unit(0, 1)], "less than a slice"
    assert cut_unit(Unit(0, 2), [source, source], 200, 10) == [Unit(0, 2)], "small files share slices"
    broken = tmp_path / "b.parquet"
    broken.write_bytes(b"PAR1 no footer")
    damaged = replace(source, path=str(broken), format="parquet")
    assert cut_unit(Unit(0, 1), [damaged], 1, 2) == [Unit(0, 1)]


def test_a_file_that_turns_out_to_be_another_kind_is_of_its_first_piece(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join('{"text": "%s"}\n' % ("x" * 50) for _ in range(90)), encoding="utf-16")
    corpus = open_corpus([str(path)], slice_bytes=200)
    units = cut_unit(list_units(corpus.sources, 200)[0], corpus.sources, 200, (corpus.size or 0) / 3)
    found = [shown(read_gathered(corpus, units=[unit])) for unit in units]
    assert found[0] == shown(read_gathered(corpus)) and not any(found[1:]) and len(units) > 2
