"""The decision table from codes: the bytes that Arrow's own arrays of the same values give."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.rundir import decision_table, schemas
from curate.rundir.aligned_parts import SliceRows
from curate.rundir.sql import BATCH_ROWS

NAMES = [None, "perplexity > 60", "contaminated: β/données", ""]


@pytest.mark.parametrize("num_rows", [0, 1, 9, 1000, BATCH_ROWS * 4 + 3])
def test_codes_are_written_as_the_values_that_they_stand_for(tmp_path, num_rows):
    drawn = np.random.default_rng(num_rows)
    codes, rows = (
        drawn.integers(0, len(NAMES), num_rows).astype(np.int16),
        np.sort(drawn.integers(0, 1 << 60, num_rows)),
    )
    half = num_rows // 2
    files = ["a.jsonl"] * half + ["ä/b.jsonl"] * (num_rows - half)
    with decision_table.open_coded_writer(tmp_path / "coded.parquet", NAMES, {"fingerprint": "é"}) as writer:
        writer.add([SliceRows("p", "a.jsonl", half)], rows[:half], codes[:half])
        writer.add([SliceRows("p", "ä/b.jsonl", num_rows - half)], rows[half:], codes[half:])
    table = pq.read_table(tmp_path / "coded.parquet")
    reasons = [NAMES[code] for code in codes.tolist()]
    expected = {"file": files, "row": rows, "keep": codes == 0, "reason": reasons}
    assert table.cast(schemas.FILTER).replace_schema_metadata() == pa.table(expected, schema=schemas.FILTER)
    assert pq.ParquetFile(tmp_path / "coded.parquet").metadata.num_rows == num_rows
