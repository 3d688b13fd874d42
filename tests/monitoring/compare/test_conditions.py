"""Conditions of reading: which evaluators are one."""

import pytest

from curate.monitoring.compare.conditions import fingerprint_evaluator

IDENTITY = {
    "model": "models/one",
    "weights": "w",
    "files": "f",
    "tokenizer": "t",
    "prefix": 0,
    "window": 1024,
    "convention": "curate",
    "convention_args": "",
    "dtype": "bf16",
    "device": "cpu",
    "chip": "AVX512",
    "versions": {"torch": "2.13"},
}


@pytest.mark.parametrize(
    "change", [{"device": "cuda"}, {"chip": "H200"}, {"versions": {"torch": "3"}}, {"model": "/home/x/models/one"}]
)
def test_an_evaluator_is_the_same_one_on_every_machine(change):
    assert fingerprint_evaluator({**IDENTITY, **change}) == fingerprint_evaluator(IDENTITY)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "v"},
        {"tokenizer": "u"},
        {"prefix": None},
        {"window": 512},
        {"convention": "lm-eval"},
        {"dtype": "fp32"},
    ],
)
def test_an_evaluator_that_reads_otherwise_is_another_one(change):
    assert fingerprint_evaluator({**IDENTITY, **change}) != fingerprint_evaluator(IDENTITY)


def test_nothing_is_no_evaluator():
    assert fingerprint_evaluator({}) == ""
