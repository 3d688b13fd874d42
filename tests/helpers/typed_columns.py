"""A corpus with a column of each Arrow type, in any format that states types, and what a condition keeps of it."""

import datetime as dt
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
from helpers.runs import make_run

import curate

ROWS = 6
NIGHT = [dt.datetime(2024, 5, 31, hour) for hour in (20, 21, 22, 23)] + [
    dt.datetime(2024, 6, 1, hour) for hour in (4, 5)
]
DAYS = [
    dt.date(2024, 5, 29),
    dt.date(2024, 5, 30),
    dt.date(2024, 5, 31),
    dt.date(2024, 6, 1),
    dt.date(2024, 6, 2),
    None,
]
PRICES = [None if price is None else Decimal(price) for price in ("12.50", "9.99", "100.00", "12.50", None, "0.01")]
META = [{"lang": "xy"[row % 2], "source": "s", "deep": {"a": {"b": row}}} for row in range(ROWS - 1)] + [None]


def make_typed_table():
    """Six rows of text, with columns of every type, and columns of names that SQL or the scores have too."""
    numbers = list(range(ROWS))
    columns = {
        "text": [f"document {row} of words" for row in numbers],
        "day": pa.array(DAYS, pa.date32()),
        "day64": pa.array(DAYS, pa.date64()),
        "seconds": pa.array(NIGHT, pa.timestamp("s")),
        "millis": pa.array(NIGHT, pa.timestamp("ms")),
        "micros": pa.array(NIGHT, pa.timestamp("us")),
        "nanos": pa.array(NIGHT, pa.timestamp("ns")),
        "utc": pa.array(NIGHT, pa.timestamp("us", "UTC")),
        "berlin": pa.array(NIGHT, pa.timestamp("ns", "Europe/Berlin")),
        "price": pa.array(PRICES, pa.decimal128(10, 2)),
        "wide": pa.array(PRICES, pa.decimal256(60, 2)),
        "huge": pa.array([2**63 + row for row in numbers], pa.uint64()),
        "ok": pa.array([True, False, None, True, True, False]),
        "clock": pa.array([dt.time(9 + row) for row in numbers], pa.time64("us")),
        "octets": pa.array([b"abc", b"abc", b"\xff\x00", None, b"x", b"abc"]),
        "small": pa.array([1, 2, 3, 4, 5, None], pa.int8()),
        "half": pa.array([0.5, 1.5, 2.5, None, 0.5, 0.5], pa.float16()),
        "single": pa.array([0.7, 0.1, 0.7, None, 0.9, 0.7], pa.float32()),
        "length": pa.array([dt.timedelta(seconds=30 * row) for row in numbers], pa.duration("ms")),
        "kind": pa.array(["a", "b", "a", "(none)", None, "a"]).dictionary_encode(),
        "tags": pa.array([["x", "y"], ["y"], [], None, ["x"], ["z"]]),
        "pairs": pa.array([[1, 2], [3, 4], None, [5, 6], [7, 8], [9, 9]], pa.list_(pa.int16(), 2)),
        "meta": pa.array(META),
        "map": pa.array([[("k", row)] for row in numbers], pa.map_(pa.string(), pa.int32())),
        "json": pa.array([f'{{"a": {row}}}' for row in numbers], pa.json_()),
        "uuid": pa.array([uuid.UUID(int=row % 2).bytes for row in numbers], pa.uuid()),
        **dict.fromkeys(("order", "end", "select", "My Col", 'q"uote', "o'b", "2nd", "naïve"), numbers),
        "group": list("aabbcc"),
        "日本": list("ababab"),
        "dotted.name": list("xxyyzz"),
        "Lang": list("xxxyyy"),
        "lang": list("aaabbb"),
    }
    return pa.table(
        {name: pa.array(values) if isinstance(values, list) else values for name, values in columns.items()}
    )


def make_typed_run(folder, table, suffix="parquet"):
    """The run of a table that is written as Parquet or as an Arrow file; its numbers are made up."""
    path = folder / f"a.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, path, row_group_size=2)
    return make_run(folder / "run", [path])


def count_kept(run, where):
    """How many documents a condition keeps."""
    return curate.filter(str(run.path), where=where, ledger="none", dry_run=True).kept.documents


def list_groups(run, within):
    """The documents of each group, by its name."""
    summary = curate.filter(str(run.path), keep="low", by="bytes", within=within, dry_run=True)
    return {line.name: line.before.documents for line in summary.ledger}
