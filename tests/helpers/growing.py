"""A corpus that grows and changes between two calls of ``curate score``, and what the model was given to read."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import models

from curate.reference import causal
from curate.rundir import parquet
from curate.verbs.score import score

WORDS = ["ledger", "window", "token", "byte", "sum", "slice", "corpus", "model", "prefix", "nat", "bit", "pack"]
IN_LAST_DIGITS = ["nats", "perplexity", "bits_per_byte", "first_nats", "max_nats"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A model with random weights, in a folder."""
    return str(models.save(tmp_path_factory.mktemp("models") / "tiny", "llama"))


@pytest.fixture
def given(monkeypatch):
    """The texts that a model was given to read, in order."""
    texts, real = [], causal.CausalReference.score

    def watch(self, passages, advance=None, measures=()):
        def listen():
            for batch in passages:
                texts.extend(passage.target for passage in batch)
                yield batch

        return real(self, listen(), advance, measures)

    monkeypatch.setattr(causal.CausalReference, "score", watch)
    return texts


@pytest.fixture
def loads(monkeypatch):
    """The names of the models that were loaded."""
    from curate.reference import loading

    names, real = [], loading.load_causal
    monkeypatch.setattr(loading, "load_causal", lambda name, config: names.append(name) or real(name, config))
    return names


def make_row(number, **more):
    draw = np.random.default_rng(number)
    text = " ".join(draw.choice(WORDS, size=int(draw.integers(3, 30)))) + f" {number}."
    return {"id": f"d{number}", "text": text, "domain": f"k{number % 3}", **more}


def lines(first, stop):
    return "".join(json.dumps(make_row(number)) + "\n" for number in range(first, stop))


def texts(first, stop):
    return [make_row(number)["text"] for number in range(first, stop)]


def read(run):
    """The table of scores, in the order of the corpus."""
    return pa.concat_tables([pq.read_table(path) for path in parquet.list_parts(Path(run) / "scores")])


def read_carried(run, name="domain"):
    paths = parquet.list_parts(Path(run) / "carried" / name)
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths]).column("value").to_pylist()


def list_bytes(run):
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(Path(run).rglob("*")) if path.is_file()}


def assert_same_scores(run, other):
    """Row for row and number for number, but for the last digits of sums in another company."""
    one, two = read(run), read(other)
    assert one.column_names == two.column_names
    exact = [name for name in one.column_names if name not in IN_LAST_DIGITS]
    assert one.select(exact).equals(two.select(exact))
    for name in IN_LAST_DIGITS:
        if name in one.column_names:
            first, second = (np.asarray(table[name].to_numpy(), np.float64) for table in (one, two))
            assert np.allclose(first, second, rtol=1e-5, equal_nan=True), name


def score_again(corpus, run, model, **options):
    """Score in small slices and in fp32."""
    corpus = [str(path) for path in corpus] if isinstance(corpus, list) else [str(corpus)]
    return score(corpus, **{"model": model, "run": str(run), "exact": True, "slice_bytes": 900, **options})
