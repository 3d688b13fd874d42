"""Sequences that begin alike are read together once, and have the numbers that each has alone."""

import dataclasses

import numpy as np
import pytest
from helpers import models

from curate.reference import load
from curate.reference.causal import CausalReference
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig
from curate.reference.token_sequences import TokenSequence, measure_sequences, prepare_sequences

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SYSTEM, QUESTION = list(range(20, 44)), list(range(30, 38))
FAMILY = [
    [*SYSTEM, 1, 2, 3],
    [*SYSTEM, *QUESTION, 4, 5],
    [*SYSTEM, *QUESTION, 4, 5],
    [*SYSTEM, *QUESTION],
    [*SYSTEM, *QUESTION, 6, 7, 8, 9],
    [4, 5],
    [4, 5, 4],
    [90, 91, 92],
]
"""Branches of a tree, two that are the same, one that is the beginning of others, and answers alone."""


def make(ids, wanted=None):
    return TokenSequence(np.array(ids, np.int32), np.ones(len(ids), np.bool_) if wanted is None else wanted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind):
        if kind not in made:
            made[kind] = str(models.save(root / kind, kind))
        return made[kind]

    return get


def read_apart(reference, sequences):
    """The numbers of each sequence from a call of its own, in which nothing is shared."""
    return [measure_sequences(reference, [sequence])[0] for sequence in sequences]


def count_computed(reference, sequences):
    before = reference.num_computed_tokens
    found = measure_sequences(reference, sequences)
    return found, reference.num_computed_tokens - before


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "bloom", "mamba"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_numbers_are_those_of_each_sequence_alone(folder, kind, dtype):
    reference = load(folder(kind), ScoringConfig(exact=dtype == "fp32", dtype="auto" if dtype == "fp32" else dtype))
    sequences = [make(ids) for ids in FAMILY]
    tolerance = 1e-5 if dtype == "fp32" else 0.05
    for found, alone in zip(measure_sequences(reference, sequences), read_apart(reference, sequences), strict=True):
        np.testing.assert_allclose(found.nats, alone.nats, atol=tolerance)
        if dtype == "fp32":
            np.testing.assert_array_equal(found.ranks, alone.ranks)


def test_what_is_common_is_read_once(folder, monkeypatch):
    reference = load(folder("llama"), ScoringConfig(exact=True))
    sequences = [make(ids) for ids in FAMILY]
    shared, read = count_computed(reference, sequences)
    monkeypatch.setattr(CausalReference, "_shares_beginnings", lambda *_: False)
    apart, whole = count_computed(reference, sequences)
    assert whole == sum(map(len, FAMILY)), "the prefix comes first, the last token is predicted alone"
    nodes = {tuple([0, *ids][:at]) for ids in FAMILY for at in range(1, len(ids) + 1)}
    assert read == len(nodes) < whole / 2
    for one, other in zip(shared, apart, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, atol=1e-5)


def test_tokens_of_which_some_are_scored_in_one_sequence_and_others_in_another(folder):
    reference = load(folder("llama"), ScoringConfig(exact=True))
    chance = np.random.default_rng(0)
    sequences = []
    for ids in FAMILY * 3:
        wanted = chance.random(len(ids)) < 0.4
        wanted[-1] = True
        sequences.append(make(ids, wanted))
    for found, alone, sequence in zip(
        measure_sequences(reference, sequences), read_apart(reference, sequences), sequences, strict=True
    ):
        np.testing.assert_array_equal(np.isfinite(found.nats), sequence.is_scored)
        np.testing.assert_allclose(found.nats, alone.nats, atol=1e-5)
        np.testing.assert_array_equal(found.ranks, alone.ranks)


@pytest.mark.parametrize("prefix_each", [False, True])
def test_windows_of_long_sequences_share_what_they_begin_with(folder, prefix_each):
    """Premise: the model reads 64 tokens; the first windows are the same, the later ones differ."""
    reference = load(folder("llama"), ScoringConfig(exact=True))
    reference.policy = WindowPolicy(64, 16, prefix_each)
    chance = np.random.default_rng(1)
    begun = chance.integers(1, 90, 100).tolist()
    sequences = [make([*begun, *chance.integers(1, 90, 60).tolist()]) for _ in range(5)]
    found, read = count_computed(reference, sequences)
    for one, alone in zip(found, read_apart(reference, sequences), strict=True):
        np.testing.assert_allclose(one.nats, alone.nats, atol=1e-5)
        assert one.windows == alone.windows
    prepared, _ = prepare_sequences(reference, sequences)
    assert read < prepared.lengths.sum() - 4 * 64


@pytest.mark.parametrize("capacity", [1, 30, 64, 10_000])
def test_packs_hold_every_window_once_and_read_no_more_than_they_may(folder, capacity):
    reference = load(folder("llama"), ScoringConfig(exact=True))
    reference.pack_tokens = capacity
    sequences = [make(ids) for ids in FAMILY * 2]
    prepared, _ = prepare_sequences(reference, sequences)
    packs = reference._split(prepared, np.arange(len(prepared.lengths)))
    assert sorted(np.concatenate(packs).tolist()) == list(range(len(sequences)))
    for windows in packs:
        pack = reference._build_pack(prepared, windows)
        assert len(windows) == 1 or pack.num_positions <= capacity * 1.03 + 1
    found = measure_sequences(reference, sequences)
    for one, alone in zip(found, read_apart(reference, sequences), strict=True):
        np.testing.assert_allclose(one.nats, alone.nats, atol=1e-5)


def test_sequences_without_a_common_beginning_are_packed_as_ever(folder):
    reference = load(folder("llama"), ScoringConfig(exact=True))
    chance = np.random.default_rng(2)
    prepared, _ = prepare_sequences(reference, [make(chance.integers(1, 90, 60)) for _ in range(4)])
    windows = np.arange(4)
    plain = dataclasses.replace(prepared, begins_alike=False)
    pack, other = reference._build_pack(prepared, windows), reference._build_pack(plain, windows)
    assert pack.spread is None and other.spread is None
    np.testing.assert_array_equal(pack.ids_BL, other.ids_BL)
