"""How far units are: exactly where every part is opened, and by names where only the last of each share is."""

import random
from pathlib import Path

import pytest

from curate.corpus.gathering import list_units
from curate.corpus.shares import deal_units
from curate.corpus.types import Source
from curate.reports.progress.part_facts import NOTHING, PartFacts, PartReader, read_facts
from curate.reports.progress.unit_counts import WorkDone, count_units
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
        done = WorkDone()
        for first, stop in pieces[:most]:
            facts = PartFacts(draw.randrange(1, 50), stop - first, 0)
            name_to_facts[name_part(first, 0)] = facts
            done += WorkDone(stop - first, sum(source.size for source in sources[first:stop]), facts.documents)
        return done
    size = sources[unit.first].size
    count = -(-size // SLICE)
    documents, offset = 0, 0
    for number in range(count if most is None else min(most, count)):
        is_last = number == count - 1
        offset = size if is_last else (number + 1) * SLICE
        facts = PartFacts(draw.randrange(1, 50), int(is_last), 0 if is_last else offset)
        name_to_facts[name_part(unit.first, number)] = facts
        documents += facts.documents
    return WorkDone(int(offset == size), offset, documents)


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


@pytest.mark.parametrize("seed", range(20))
def test_units_are_counted_exactly_and_files_and_bytes_by_names_too(seed):
    draw = random.Random(seed)
    sources = make_corpus(draw)
    units = list_units(sources, SLICE)
    shares = deal_units(sources, SLICE, draw.randrange(1, 9))
    truth, unit_to_work = {}, {}
    for share in shares:
        begun = draw.randrange(len(share) + 1)
        for number, unit in enumerate(share[:begun]):
            most = draw.randrange(1, 4) if number == begun - 1 else None
            unit_to_work[unit] = write_unit(sources, unit, draw, truth, most)
    paths = [Path(name) for name in sorted(truth)]
    exact = count_units(sources, units, paths, shares, make_reader(truth, 10_000))
    assert not exact.is_estimated
    for share in shares:
        assert exact.sum_units(share) == sum((unit_to_work[u] for u in share if u in unit_to_work), WorkDone())
    reader = make_reader(truth, len(shares) + 2)
    told = count_units(sources, units, paths, shares, reader)
    assert len(reader.facts) <= len(shares) + 2
    assert told.is_estimated == (len(paths) > len(shares) + 2)
    for share in shares:
        few, many = told.sum_units(share), exact.sum_units(share)
        assert (few.files, few.num_bytes) == (many.files, many.num_bytes)
    for _ in range(len(paths)):
        reader.begin_look()
        told = count_units(sources, units, paths, shares, reader)
    assert not told.is_estimated and told.unit_to_work == exact.unit_to_work


def test_files_that_are_no_parts_and_parts_of_no_file_do_not_count():
    sources = make_corpus(random.Random(1))[:3]
    units = list_units(sources, SLICE)
    paths = [Path("readme.parquet"), Path(name_part(99, 0))]
    assert count_units(sources, units, paths, [], make_reader({}, 9)).unit_to_work == {}
    assert count_units([], [], [Path(name_part(0, 0))], [], make_reader({}, 9)).unit_to_work == {}


def test_a_part_that_cannot_be_read_holds_nothing(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"half of a part")
    assert read_facts(tmp_path / "a.parquet") == read_facts(tmp_path / "gone.parquet") == NOTHING
