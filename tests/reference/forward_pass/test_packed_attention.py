"""The kernels for a pack: one for all documents where it gives the numbers, else a call for each."""

import functools

import numpy as np
import pytest
import torch
from helpers.packs import batches_of

from curate.reference import load
from curate.reference.checks import self_check
from curate.reference.forward_pass import document_attention, packed_attention
from curate.reference.protocol import ScoringConfig


def looped(query, key, value, scale, window, edges, longest):
    """What the kernel for many documents computes, document by document; edges are those of the device."""
    assert edges.dtype == torch.int32 and int((edges[1:] - edges[:-1]).max()) == longest
    parts = []
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        one = (whole[:, :, begin:end] for whole in (query, key, value))
        parts.append(packed_attention._document(*one, scale, window, None, None).transpose(1, 2))
    return torch.cat(parts, dim=1)


def with_kernel(monkeypatch, kernel):
    monkeypatch.setattr(packed_attention, "_varlen", kernel)
    monkeypatch.setattr(
        self_check, "list_kernels", lambda runner, layout: (True, False) if layout == "packed" else (False,)
    )


def test_one_kernel_for_all_documents_is_used_where_it_gives_the_numbers(folder, monkeypatch):
    with_kernel(monkeypatch, looped)
    reference = load(str(folder), ScoringConfig(dtype="bf16"))
    assert reference.runner.varlen and reference.identity["attention"] == "varlen"
    monkeypatch.undo()
    other = load(str(folder), ScoringConfig(dtype="bf16"))
    assert not other.runner.varlen and other.identity["attention"] == "documents"
    with_kernel(monkeypatch, looped)
    (found,), (wanted,) = reference.score(batches_of(1)), other.score(batches_of(1))
    np.testing.assert_allclose(found.nats, wanted.nats, rtol=1e-2)


@pytest.mark.parametrize("fault", ["raises", "leaks"])
def test_where_the_kernel_fails_documents_go_apart_and_it_is_said(folder, monkeypatch, fault):
    def broken(query, key, value, scale, window, edges, longest):
        if fault == "raises":
            raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")
        return packed_attention._document(query, key, value, scale, window, None, None).transpose(
            1, 2
        )  # one long document

    with_kernel(monkeypatch, broken)
    reference = load(str(folder), ScoringConfig(dtype="bf16"))
    assert reference.runner.layout == "packed" and not reference.runner.varlen
    if fault == "raises":
        assert any("one kernel" in note and "Ampere" in note for note in reference.notes)


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("heads", [(6, 2), (4, 4)])
@pytest.mark.parametrize("window", [None, 16])
def test_torchs_own_kernel_is_asked_in_words_that_it_knows(monkeypatch, third, heads, window):
    """On tensors without contents, where all is done but the computing."""
    from torch.nn.attention import varlen

    asked, real = [], varlen.varlen_attn

    @functools.wraps(real)
    def watched(*words, **named):
        asked.append(named)
        return real(*words, **named)

    monkeypatch.setattr(varlen, "varlen_attn", watched)
    monkeypatch.setattr(packed_attention, "_third", third)
    query, key = (torch.empty(1, count, 128, 64, dtype=torch.bfloat16, device="meta") for count in heads)
    edges = torch.empty(3, dtype=torch.int32, device="meta")
    found = packed_attention._varlen(query, key, key, 0.1, window, edges, 78)
    assert found.shape == (1, 128, heads[0], 64) and found.dtype == torch.bfloat16
    (named,) = asked
    assert named["window_size"] == ((-1, 0) if window is None else (15, 0)), "a window of 16 sees itself and 15 before"
    assert named["scale"] == 0.1 and named.get("num_splits") == (1 if third else None)


def test_the_hopper_kernel_is_left_alone_where_it_is_missing_or_fails(monkeypatch, capsys):
    from torch.nn import attention as kernels

    from curate.runtime import console

    console.enable(True)
    called = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(kernels, "activate_flash_attention_impl", called.append)
    monkeypatch.setattr(kernels, "restore_flash_attention_impl", lambda: called.append("restored"))
    assert not packed_attention.activate_hopper_kernel(torch.device("cuda")) and not called
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(packed_attention, "find_spec", lambda name: None)
    assert not packed_attention.activate_hopper_kernel(torch.device("cuda")) and not called
    monkeypatch.setattr(packed_attention, "find_spec", lambda name: name)
    monkeypatch.setattr(
        packed_attention, "_varlen", lambda *words: (_ for _ in ()).throw(RuntimeError("no kernel image"))
    )
    assert not packed_attention.activate_hopper_kernel(torch.device("cpu")) and called == ["FA3", "restored"]
    assert not packed_attention._third and "installed but fails (no kernel image)" in capsys.readouterr().err
    monkeypatch.setattr(packed_attention, "_varlen", lambda *words: None)
    assert packed_attention.activate_hopper_kernel(torch.device("cpu")) and called[-1] == "FA3"
    monkeypatch.setattr(packed_attention, "_third", False)


def test_a_cpu_and_exact_numbers_take_no_kernel_for_half_precision(plain):
    assert self_check.list_kernels(plain.runner, "packed") == (False,)
    plain.runner.device = torch.device("cuda")
    assert self_check.list_kernels(plain.runner, "packed") == (False,), "float32"
    plain.runner.model.to(torch.bfloat16)
    assert self_check.list_kernels(plain.runner, "packed") == (True, False)
    assert self_check.list_kernels(plain.runner, "padded") == (False,)


def test_our_kernel_runs_where_it_is_wanted_and_fits_and_torchs_everywhere_else(monkeypatch):
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 20, 64).bfloat16() for heads in (6, 2, 2))
    assert not document_attention.fits(*(each[0].transpose(0, 1) for each in (query, key, value))), "not on CUDA"
    assert not packed_attention.prefers_own_kernel(torch.device("cpu"))
    calls = []

    def ours(query, key, value, edges, longest, scale):
        calls.append("ours")
        return looped(*(each.transpose(0, 1)[None] for each in (query, key, value)), scale, None, edges, longest)[0]

    def torchs(*given):
        calls.append("torch's")
        return looped(*given)

    monkeypatch.setattr(document_attention, "fits", lambda *_: True)
    monkeypatch.setattr(document_attention, "attend_documents", ours)
    monkeypatch.setattr(packed_attention, "_varlen", torchs)
    edges = [0, 3, 20]
    on_device, found = torch.tensor(edges, dtype=torch.int32), []
    for fused, window in ((True, None), (True, 4), (False, None)):
        with packed_attention.attend_within(packed_attention.DocumentBounds(edges, on_device, fused)):
            found.append(packed_attention._attend(query, key, value, 0.125, window, None, None))
    assert calls == ["ours", "torch's", "torch's"]
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


@pytest.mark.parametrize("length", [96, 128, 129, 300])
def test_blocks_of_queries_on_a_cpu_attend_to_what_is_before_them_and_nothing_else(length):
    made = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, heads, length, width, generator=made).to(torch.bfloat16)
        for heads, width in ((6, 16), (3, 16), (3, 8))
    )
    blocks = packed_attention._document(query, key, value, 0.25, None, None, None)
    truth = torch.nn.functional.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), is_causal=True, scale=0.25, enable_gqa=True
    )
    assert (blocks.double() - truth).square().mean().sqrt() < 0.005 * truth.square().mean().sqrt()
    key[:, :, length // 2 :], value[:, :, length // 2 :] = 9.0, 9.0
    changed = packed_attention._document(query, key, value, 0.25, None, None, None)
    assert torch.equal(changed[:, :, : length // 2], blocks[:, :, : length // 2])
