"""How far units are: exactly where every part is opened, and by names where only the last of each share is."""

import random
from pathlib import Path

import pytest

from curate.corpus.shares import deal_units
from curate.corpus.types import Source
from curate.corpus.units import list_units
from curate.reports.progress.part_facts import NOTHING, PartFacts, PartReader, read_facts
from curate.reports.progress.unit_counts import CountedWork, count_units
from curate.rundir.run import name_part

SLICE = 1000


def make_corpus(draw):
    sizes = [
        draw.choice([draw.randrange(1, 300), draw.randrange(1, 300), draw.randrange(2000, 9000)]) for _ in range(60)
    ]
    return [Source(f"f{number:03d}", f"f{number:03d}", "jsonl", None, size) for number, size in enumerate(sizes)]


def write_unit(sources, unit, draw, name_to_facts, most=None):
    """The parts of a unit, at most so many of them.  → the work in them"""
    if unit.stop - unit.first > 1:
        middle = draw.randrange(unit.first + 1, unit.stop)
        pieces = [(unit.first, middle), (middle, unit.stop)]
        done = CountedWork()
        for first, stop in pieces[:most]:
            facts = PartFacts(draw.randrange(1, 50), stop - first, 0)
            name_to_facts[name_part(first, 0)] = facts
            done += CountedWork(stop - first, sum(source.size for source in sources[first:stop]), facts.documents)
        return done + CountedWork(units=int(most is None or most > 1))
    size = sources[unit.first].size
    ends = [min(size, end) for end in range(SLICE, size + SLICE, SLICE)]
    mine = [number for number, end in enumerate(ends) if (end - 1) * unit.pieces // size == unit.piece]
    documents, num_bytes = 0, 0
    for number in mine[:most]:
        is_last = number == len(ends) - 1
        facts = PartFacts(draw.randrange(1, 50), int(is_last), 0 if is_last else ends[number])
        name_to_facts[name_part(unit.first, number)] = facts
        documents += facts.documents
        num_bytes += ends[number] - number * SLICE
    is_done = len(mine[:most]) == len(mine)
    return CountedWork(int(is_done and unit.pieces == 1), num_bytes, documents, int(is_done))


def make_reader(truth, at_once):
    """A reader of parts that exist in ``truth`` alone."""

    class FakeReader(PartReader):
        def read(self, paths):
            unknown = [path for path in paths if path not in self.facts][: self.left]
            self.left -= len(unknown)
            self.facts.update({path: truth[path.name] for path in unknown})

    reader = FakeReader(at_once)
    reader.begin_look()
    return reader


@pytest.mark.parametrize("seed", range(40))
def test_units_are_counted_exactly_by_names_too_and_pieces_of_large_files_to_a_slice(seed):
    draw = random.Random(seed)
    sources = make_corpus(draw)
    units = list_units(sources, SLICE)
    shares = deal_units(sources, SLICE, draw.randrange(1, 30))
    truth, unit_to_work = {}, {}
    for share in shares:
        begun = draw.randrange(len(share) + 1)
        for number, unit in enumerate(share[:begun]):
            most = draw.randrange(1, 4) if number == begun - 1 else None
            unit_to_work[unit] = write_unit(sources, unit, draw, truth, most)
    paths = [Path(name) for name in sorted(truth)]
    exact = count_units(sources, units, paths, shares, make_reader(truth, 10_000))
    few = len(shares) + sum(unit.pieces > 1 for share in shares for unit in share) + 2
    reader = make_reader(truth, few)
    told = count_units(sources, units, paths, shares, reader)
    assert not exact.is_estimated and len(reader.facts) <= few and told.is_estimated == (len(paths) > few)
    for share in shares:
        for unit in share:
            expected = unit_to_work.get(unit, CountedWork())
            counted, by_name = exact.sum_units([unit]), told.sum_units([unit])
            if unit.pieces == 1:
                assert counted == expected
                assert (by_name.files, by_name.num_bytes, by_name.units) == (
                    counted.files, counted.num_bytes, counted.units
                )  # fmt: skip
            elif expected.num_bytes:
                assert abs(counted.num_bytes - expected.num_bytes) <= 2 * SLICE
                assert abs(by_name.num_bytes - expected.num_bytes) <= 2 * SLICE
                assert counted.units >= expected.units
    dealt = {unit.first for share in shares for unit in share if unit.pieces > 1}
    whole = [unit for unit in units if unit.first in dealt]
    sure, named = exact.sum_units(whole), told.sum_units(whole)
    expected = sum(
        (unit_to_work[u] for share in shares for u in share if u in unit_to_work and u.pieces > 1), CountedWork()
    )
    assert abs(sure.num_bytes - expected.num_bytes) <= len(dealt) * SLICE and sure.documents == expected.documents
    assert (named.files, named.num_bytes) == (sure.files, sure.num_bytes)
    for _ in range(len(paths)):
        reader.begin_look()
        told = count_units(sources, units, paths, shares, reader)
    assert not told.is_estimated and told.unit_to_work == exact.unit_to_work


def test_all_parts_of_all_pieces_are_all_of_the_corpus():
    draw = random.Random(7)
    sources = make_corpus(draw)
    units, shares, truth = list_units(sources, SLICE), deal_units(sources, SLICE, 30), {}
    for share in shares:
        for unit in share:
            write_unit(sources, unit, draw, truth)
    assert sum(unit.pieces > 1 for share in shares for unit in share) > 10
    counted = count_units(sources, units, [Path(name) for name in sorted(truth)], shares, make_reader(truth, 10_000))
    done = counted.sum_units(units)
    assert (done.files, done.num_bytes) == (len(sources), sum(source.size for source in sources))
    assert all(counted.sum_units(share).units == len(share) for share in shares)


def test_files_that_are_no_parts_and_parts_of_no_file_do_not_count():
    sources = make_corpus(random.Random(1))[:3]
    units = list_units(sources, SLICE)
    paths = [Path("readme.parquet"), Path(name_part(99, 0))]
    assert count_units(sources, units, paths, [], make_reader({}, 9)).unit_to_work == {}
    assert count_units([], [], [Path(name_part(0, 0))], [], make_reader({}, 9)).unit_to_work == {}


def test_a_part_that_cannot_be_read_holds_nothing(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"half of a part")
    assert read_facts(tmp_path / "a.parquet") == read_facts(tmp_path / "gone.parquet") == NOTHING
