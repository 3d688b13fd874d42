"""Runs over documents of two domains, as hypothesis draws them, and what ``filter`` keeps of them."""

import math

from helpers.runs import kept_of, make_run, write_lines
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from curate.errors import GateError
from curate.rundir import document_columns
from curate.verbs.filter import filter as choose

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 2.0, 2.0, 3.0, 50.0, None, math.nan, math.inf]),
        st.sampled_from(["web", "code", None]),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=25,
)


def run_of(folder, documents, slice_bytes=400, **columns):
    """A run over documents of (perplexity, domain, tokens)."""
    rows, values = [], []
    for number, (perplexity, domain, tokens) in enumerate(documents):
        own = {name: function(number) for name, function in columns.items()}
        rows.append({"id": f"d{number}", "text": f"document {number} word", "domain": domain, **own})
        values.append({"perplexity": perplexity, "tokens": tokens})
    write_lines(folder / "corpus" / "a.jsonl", rows)
    numbers = values.__getitem__
    paths, places = [folder / "corpus"], lambda text: numbers(int(text.split()[1]))
    run = make_run(folder / "run", paths, places, slice_bytes=slice_bytes)
    document_columns.carry_columns(run, ["domain"])  # as curate score does
    return run


def kept_by(run, **asked):
    """The rows that are kept; none where that is an error."""
    try:
        choose(str(run.path), **asked)
    except GateError:
        return []
    return kept_of(run)


def is_number(value):
    return value is not None and not math.isnan(value)
