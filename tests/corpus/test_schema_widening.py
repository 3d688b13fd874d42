"""One schema over any pieces of rows keeps every value."""

import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import schema_widening
from curate.corpus.arrow_types import tabulate


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(
        st.lists(
            st.fixed_dictionaries(
                {"text": st.just("t")},
                optional={
                    "a": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
                    "b": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-99, 99)),
                    "c": st.lists(st.one_of(st.none(), st.integers(0, 2**60)), max_size=2),
                    "d": st.fixed_dictionaries({}, optional={"x": st.text(max_size=3), "y": st.booleans()}),
                    "e": st.one_of(st.none(), st.text(max_size=3), st.booleans()),
                },
            ),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_one_schema_over_any_pieces_keeps_every_value(pieces):
    """A value comes back equal, or as its JSON in a column that ``SchemaShape.texts`` names."""
    shape = schema_widening.SchemaShape()
    made = [tabulate(rows, None) for rows in pieces]
    for table in made:
        shape.see(table)
    whole = pa.concat_tables([schema_widening.fit_table(table, shape.schema()) for table in made]).to_pylist()
    for row, was in zip(whole, [row for table in made for row in table.to_pylist()], strict=True):
        for name, value in was.items():
            if name in shape.texts and value is not None and not isinstance(value, (dict, list)):
                assert row[name] == value or json.loads(row[name]) == value
            elif name not in shape.texts and not isinstance(value, dict):
                assert row[name] == value
            elif isinstance(value, dict) and isinstance(row[name], dict):
                assert {key: item for key, item in row[name].items() if key in value} == value
