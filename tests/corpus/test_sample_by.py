"""A sample drawn by the values of a column: the same requests are in it, whatever file, order or week they are in."""

import json
import random
import tempfile
from pathlib import Path

import pytest
from helpers.corpora import each_format, file_name, read, write_lines, write_records
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import open_corpus
from curate.errors import CorpusError, RowError, UsageError

BY = {"sample": 0.5, "sample_by": "request_id", "text_field": "text"}


def make_requests(first, stop):
    return [{"request_id": f"r{number}", "text": f"text {number}", "n": number} for number in range(first, stop)]


def draw(*paths, **options):
    found = read(open_corpus([str(path) for path in paths], **{**BY, **options}))
    return sorted(text for _, text, _, _ in found.values() if text is not None)


@each_format
@settings(max_examples=5, deadline=None)
@given(count=st.integers(2, 40), cut=st.integers(1, 39), seed=st.integers(0, 3), slice_bytes=st.integers(70, 900))
def test_the_sample_of_a_union_is_the_union_of_samples_in_any_order_and_slices(format, count, cut, seed, slice_bytes):
    requests, cut = make_requests(0, count), min(cut, count - 1)
    shuffled = random.Random(count).sample(requests, count)
    with tempfile.TemporaryDirectory() as folder:
        whole = write_records(Path(folder, "whole", file_name(format)), requests)
        first = write_records(Path(folder, "first", file_name(format)), shuffled[:cut])
        second = write_records(Path(folder, "second", file_name(format)), shuffled[cut:])
        drawn = draw(whole, seed=seed)
        assert draw(first, second, seed=seed, slice_bytes=slice_bytes) == drawn
        assert sorted(draw(first, seed=seed) + draw(second, seed=seed)) == drawn


def test_the_draw_has_its_share_grows_with_it_and_depends_on_the_seed(tmp_path):
    lines, table = (write_records(tmp_path / name, make_requests(0, 4000)) for name in ("a.jsonl", "b.parquet"))
    half = draw(lines)
    assert abs(len(half) - 2000) < 4 * 1000**0.5
    assert draw(table) == half == sorted(set(draw(lines, table)))
    assert set(draw(lines, sample=0.2)) < set(half) and draw(lines, seed=1) != half
    assert len(draw(lines, sample=1.0)) == 4000


def test_values_are_compared_as_ids_are_spelled_and_within_objects(tmp_path):
    numbers = [{"meta": {"user": number // 3}, "text": f"text {number}"} for number in range(60)]
    words = [{"meta": {"user": str(row["meta"]["user"])}, "text": row["text"]} for row in numbers]
    one, other = write_records(tmp_path / "a.jsonl", numbers), write_records(tmp_path / "b.parquet", words)
    drawn = draw(one, sample_by="meta.user")
    assert draw(other, sample_by="meta.user") == drawn and 0 < len(drawn) < 60 and len(drawn) % 3 == 0


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_row_without_a_value_is_kept_out_and_counted_as_unreadable(tmp_path, name):
    rows = [{"request_id": None if number % 4 == 0 else f"r{number}", "text": f"t {number}"} for number in range(20)]
    rows[8]["request_id"] = ""
    write_records(tmp_path / name, rows)
    for seed in range(4):
        found = read(open_corpus([str(tmp_path / name)], **BY, seed=seed))
        assert {row for (_, row), (status, *_) in found.items() if status == "unreadable"} == {0, 4, 8, 12, 16}
    found = read(open_corpus([str(tmp_path / name)], **BY))
    lacking = {row: reason for (_, row), (_, text, reason, _) in found.items() if text is None}
    assert sorted(lacking) == [0, 4, 8, 12, 16]
    assert all('no value in "request_id", by which --sample-by draws' in reason for reason in lacking.values())
    kept = [text for _, text, _, _ in found.values() if text is not None]
    assert kept == [row["text"] for row in rows if row["request_id"] and row["text"] in draw(tmp_path / name)]
    with pytest.raises(RowError, match="no value in"):
        list(open_corpus([str(tmp_path / name)], on_error="stop", **BY).slices())


def test_a_line_that_is_no_json_stays_in_the_sample_as_unreadable(tmp_path):
    write_lines(tmp_path / "a.jsonl", [json.dumps(row).encode() for row in make_requests(0, 9)] + [b"{bad"])
    assert [row for (_, row), (_, text, _, _) in read(open_corpus([str(tmp_path)], **BY)).items() if text is None] == [
        9
    ]


def test_raw_records_are_drawn_alike(tmp_path):
    from curate.corpus import open_records

    path = write_records(tmp_path / "a.jsonl", make_requests(0, 40))
    options = {key: value for key, value in BY.items() if key != "text_field"}
    records = [row.record["text"] for row in open_records([str(path)], **options).records()]
    assert sorted(records) == draw(path)


def test_the_column_is_part_of_what_a_corpus_is(tmp_path):
    path = write_records(tmp_path / "a.jsonl", make_requests(0, 40))
    by_id, by_number = (open_corpus([str(path)], **{**BY, "sample_by": name}) for name in ("request_id", "n"))
    by_place = open_corpus([str(path)], sample=0.5, text_field="text")
    assert len({by_id.fingerprint(), by_number.fingerprint(), by_place.fingerprint()}) == 3
    assert type(by_id).from_spec(by_id.spec()) == by_id
    assert "sample_by" not in by_place.spec()


def test_a_column_that_no_file_has_and_a_draw_without_a_share_are_refused(tmp_path):
    path = write_records(tmp_path / "a.jsonl", make_requests(0, 3))
    with pytest.raises(UsageError, match=r"no file has a column \"request\"; there are: request_id, text, n"):
        draw(path, sample_by="request")
    with pytest.raises(UsageError, match="no effect without --sample"):
        draw(path, sample=None)
    with pytest.raises((UsageError, CorpusError)):
        draw(path, sample=0)
