"""One schema over any pieces of rows keeps every value."""

import time

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.values import schema_widening
from curate.corpus.values.arrow_types import conform_table, tabulate
from curate.corpus.values.arrow_values import to_values


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
    """Also absent keys, and what is a number and what a string."""
    shape = schema_widening.SchemaShape()
    made = [tabulate(rows, None) for rows in pieces]
    for table in made:
        shape.see(table)
    whole = pa.concat_tables([schema_widening.fit_table(table, shape.schema()) for table in made])
    for name in whole.column_names:
        assert to_values(whole.column(name)) == [row.get(name) for rows in pieces for row in rows]
    joined = schema_widening.SchemaShape()
    for table in reversed(made):
        single = schema_widening.SchemaShape()
        single.see(table)
        joined.join(single)
    kinds = {column.name: column.type for column in joined.schema()}
    assert kinds.keys() == set(whole.column_names)
    assert all(kinds[name] == whole.schema.field(name).type for name in {"a", "b"} & kinds.keys())


def test_thousands_of_columns_are_fitted_one_by_one():
    """Asking a table for its names anew at each column took minutes for 20,000."""
    table = pa.table({f"c{number}": [number] for number in range(3000)})
    schema = pa.schema([(name, pa.float64()) for name in [*table.column_names, "new"]])
    for fit in (schema_widening.fit_table, conform_table):
        start = time.process_time()
        fitted = fit(table, schema)
        assert time.process_time() - start < 4
        assert fitted.schema.equals(schema) and fitted.column("c7").to_pylist() == [7]
