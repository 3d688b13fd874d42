"""``curate filter`` compares and groups columns of every Arrow type as what they are."""

import pyarrow as pa
import pytest
from helpers.runs import make_run, write_lines
from helpers.typed_columns import count_kept, list_groups, make_typed_run, make_typed_table

import curate
from curate.errors import UsageError
from curate.rundir import document_columns, parquet
from curate.runtime import console

TIMES = ("seconds", "millis", "micros", "nanos", "utc", "berlin")
KEPT = {
    "day < '2024-06-01'": 3,
    "day >= '2024-06-01'": 2,
    "day64 = date '2024-05-30'": 1,
    "year(day) = 2024 and month(utc) = 6": 1,
    **{f"{name} < '2024-06-01'": 4 for name in TIMES},
    **{f"{name} = '2024-05-31 21:00:00'": 1 for name in TIMES},
    "price > 10": 3,
    "price = 12.5": 2,
    "wide > 10": 3,
    "huge >= 9223372036854775811": 3,
    "ok": 3,
    "not ok": 2,
    "ok is null": 1,
    "clock >= '12:00'": 3,
    "octets = 'abc'": 3,
    "small > 2": 3,
    "half > 1": 2,
    "single = 0.7": 3,
    "single >= 0.7": 4,
    "length > 60": 3,
    "kind = 'a'": 3,
    "kind = '(none)'": 1,
    "list_contains(tags, 'x')": 2,
    "tags[1] = 'x'": 2,
    "len(list_filter(pairs, lambda day: day > 4)) > 0": 3,
    "meta.lang = 'y'": 2,
    "meta['lang'] = 'y'": 2,
    "\"meta.lang\" = 'y'": 2,
    "scores.meta.lang = 'y'": 2,
    "doc.meta.lang = 'y'": 2,
    "meta.deep.a.b > 2 and meta['deep'].a['b'] > 2": 2,
    "map_from_entries(map)['k'] = 3": 1,
    "json->>'$.a' = '2'": 1,
    "uuid = '00000000-0000-0000-0000-000000000001'": 3,
    '"order" > 2 and "end" > 3 and "select" > 4': 1,
    '"My Col" > 2': 3,
    '"q""uote" > 2': 3,
    '"o\'b" > 2': 3,
    '"2nd" > 2': 3,
    'naïve > 2 -- "order" > 4': 3,
    "日本 = 'a'": 3,
    "\"dotted.name\" = 'x'": 2,
    "dotted.name = 'x'": 2,
    "\"group\" = 'a' and Lang = 'x' and lang = 'a'": 2,
    "small > (select avg(small) from scores)": 2,
}
GROUPS = {
    "day": {"2024-05-29": 1, "2024-05-30": 1, "2024-05-31": 1, "2024-06-01": 1, "2024-06-02": 1, "(none)": 1},
    "price": {"12.50": 2, "9.99": 1, "100.00": 1, "0.01": 1, "(none)": 1},
    "ok": {"true": 3, "false": 2, "(none)": 1},
    "kind": {"a": 3, "b": 1, '"(none)"': 1, "(none)": 1},
    "single": {"0.7": 3, "0.1": 1, "0.9": 1, "(none)": 1},
    "meta.lang": {"x": 3, "y": 2, "(none)": 1},
    "octets": {"abc": 3, "x": 1, "b'\\xff\\x00'": 1, "(none)": 1},
    "Lang,ok": {"x / true": 1, "x / false": 1, "x / (none)": 1, "y / true": 2, "y / false": 1},
    "tags": {'["x", "y"]': 1, '["y"]': 1, "[]": 1, '["x"]': 1, '["z"]': 1, "(none)": 1},
}


@pytest.fixture(scope="module", params=["parquet", "arrow"])
def run(request, tmp_path_factory):
    return make_typed_run(tmp_path_factory.mktemp(request.param), make_typed_table(), request.param)


def test_conditions_compare_values_of_their_type(run):
    assert {where: count_kept(run, where) for where in KEPT} == KEPT


def test_groups_are_named_as_a_person_writes_their_values(run):
    assert {within: list_groups(run, within) for within in GROUPS} == GROUPS


