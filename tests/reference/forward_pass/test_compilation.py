"""Products merged and layers compiled: the same numbers, one graph for all layers and all documents; else as it was."""

import shutil
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import models
from torch import nn
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import UsageError
from curate.reference import load, pack_tuning
from curate.reference.forward_pass import compilation, fused_head, packed_attention
from curate.reference.forward_pass.forward import is_out_of_memory
from curate.reference.forward_pass.lm_head import Head, chunk_rows, own_losses, spelled_losses
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig
from curate.rundir.run import open_run
from curate.stages.score.request import settle_compiling

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore::UserWarning:torch")
DENSE = ("llama", "qwen2", "gpt2", "mistral", "gemma2", "granite", "gpt_neox", "opt", "cohere")
MERGED = {"gpt2": 0, "gpt_neox": 0, "opt": 2}  # GPT-2 and NeoX were born with one product; OPT has no gate
GRAPHS = {"gemma2": 2}  # its layers are of two kinds, with and without a sliding window
TEXTS = ["hello world", "Größe 東京 🙂", "def f(x):\n    return x + 1\n" * 4, "the same words again " * 20]
needs_compiler = pytest.mark.skipif(
    bool(compilation.find_obstacle(torch.device("cpu"))), reason="no compiler for the CPU"
)


@contextmanager
def watched(model):
    """Compile the layers of a model with a backend that only keeps the graphs that it is given."""
    graphs = []

    def keep(graph, _example):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compilation.compile_layers(model, keep)
    yield graphs
    for layer in compilation.find_layers(model):
        layer._compiled_call_impl = None
    torch._dynamo.reset()


def hidden(model, edges, places=48):
    ids = torch.arange(places)[None] * 7 % 384
    positions = torch.cat([torch.arange(end - begin) for begin, end in pairwise(edges)])[None]
    with torch.inference_mode(), packed_attention.attend_within(packed_attention.DocumentBounds(edges)):
        return model.base_model(input_ids=ids, position_ids=positions, use_cache=False)[0]


def build(kind):
    packed_attention.register_attention()
    model = models.build(kind)
    model.set_attn_implementation(packed_attention.NAME)
    return model


@pytest.mark.parametrize("kind", DENSE)
def test_a_model_is_compiled_once_for_all_its_layers_and_all_documents(kind):
    model = build(kind)
    plain = {edges: hidden(model, list(edges)) for edges in [(0, 48), (0, 20, 48), (0, 5, 6, 30, 48)]}
    assert compilation.merge_projections(model) == MERGED.get(kind, 4)
    assert len(compilation.find_layers(model)) == 2
    with watched(model) as graphs:
        for edges, wanted in plain.items():
            np.testing.assert_allclose(hidden(model, list(edges)), wanted, atol=5e-6, rtol=1e-5)
        assert len(graphs) == GRAPHS.get(kind, 1)
        for graph in graphs:
            calls = [node for node in graph.graph.nodes if node.op == "call_function"]
            assert sum("curate" in str(node.target) for node in calls) == 1, "attention is one operation"
            (outputs,) = (node.args[0] for node in graph.graph.nodes if node.op == "output")
            assert len(outputs) == 1, "no part of a merged product outlives its layer"


def test_merged_layers_share_one_product_and_are_each_themselves():
    torch.manual_seed(0)
    parent = nn.Module()
    parent.q_proj, parent.k_proj, parent.v_proj = nn.Linear(8, 6), nn.Linear(8, 2), nn.Linear(8, 3)
    x, other = torch.randn(5, 8), torch.randn(5, 8)
    layers = (parent.q_proj, parent.k_proj, parent.v_proj)
    wanted = [[layer(one) for layer in layers] for one in (x, other)]
    assert compilation.merge_projections(parent) == 1 and compilation.merge_projections(parent) == 0
    merged, calls = parent.q_proj.merged, []
    real = compilation.F.linear
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation.F, "linear", lambda *words: (calls.append(1), real(*words))[1])
        found = [getattr(parent, name)(x) for name in ("q_proj", "k_proj", "v_proj")]
        assert len(calls) == 1 and merged.seen is None, "and nothing is kept when all were asked"
    for one, two in zip(found, wanted[0], strict=True):
        torch.testing.assert_close(one, two)
    # asked about another input in between, out of order, and again about the first
    asked = [(2, x), (0, other), (1, x), (1, other), (0, x), (0, x), (2, other)]
    for number, given in asked:
        name = ("q_proj", "k_proj", "v_proj")[number]
        torch.testing.assert_close(getattr(parent, name)(given), wanted[given is other][number])
    torch.testing.assert_close(parent.k_proj.weight, layers[1].weight)


