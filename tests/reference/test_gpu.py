"""What only a CUDA device can show. Skipped where there is none; ``python benchmarks/score_gpu.py`` measures the rest.

pytest -m gpu
"""

import numpy as np
import pytest
import torch
from helpers import models

from curate.reference import load
from curate.reference.checks import half_precision
from curate.reference.forward_pass import document_attention, fused_head, packed_attention
from curate.reference.forward_pass.compilation import find_obstacle
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore"),
]
WORDS = "the same words again and some others "
BATCHES = [[Passage(WORDS[number % 9 :] * (1 + number % 40)) for number in range(at, at + 60)] for at in (0, 60, 120)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("models") / "llama", "llama", head_dim=64))


def score(reference):
    return np.concatenate([one.nats for one in reference.score(iter(BATCHES))])


def test_exact_numbers_are_those_of_the_cpu(folder):
    found, wanted = (score(load(folder, ScoringConfig(exact=True, device=device))) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_the_default_mode_is_packed_near_fp32_and_bitwise_the_same_again(folder, compiled):
    if compiled == "on" and find_obstacle(torch.device("cuda")):
        pytest.skip(str(find_obstacle(torch.device("cuda"))))
    reference = load(folder, ScoringConfig(device="cuda", compiled=compiled))
    assert reference.identity["forward"] == "packed" and reference.identity["compiled"] == (compiled == "on")
    if torch.cuda.get_device_capability()[0] >= 8:
        assert reference.identity["attention"].startswith("varlen"), reference.notes
    first, again = score(reference), score(reference)
    assert first.tobytes() == again.tobytes()
    exact = load(folder, ScoringConfig(exact=True, device="cuda"))
    truth = list(exact.score(iter(BATCHES)))
    tokens = np.concatenate([one.tokens for one in truth])
    error = first - np.concatenate([one.nats for one in truth])
    assert np.sqrt(np.mean(error**2 / tokens)) / np.sqrt(half_precision.DOCUMENT) <= half_precision.MOST


def test_the_host_never_waits_for_the_device_but_for_its_nats(folder):
    reference = load(folder, ScoringConfig(device="cuda"))
    score(reference)
    torch.cuda.set_sync_debug_mode("error")
    try:
        score(reference)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_out_of_memory_halves_and_loses_nothing(folder):
    wanted = score(load(folder, ScoringConfig(exact=True, device="cuda")))
    reference = load(folder, ScoringConfig(exact=True, device="cuda", pack_tokens=16384))
    used = torch.cuda.memory_allocated() + 20_000_000
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(used / torch.cuda.get_device_properties(0).total_memory)
    try:
        found = score(reference)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert reference.pack_tokens < 16384


@pytest.mark.skipif(fused_head.triton is None, reason="no Triton")
@pytest.mark.parametrize(("rows", "vocabulary", "width"), [(1, 7, 16), (130, 1000, 96), (77, 384, 64)])
def test_the_losses_of_the_fused_head_are_those_of_float32_logits(rows, vocabulary, width):
    torch.manual_seed(0)
    hidden, weight = (torch.randn(size, width, device="cuda").bfloat16() for size in (rows, vocabulary))
    targets = torch.randint(0, vocabulary, (rows,), device="cuda")
    wanted = torch.nn.functional.cross_entropy(hidden.double() @ weight.double().t(), targets, reduction="none")
    found = fused_head.fused_losses(hidden, weight, targets)
    assert float((found.double() - wanted).abs().max()) < 2e-5 * max(1.0, float(wanted.max()))


@pytest.mark.skipif(not document_attention.is_installed(), reason="no Triton")
def test_our_kernel_attends_inside_each_document_and_gives_it_the_same_bits_anywhere():
    torch.manual_seed(0)
    lengths = [1, 64, 63, 65, 300, 128]
    edges = [0, *np.cumsum(lengths).tolist()]
    query, key, value = (torch.randn(edges[-1], heads, 64, device="cuda").bfloat16() for heads in (6, 2, 2))
    bounds = torch.tensor(edges, dtype=torch.int32, device="cuda")
    found = document_attention.attend_documents(query, key, value, bounds, max(lengths), 0.125)
    with packed_attention.attend_within(packed_attention.DocumentBounds(edges)):
        wanted = packed_attention._attend(
            *(each.float().transpose(0, 1)[None] for each in (query, key, value)), 0.125, None, None, None
        )[0]
    assert float((found.float() - wanted).abs().max()) < 0.02
    cut = slice(edges[4], edges[5])
    alone = document_attention.attend_documents(
        query[cut], key[cut], value[cut], torch.tensor([0, 300], dtype=torch.int32, device="cuda"), 300, 0.125
    )
    assert torch.equal(alone, found[cut])
