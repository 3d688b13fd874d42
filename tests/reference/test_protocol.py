"""``ReferenceModel`` lists all that its callers use, and every reference has each of it."""

import ast
from collections.abc import Sequence
from contextlib import closing

import pytest
from helpers import models
from helpers.paths import ROOT

from curate.reference import load
from curate.reference.announce import announce_reference
from curate.reference.likelihood import Passage
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ReferenceModel, ScoringConfig
from curate.runtime import console

MEMBERS = sorted(name for name in vars(ReferenceModel) if not name.startswith("_"))
CONFIG = ScoringConfig(exact=True, device="cpu", window=32, overlap=4, max_tokens=40)


@pytest.fixture(scope="module", params=["one device", "two devices", "no model"])
def reference(request, tmp_path_factory):
    """Gives each of the three real references."""
    model = "none"
    if request.param != "no model":
        model = str(models.save(tmp_path_factory.mktemp("model"), "llama"))
    with closing(load(model, CONFIG, "cpu,cpu" if request.param == "two devices" else None)) as reference:
        yield reference


def test_every_reference_has_every_member_of_the_type_that_is_promised(reference):
    assert {name for name in MEMBERS if not hasattr(reference, name)} == set()
    assert {"model", "tokenizer", "device", "dtype"} <= set(reference.identity)
    assert reference.devices and all(isinstance(name, str) for name in reference.devices)
    assert isinstance(reference.check_line, str) and isinstance(reference.notes, Sequence)
    counts = (reference.parameters, reference.vocab_size, reference.num_scored_tokens, reference.num_computed_tokens)
    assert all(isinstance(count, int) and count >= 0 for count in counts)


def test_what_is_known_of_a_model_is_the_same_on_one_device_and_on_two(reference):
    if reference.identity["model"] == "none":
        assert (reference.vocab_size, reference.policy, reference.parameters) == (0, None, 0)
    else:
        assert reference.vocab_size == models.VOCABULARY
        assert reference.policy == WindowPolicy(32, 4, max_tokens=40)
        assert reference.policy == WindowPolicy.from_identity(reference.identity)


def test_counts_grow_with_what_is_scored_and_it_can_be_announced(reference, capsys):
    before, computed = reference.num_scored_tokens, reference.num_computed_tokens
    (found,) = reference.score([[Passage("hello world"), Passage("and more of it")]])
    assert reference.num_scored_tokens - before == found.tokens.sum()
    assert reference.num_computed_tokens - computed >= found.tokens.sum()
    console.enable(True)
    announce_reference(reference)
    said = " ".join(capsys.readouterr().err.split())
    if reference.identity["model"] == "none":
        assert "nothing is measured" in said and "self-check" not in said
    else:
        assert "LlamaForCausalLM" in said and f"self-check {reference.check_line}" in said
    assert ("cpu, cpu" in said) == (reference.devices == ("cpu", "cpu")), "devices are named where there are several"


def test_a_reference_that_is_closed_twice_is_not_a_failure(tmp_path):
    for model, devices in (("none", None), (str(models.save(tmp_path, "llama")), "cpu")):
        reference = load(model, CONFIG, devices)
        reference.close()
        reference.close()


@pytest.mark.parametrize("folder", ["curate", "benchmarks"])
def test_nobody_asks_a_reference_whether_it_has_something_or_reaches_into_its_model(folder):
    """Whatever a caller needs is a member: no ``getattr(reference, …)``, no ``reference.runner.model``."""
    offences = []
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            asks = isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr")
            if asks and "reference" in ast.unparse(node.args[0]):
                offences.append(f"{path}:{node.lineno}")
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("reference.runner.model"):
                offences.append(f"{path}:{node.lineno}")
    assert offences == []
