"""Any spill gives every range back sorted."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.exports.ordered import spill


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.integers(1, 900),
    st.integers(0, 4),
    st.integers(40, 3000),
)
def test_any_spill_gives_every_range_back_sorted(tmp_path_factory, sizes, limit, exponent, most):
    folder = tmp_path_factory.mktemp("spill")
    narrow = np.zeros(len(sizes), spill.NARROW)
    narrow["key"] = narrow["row"] = np.random.default_rng(len(sizes)).permutation(len(sizes))
    narrow["size"] = sizes
    bodies = [bytes([65 + row % 26]) * size for row, size in zip(narrow["row"].tolist(), sizes, strict=True)]
    by_key = dict(zip(narrow["key"].tolist(), bodies, strict=True))
    for kind in ("lines", "tables"):
        held = spill.SpillFile(folder / kind, limit, 1 << exponent)
        for start in range(0, len(sizes), 7):
            some = bodies[start : start + 7]
            lines = pa.array(some, pa.large_binary())
            held.add(narrow[start : start + 7], lines if kind == "lines" else pa.table({"line": lines}))
        pieces, room = held.finish(), bytearray()
        for first, stop in ((0, len(sizes)), (1, 3), (len(sizes) // 2, len(sizes))):
            wanted = range(first, min(stop, len(sizes)))
            assert sorted(spill.read_narrow(pieces, first, stop)["key"].tolist()) == list(wanted)
            if kind == "lines":
                keys, lines = spill.read_lines(pieces, first, stop, room)
                assert (keys["key"].tolist(), lines.to_pylist()) == (list(wanted), [by_key[key] for key in wanted])
                continue
            found = {}
            for rows, table in spill.read_tables(pieces, first, stop):
                found |= dict(zip(rows["key"].tolist(), table.column("line").to_pylist(), strict=True))
            assert found == {key: by_key[key] for key in wanted}
    cut = spill.cut_rows(np.array(sizes), most)
    assert [row for start, stop in cut for row in range(start, stop)] == list(range(len(sizes)))
    assert all(stop == start + 1 or sum(sizes[start:stop]) <= most for start, stop in cut)