def test_layers_that_do_not_fit_together_are_left_alone():
    class Other(nn.Linear):
        pass

    for odd in (Other(8, 4), nn.Linear(9, 4), nn.Linear(8, 4, bias=False), nn.Linear(8, 4).half(), None):
        parent = nn.Module()
        parent.gate_proj, parent.up_proj = nn.Linear(8, 4), odd
        assert compilation.merge_projections(parent) == 0 and parent.up_proj is odd


def test_two_ways_of_a_loss_are_one():
    torch.manual_seed(0)
    logits, targets = torch.randn(7, 50) * 9, torch.randint(0, 50, (7,))
    torch.testing.assert_close(spelled_losses(logits, targets), own_losses(logits, targets))


def test_a_kernel_for_the_whole_head_gives_nats_but_no_ranks():
    torch.manual_seed(0)
    hidden, targets = torch.randn(7, 8), torch.randint(0, 50, (7,))
    head = Head(torch.randn(50, 8), None, 1.0, None, rows=4)
    wanted, ranks, calls = head.nats(hidden, targets), torch.zeros(7, dtype=torch.int64), []
    assert fused_head.find_kernel(head) is None, "its weights are not on CUDA"

    def fused(*given):
        calls.append(given)
        return own_losses(given[0] @ given[1].t(), given[2])

    head.fused = fused
    torch.testing.assert_close(head.nats(hidden, targets), wanted)
    torch.testing.assert_close(head.nats(hidden, targets, ranks), wanted)
    assert len(calls) == 1 and ranks.min() >= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("models") / "llama", "llama")


def score(reference, texts=TEXTS):
    (found,) = reference.score([[Passage(text) for text in texts]])
    return found


