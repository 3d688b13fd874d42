"""Exports to test with: runs of plain and of leaking documents, and what an export holds, read without curate."""

import datetime
import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from helpers.runs import make_run, write_hits, write_lines, write_order

from curate.exports.formats.shards import TABLE_FORMATS

FORMATS = tuple(TABLE_FORMATS)
"""The formats of text: hf, parquet, jsonl."""
BIG = 2**53 + 1


def load(out):
    """The rows of an export, as datasets loads them."""
    return datasets.load_dataset(str(out), split="train").to_list()


def files_of(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def original(row):
    return {name: value for name, value in row.items() if not name.startswith("curate")}


def rich_table(count):
    """Columns of every kind that a Parquet corpus may have, with nulls."""
    when = datetime.datetime(2020, 2, 29, 3, 4, 5, 678901)
    rows = [
        {
            "text": f"document {n} \U0001f600 “quotes” \\ \x00 end",
            "big": BIG + n,
            "unsigned": 2**63 - 1 - n,
            "real": 0.1 * n if n % 2 else None,
            "flag": n % 3 == 0,
            "day": datetime.date(1999, 12, 31),
            "when": when if n % 2 else None,
            "zoned": when.replace(tzinfo=datetime.UTC),
            "meta": {"tags": ["a", None, ""], "inner": {"n": n, "none": None}} if n % 2 else None,
            "spans": [{"start": n, "end": BIG}, None],
            "empty": [],
            "nothing": None,
            "word": "x",
        }
        for n in range(count)
    ]
    inner = pa.struct([("n", pa.int64()), ("none", pa.float32())])
    return pa.Table.from_pylist(
        rows,
        schema=pa.schema(
            [
                ("text", pa.string()),
                ("big", pa.int64()),
                ("unsigned", pa.uint64()),
                ("real", pa.float64()),
                ("flag", pa.bool_()),
                ("day", pa.date32()),
                ("when", pa.timestamp("us")),
                ("zoned", pa.timestamp("us", "UTC")),
                ("meta", pa.struct([("tags", pa.list_(pa.string())), ("inner", inner)])),
                ("spans", pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int64())]))),
                ("empty", pa.large_list(pa.int16())),
                ("nothing", pa.string()),
                ("word", pa.dictionary(pa.int8(), pa.string())),
            ]
        ),
    )


QUESTION = "Which lake drains westward, 日本 💥?"
LEAKY = [f"document {n} began. {'Then ' * n}{QUESTION} And it \u00e9nded {n}." for n in range(40)]


def leaky_run(folder, rows, **options):
    """Every fifth document leaks twice, and the two spans overlap."""
    write_lines(folder / "c" / "a.jsonl", rows)
    run = make_run(folder / "run", [folder / "c"], slice_bytes=900, **options)
    found = [(n, LEAKY[n].index(QUESTION), LEAKY[n].index(QUESTION) + len(QUESTION)) for n in range(0, 40, 5)]
    first = [{"row": n, "start": begin, "end": end - 4} for n, begin, end in found]
    second = [{"row": n, "start": begin + 6, "end": end, "eval_set": "arc"} for n, begin, end in found]
    write_hits(run, [*first, *second], action="cut-span", slice_bytes=700)
    return run


def rows_of(path):
    """The rows of one shard, read without curate."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None).to_pylist()
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
        return reader.read_all().to_pylist()


def shards_of(out):
    """Every shard by its path, in the order of the names."""
    ends = (".arrow", ".jsonl", ".parquet")
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*-of-*") if path.suffix in ends)
    return {name: rows_of(out / name) for name in names}


def read_in_order(out):
    return [row for rows in shards_of(out).values() for row in rows]


def shuffled(run, kept, count, seed=0):
    """An order of the kept rows, written; → the rows in that order."""
    order = np.random.default_rng(seed).permutation(kept).tolist()
    places = {row: place for place, row in enumerate(order)}
    write_order(run, [places.get(row) for row in range(count)])
    return order


def plain_run(folder, count=200, **options):
    rows = [{"id": n, "text": f"document {n} " + "wörter " * (n % 23), "tag": "x" * (n % 7)} for n in range(count)]
    write_lines(folder / "c" / "a.jsonl", rows)
    return make_run(folder / "run", [folder / "c"], slice_bytes=1500, **options), rows
