"""Values are spelled as a person writes them."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from curate.rundir.columns.spelling import spell_values

NOON = dt.datetime(2024, 6, 1, 12)


@pytest.mark.parametrize(
    ("values", "spelled"),
    [
        (pa.array([dt.date(2024, 6, 1), None]), ["2024-06-01", None]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([Decimal("12.50"), Decimal("0.01")], pa.decimal128(38, 2)), ["12.50", "0.01"]),
        (pa.array([Decimal("0.00000001")], pa.decimal128(20, 8)), ["0.00000001"]),
        (pa.array([NOON], pa.timestamp("s")), ["2024-06-01 12:00:00"]),
        (pa.array([NOON], pa.timestamp("ns")), ["2024-06-01 12:00:00"]),
        (pa.array([NOON.replace(microsecond=500000)], pa.timestamp("us")), ["2024-06-01 12:00:00.5"]),
        (pa.array([NOON], pa.timestamp("us", "UTC")), ["2024-06-01 12:00:00+00:00"]),
        (pa.array([NOON], pa.timestamp("us", "Asia/Kolkata")), ["2024-06-01 17:30:00+05:30"]),
        (pa.array([NOON], pa.timestamp("us", "Nowhere/Atlantis")), ["2024-06-01 12:00:00+00:00"]),
        (pa.array([dt.time(9, 30)], pa.time64("us")), ["09:30:00"]),
        (pa.array([0.7, 2.0], pa.float32()), ["0.7", "2.0"]),
        (pa.array([0.1, 1e300]), ["0.1", "1e+300"]),
        (pa.array([2**63], pa.uint64()), ["9223372036854775808"]),
        (pa.array([b"caf\xc3\xa9", b"\xff\x00"]), ["café", "b'\\xff\\x00'"]),
        (pa.array([["x", 'y"']]), ['["x", "y\\""]']),
        (pa.array([{"day": dt.date(2024, 6, 1)}]), ['{"day": "2024-06-01"}']),
        (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_a_value_is_spelled_as_a_person_writes_it(values, spelled):
    assert spell_values(values).to_pylist() == spelled
