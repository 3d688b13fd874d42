"""``order.parquet`` against the shards, each column wrong by one in one row: what is found, and where."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.ordered_exports import an_export

from curate.exports.verify import integrity
from curate.exports.verify.reader import open_export

RIGHT = ["a permutation of 60 documents", "their sorted names are the reading order", "cumulative tokens add up to "]


def findings_of(out):
    return [(finding.check, finding.ok, finding.detail) for finding in integrity.check_order(open_export(out))]


def problems_of(out):
    return [(check, detail) for check, ok, detail in findings_of(out) if not ok]


def edit_order(out, **changes):
    """Change the columns of the order by functions of their lists of values."""
    table = pq.read_table(out / "order.parquet")
    for name, change in changes.items():
        values, kind = table[name].to_pylist(), table.schema.field(name).type
        change(values)
        table = table.set_column(table.column_names.index(name), name, pa.array(values, kind))
    pq.write_table(table, out / "order.parquet")


def put(row, value):
    return lambda values: values.__setitem__(row, value)


def more(row, by):
    return lambda values: values.__setitem__(row, values[row] + by)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "hf"])
@pytest.mark.parametrize("hashed", [False, True])
def test_an_order_that_the_shards_follow_is_right_in_all_that_is_checked(tmp_path, kind, hashed):
    found = findings_of(an_export(tmp_path, kind, hashed=hashed))
    assert [(check, ok) for check, ok, _ in found] == [
        (name, True) for name in ("order", "shards", "tokens", "documents")
    ]
    assert all(detail.startswith(right) for (_, _, detail), right in zip(found, RIGHT, strict=False))
    assert found[-1][2].endswith("by file, row and the hash of its text" if hashed else ", by file and row")


def test_an_order_whose_writer_listed_the_shards_the_other_way_round_is_read_by_their_names(tmp_path):
    """The dictionary of a Parquet column may have its values in any order, so that the first row may have any code."""
    out = an_export(tmp_path)
    table = pq.read_table(out / "order.parquet", read_dictionary=["shard"])
    names = table["shard"].combine_chunks().dictionary.to_pylist()
    for listed in (names[::-1], [names[1], names[0], *names[2:]]):
        codes = pa.array([listed.index(name) for name in table["shard"].to_pylist()], pa.int32())
        column = pa.DictionaryArray.from_arrays(codes, pa.array(listed))
        pq.write_table(table.set_column(table.column_names.index("shard"), "shard", column), out / "order.parquet")
        first = pq.read_table(out / "order.parquet", read_dictionary=["shard"])["shard"].combine_chunks()
        assert first.indices[0].as_py() == listed.index(names[0]) > 0
        assert problems_of(out) == []


@pytest.mark.parametrize(("row", "value", "missing"), [(59, 60, 59), (0, 1, 0), (30, 29, 30), (10, 11, 10)])
def test_positions_that_are_no_permutation_are_named_by_the_first_that_is_wrong(tmp_path, row, value, missing):
    out = an_export(tmp_path)
    edit_order(out, position=put(row, value))
    [(check, detail)] = problems_of(out)
    assert check == "order" and f"not a permutation: position {missing} is missing" in detail


def test_an_order_of_another_number_of_rows_is_named_with_both(tmp_path):
    out = an_export(tmp_path)
    table = pq.read_table(out / "order.parquet")
    pq.write_table(table.slice(0, 59), out / "order.parquet")
    assert ("order", "order.parquet has 59 rows, the export 60") in problems_of(out)


@pytest.mark.parametrize("row", [0, 1, 31, 59])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_row_of_a_shard_that_is_out_of_order_is_named_by_its_position(tmp_path, row, by):
    out = an_export(tmp_path)
    edit_order(out, shard_row=more(row, by))
    [(check, detail)] = problems_of(out)
    assert check == "shards" and detail.startswith(f"position {row} should be row") and "not in reading order" in detail


def test_shards_of_other_names_or_lengths_than_the_manifest_lists_are_named(tmp_path):
    out = an_export(tmp_path)
    names = [shard["path"] for shard in open_export(out).shards]
    rows = [shard["rows"] for shard in open_export(out).shards]
    assert len(names) >= 3

    def rename(values):
        values[:] = [value + "x" if value == names[1] else value for value in values]

    edit_order(out, shard=rename)
    [(check, detail)] = problems_of(out)
    wanted = f"by its sorted names it is {names[1]} with {rows[1]}"
    assert (check, detail) == ("shards", f"shard 2 of the order is {names[1]}x with {rows[1]} documents; {wanted}")
    out = an_export(tmp_path / "second")
    edit_order(out, shard=put(rows[0] - 1, names[1]))
    wanted = f"by its sorted names it is {names[0]} with {rows[0]}"
    detail = problems_of(out)[0][1]
    assert detail == f"shard 1 of the order is {names[0]} with {rows[0] - 1} documents; {wanted}"
    out = an_export(tmp_path / "third")
    edit_order(out, shard=put(59, "data/zzz.parquet"))
    assert len(problems_of(out)) == 1


def test_shards_that_the_order_lacks_or_the_manifest_does_are_counted(tmp_path):
    out = an_export(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    last = [file for file in manifest["files"] if file["path"].startswith("data/") or "-of-" in file["path"]][-1]
    more_files = [*manifest["files"], {**last, "path": last["path"].replace("-of-", "x-of-")}]
    (out / "manifest.json").write_text(json.dumps({**manifest, "files": more_files}))
    count = len(open_export(out).shards)
    assert ("shards", f"the order names {count - 1} shards, the manifest {count}") in problems_of(out)
    (out / "manifest.json").write_text(
        json.dumps({**manifest, "files": [file for file in manifest["files"] if file != last]})
    )
    assert any("by its sorted names it is none" in detail for _, detail in problems_of(out))


@pytest.mark.parametrize("row", [0, 1, 30, 59])
@pytest.mark.parametrize("by", [-1, 1])
def test_cumulative_tokens_that_do_not_add_up_are_named_by_the_first_position(tmp_path, row, by):
    out = an_export(tmp_path)
    edit_order(out, cumulative_tokens=more(row, by))
    assert problems_of(out) == [("tokens", f"cumulative_tokens do not add up from position {row} on")]
    out = an_export(tmp_path / "second")
    edit_order(out, tokens=more(row, by))
    assert problems_of(out)[0] == ("tokens", f"cumulative_tokens do not add up from position {row} on")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "hf"])
@pytest.mark.parametrize("row", [0, 20, 59])
def test_a_document_that_is_not_the_one_of_the_order_is_named_by_its_position(tmp_path, kind, row):
    out = an_export(tmp_path, kind, hashed=True)
    table = pq.read_table(out / "order.parquet")
    file, number = table["file"][row].as_py(), table["row"][row].as_py()
    changes = {"file": put(row, "c.jsonl"), "row": put(row, 999), "hash": more(row, -1)}
    details = []
    for name, change in changes.items():
        pq.write_table(table, out / "order.parquet")
        edit_order(out, **{name: change})
        [(check, detail)] = problems_of(out)
        assert check == "documents"
        details.append(detail)
    assert details[0].startswith(f"position {row} should be c.jsonl, row {number}; in ")
    assert details[0].endswith(f"stands {file}, row {number}")
    assert details[1].startswith(f"position {row} should be {file}, row 999; in ")
    assert details[2] == f"position {row} ({file}, row {number}): its text has changed"


def test_of_many_problems_the_first_five_are_listed_and_the_others_counted(tmp_path):
    assert integrity._shorten(["a"] * 5) == ["a"] * 5
    assert integrity._shorten([*"abcdef"]) == [*"abcde", "and 1 more"]
    assert integrity._shorten([*"abcdefg"])[-1] == "and 2 more" and integrity._shorten([]) == []
    out = an_export(tmp_path)
    shard = out / open_export(out).shards[0]["path"]
    before, octets = integrity.check_files(open_export(out)), shard.read_bytes()
    assert [finding.ok for finding in before] == [True] and before[0].check == "files"
    shard.write_bytes(octets[:-1])
    name = shard.relative_to(out).as_posix()
    sizes = f"{name} has {len(octets) - 1:,} bytes, the manifest says {len(octets):,}"
    assert [finding.detail for finding in integrity.check_files(open_export(out))] == [sizes]
    shard.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    changed = f"{name} has changed: its sha256 is not that of the manifest"
    assert [finding.detail for finding in integrity.check_files(open_export(out))] == [changed]
    shard.unlink()
    assert [finding.detail for finding in integrity.check_files(open_export(out))] == [f"{name} is missing"]