def test_numbers_of_every_type_order_and_others_are_refused(run):
    for name in ("price", "wide", "huge", "small", "half", "single", "length", "meta.deep.a.b", "My Col"):
        kept = curate.filter(str(run.path), keep="low", by=name, rate=0.5, dry_run=True).kept.documents
        assert kept in (2, 3), name
        assert curate.order(str(run.path), by=name, dry_run=True).by == name
    for name, held in {"day": "dates", "ok": "booleans", "tags": "lists", "meta": "objects", "kind": "text"}.items():
        with pytest.raises(UsageError, match=held):
            curate.filter(str(run.path), keep="low", by=name)
        with pytest.raises(UsageError, match=held):
            curate.bucket(str(run.path), by=name)


def test_whole_numbers_that_no_float_holds_still_order(tmp_path):
    table = pa.table({"text": [f"some words {n}" for n in range(4)], "n": pa.array([2**60 + 1, None, 3, 2**63 - 1])})
    run = make_typed_run(tmp_path, table)
    path = str(run.path)
    assert curate.filter(path, keep="low", by="n", rate=0.5, dry_run=True).kept.documents == 2
    assert curate.order(path, by="n", dry_run=True).unmeasured == 1
    assert curate.bucket(path, by="n", quantiles=3).unmeasured == 1


@pytest.mark.parametrize("where", ["meta.lnag = 'x'", "meta['lnag'] = 'x'", "\"meta.lnag\" = 'x'", "meta.deep.a.c = 1"])
def test_a_mistyped_field_is_refused_with_the_nearest(run, where):
    with pytest.raises(UsageError) as caught:
        count_kept(run, where)
    assert "did you mean meta." in caught.value.hint


def test_a_spelling_that_is_two_columns_is_refused(run):
    with pytest.raises(UsageError, match="LANG may be any of Lang, lang"):
        count_kept(run, "LANG = 'x'")


def test_files_of_different_types_are_one_column(tmp_path):
    first = {"n": pa.array([1, 2], pa.int32()), "day": pa.array([19875, None], pa.date32()), "mixed": ["1", "x"]}
    second = {"n": pa.array([3, 2**40]), "day": pa.array([19876, 19877], pa.date32()).cast(pa.timestamp("us"))}
    for name, columns in (("a", first), ("b", second | {"mixed": [1, 2]})):
        table = pa.table({"text": [f"some words {name} {row}" for row in range(2)], **columns})
        make_typed_run(tmp_path / name, table)
    run = make_run(tmp_path / "run", [tmp_path / "a" / "a.parquet", tmp_path / "b" / "a.parquet"])
    assert [count_kept(run, where) for where in ("n > 2", "day > '2024-06-01'", "mixed = '1'")] == [2, 2, 2]
    assert list_groups(run, "n") == {"1": 1, "2": 1, "3": 1, str(2**40): 1}
    types = document_columns.carry_columns(run, ["n", "day", "mixed"])
    assert list(map(str, types.values())) == ["int64", "timestamp[us]", "large_string"]


def test_a_value_that_the_common_type_does_not_hold_makes_all_of_them_text(tmp_path, capsys):
    for name, value in (("a", 2**60 + 1), ("b", 0.5)):
        write_lines(tmp_path / f"{name}.jsonl", [{"text": f"some words {name} {n}", "n": value} for n in range(9)])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    console.enable()
    try:
        assert list_groups(run, "n") == {str(2**60 + 1): 9, "0.5": 9}
    finally:
        console.enable(False)
    assert "n holds int64 and double: all of its values become text" in capsys.readouterr().err


def test_a_column_that_an_older_version_carried_is_read_as_it_is(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": f"some words {n}", "day": n} for n in range(3)])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"])
    (part,) = parquet.list_parts(run.scores)
    made_from = run.finished_scores()["made_from"]["corpus"]
    values = pa.table({"value": pa.array(['"2024-06-01"', None, "x"], pa.large_string())})
    note = {"made_from": made_from, "slice": parquet.read_metadata(part)["slice"]}
    parquet.write_part(document_columns.locate_column(run, "day") / part.name, values, note)
    run.save("carried", {"columns": {"day": {"made_from": made_from, "type": "string", "values": 2}}})
    assert list_groups(run, "day") == {'"2024-06-01"': 1, "x": 1, "(none)": 1}