@needs_compiler
def test_a_compiled_reference_gives_the_numbers_and_says_what_it_is(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    wanted = score(load(str(folder), ScoringConfig(dtype="fp32")))
    reference = load(str(folder), ScoringConfig(dtype="fp32", compiled="on", pack_tokens=256))
    assert reference.identity["compiled"] and (reference.runner.sizes, reference.runner.fill_from) == ((256,), 224)
    assert any("2 layers compiled in" in note for note in reference.notes), reference.notes
    np.testing.assert_allclose(score(reference).nats, wanted.nats, rtol=1e-5)
    assert reference.num_scored_tokens == wanted.tokens.sum() == 379
    assert reference.num_computed_tokens == 379, (
        "one pack is full, and the other is not filled up: it runs as it was written"
    )
    more = score(reference, [TEXTS[3][:355]])
    assert 224 < more.tokens.sum() < reference.num_computed_tokens - 379 == 256, (
        "this one is nearly full, and is filled up"
    )
    assert any(tmp_path.rglob("*.py")), "what was compiled is kept on disk"


@pytest.mark.parametrize("fault", ["raises", "wrong"])
def test_where_compiling_fails_the_model_runs_as_it_was_and_it_is_said(folder, monkeypatch, fault):
    wanted = score(load(str(folder), ScoringConfig(dtype="fp32")))

    def broken(graph, _example):
        if fault == "raises":
            raise RuntimeError("no such instruction\nand more lines")
        return lambda *words: tuple(one * 1.5 for one in graph.forward(*words))

    real = compilation.compile_layers
    torch._dynamo.reset()
    monkeypatch.setattr(compilation, "compile_layers", lambda model: real(model, broken))
    monkeypatch.setattr(compilation, "find_obstacle", lambda device: None)
    reference = load(str(folder), ScoringConfig(dtype="fp32", compiled="on", pack_tokens=256))
    torch._dynamo.reset()
    assert not reference.identity["compiled"] and reference.runner.sizes == () and not reference.runner.compiled
    assert any(note.startswith("not compiled: ") and "\n" not in note for note in reference.notes), reference.notes
    assert any("a token is off by" in note for note in reference.notes) == (fault == "wrong")
    np.testing.assert_allclose(score(reference).nats, wanted.nats, rtol=1e-6)
    assert not any("merged" in name for name, _ in reference.runner.model.named_modules())


def test_without_a_compiler_it_is_not_tried(folder, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compilation.find_obstacle(torch.device("cpu")) == "no C++ compiler"
    assert "mps" in compilation.find_obstacle(torch.device("mps"))
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(compilation.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(compilation.sysconfig, "get_paths", lambda: {"include": "/nowhere"})
    assert "no /nowhere/Python.h" in compilation.find_obstacle(torch.device("cpu"))
    monkeypatch.undo()
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(compilation, "merge_projections", None)
    reference = load(str(folder), ScoringConfig(compiled="on"))
    assert not reference.identity["compiled"] and "not compiled: no C++ compiler" in reference.notes


def test_a_model_whose_texts_do_not_share_packs_is_not_compiled_and_says_why(tmp_path):
    reference = load(str(models.save(tmp_path / "bloom", "bloom")), ScoringConfig(dtype="fp32", compiled="on"))
    assert reference.runner.layout == "padded" and not reference.identity["compiled"]
    assert "not compiled: its texts do not share packs of one size" in reference.notes


def test_auto_compiles_on_cuda_where_there_is_enough_to_read():
    class Checkpoint:
        parameters = 135_000_000

    def wants(device="cuda", **reading):
        return pack_tuning.wants_compiling(Checkpoint, ScoringConfig(**reading), torch.device(device))

    assert not wants(compiled="auto") and not wants(compiled="auto", text_bytes=10**7)
    assert wants(compiled="auto", text_bytes=10**10) and not wants(text_bytes=10**10)
    assert not wants(compiled="auto", exact=True, text_bytes=10**12), "exact runs the model as it is written"
    assert not wants("cpu", compiled="auto", text_bytes=10**12), "it gains little there"
    assert wants("cpu", compiled="on") and not wants(compiled="off", text_bytes=10**12)


def test_a_run_goes_on_as_it_began():
    assert settle_compiling("auto", {}) == "auto"
    assert (
        settle_compiling("auto", {"compiled": True}) == "on" and settle_compiling("auto", {"compiled": False}) == "off"
    )
    assert settle_compiling("off", {"compiled": True}) == "off"


@needs_compiler
def test_score_compiles_when_asked_and_resumes_compiled(folder, tmp_path, sample_corpus, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    corpus = shutil.copy(sample_corpus / "leaks.jsonl", tmp_path / "corpus.jsonl")
    words = ["score", str(corpus), "--model", str(folder), "--pack-tokens", "256", "--truncate", "64"]
    found = CliRunner().invoke(app, [*words, "--compile", "on"])
    assert found.exit_code == 0, found.stderr
    assert "compiling" in found.stderr and "layers compiled in" in found.stderr
    assert open_run("curated").stage("score")["made_from"]["model"]["compiled"] is True
    with open(corpus, "a") as file:
        file.write('{"text": "one document more, for which the model is loaded again"}\n')
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0 and "layers compiled in" in again.stderr, again.stderr
    refused = CliRunner().invoke(app, [*words, "--compile", "off"])
    assert refused.exit_code == 1 and "--compile off" in refused.stderr


@pytest.mark.parametrize("options", [{"compile": "maybe"}, {"compile": "on", "exact": True}])
def test_what_means_nothing_is_refused(options, tmp_path, sample_corpus):
    with pytest.raises(UsageError, match="--compile"):
        curate.score([str(sample_corpus / "leaks.jsonl")], run=str(tmp_path / "run"), **options)


@pytest.mark.parametrize("why", [NotImplementedError("not for this device"), RuntimeError("out_dtype"), None])
def test_half_precision_products_are_written_in_float32_or_made_in_float32(why, monkeypatch):
    """Premise: a CPU's ``mm`` knows no ``out_dtype``; one that does is played by a product in float32."""
    torch.manual_seed(0)
    weight, hidden = (torch.randn(size, 16).bfloat16() for size in (50, 7))
    wanted, asked, real = hidden.float() @ weight.float().t(), [], torch.mm

    def mm(left, right, out_dtype):
        asked.append(out_dtype)
        if why is not None:
            raise why
        return real(left.float(), right.float())

    monkeypatch.setattr(torch, "mm", mm)
    head = Head(weight, None, 1.0, None, 128)
    for _ in range(2):
        torch.testing.assert_close(head._wide_product(hidden), wanted)
    assert asked == [torch.float32] * (2 if why is None else 1), "what cannot be done is tried once"
    assert head.weight_VD.dtype == (torch.bfloat16 if why is None else torch.float32)


def test_want_of_memory_in_a_product_is_not_taken_for_something_else(monkeypatch):
    def mm(left, right, out_dtype):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "mm", mm)
    with pytest.raises(torch.OutOfMemoryError):
        Head(torch.zeros(5, 4).bfloat16(), None, 1.0, None, 128)._wide_product(torch.zeros(2, 4).bfloat16())

    def fails(left, right, out_dtype):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)")

    monkeypatch.setattr(torch, "mm", fails)
    head = Head(torch.zeros(5, 4).bfloat16(), None, 1.0, None, 128)
    head._writes_wide = True
    with pytest.raises(RuntimeError, match="ALLOC_FAILED") as caught:
        head._wide_product(torch.zeros(2, 4).bfloat16())
    assert is_out_of_memory(caught.value), "and what could be done before is not given up for it"


def test_the_rows_of_a_cuda_head_are_whole_blocks_that_keep_its_logits_small():
    for vocabulary in (256, 4096, 49152, 128256, 151936, 256000):
        rows = chunk_rows(vocabulary, on_cpu=False)
        assert rows % 128 == 0 and 128 <= rows <= 8192
        assert rows * vocabulary * 4 <= 500_000_000, "half of what may be held above the weights"
