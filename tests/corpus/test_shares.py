"""Shares: every unit is in exactly one, whoever deals, and they have about the same bytes."""

from dataclasses import replace

from helpers.corpora import write_records
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import open_corpus
from curate.corpus.shares import deal_by_size, deal_units, measure_unit
from curate.corpus.units import list_units

sizes = st.lists(st.none() | st.integers(0, 5000), max_size=40)


@settings(max_examples=200, deadline=None)
@given(sizes=sizes, slice_bytes=st.integers(1, 3000), count=st.integers(1, 12))
def test_every_unit_is_in_one_share_and_none_has_more_than_the_mean_and_the_largest_unit(sizes, slice_bytes, count):
    sources = [replace(source(), name=f"f{number}", size=size) for number, size in enumerate(sizes)]
    shares = deal_units(sources, slice_bytes, count)
    assert len(shares) == count
    units = sorted(unit for share in shares for unit in share)
    whole = list_units(sources, slice_bytes)
    assert [unit for unit in units if unit.piece == 0] == [
        next(unit for unit in units if unit[:2] == each[:2]) for each in whole
    ]
    assert all([unit.piece for unit in units if unit.first == each.first] == list(range(each.pieces)) for each in units)
    assert all(share == sorted(share) for share in shares)
    unknown = max((size or 0 for size in sizes), default=0)
    bytes_of = [measure_unit(unit, sources, unknown) for unit in units]
    of_share = [sum(bytes_of[units.index(unit)] for unit in share) for share in shares]
    assert max(of_share) <= sum(bytes_of) / count + max(bytes_of, default=0) + len(units)
    fair = sum(measure_unit(unit, sources, unknown) for unit in whole) / count
    cut = [size for size, unit in zip(bytes_of, units, strict=True) if unit.pieces > 1]
    assert max(cut, default=0) <= max(fair, 2 * slice_bytes)
    assert shares == deal_units(sources, slice_bytes, count)


@given(st.lists(st.integers(0, 10**6), max_size=60), st.integers(1, 9))
def test_every_size_is_dealt_once_and_no_share_is_larger_than_another_by_more_than_one_of_them(sizes, count):
    shares = deal_by_size(sizes, count)
    assert len(shares) == count and sorted(number for share in shares for number in share) == list(range(len(sizes)))
    filled = [sum(sizes[number] + 1 for number in share) for share in shares]
    assert max(filled) - min(filled) <= max(sizes, default=0) + 1
    assert deal_by_size(sizes, count) == shares


def source(made=[]):  # noqa: B006  one file, found once
    if not made:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = write_records(f"{folder}/a.jsonl", [{"text": "a"}])
            made.append(open_corpus([str(path)]).sources[0])
    return made[0]
