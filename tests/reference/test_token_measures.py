"""Nats by kind of text and calibration against a naive fp32 loop: layouts, windows, prefixes, dtypes and tokenizers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import models
from helpers.encoders import KINDS as ENCODERS
from helpers.encoders import TEXTS as SHORT
from helpers.scoring import TEXTS

from curate.reference import load
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.forward_pass import batches
from curate.reference.likelihood import Passage
from curate.reference.measures import calibration
from curate.reference.measures.calibration import full_ece, top1_accuracy
from curate.reference.measures.kind_sums import BYTES, NATS
from curate.reference.measures.text_kinds import measure_kinds
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig

READ = [*TEXTS, "", "東", "See https://a.b/c_d?e=1, max_tokens == 3 🙂🙂"]
BOTH = ("kinds", "calibration")


def measure(reference, texts=READ, measures=BOTH):
    (found,) = reference.score([[Passage(text) for text in texts]], measures=measures)
    return found


def list_spelled_bytes(place, text):
    """The bytes of each token of a byte-level tokenizer, by its own decoder of pieces."""
    backend = models.tokenizer().backend_tokenizer
    backend.encode_special_tokens = True
    byte_of = {char: byte for byte, char in spell_bytes().items()}
    encoding = backend.encode(text, add_special_tokens=False)
    return encoding.ids, [bytes(byte_of[char] for char in piece) for piece in encoding.tokens]


def spell_bytes():
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return bytes_to_unicode()


def measure_slowly(place, text, window, prefix=0, overlap=0, prefix_each=False, kept=None):
    """Token by token, one window at a time, full logits.  → the sums by name"""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()
    ids, spelled = list_spelled_bytes(place, text)
    kinds, begins = measure_kinds(text.encode()), np.cumsum([0, *map(len, spelled)])
    sums = dict.fromkeys((*NATS, *BYTES), 0.0) | {name: np.zeros(20) for name in calibration.SUMS}
    sequence = ([] if prefix is None else [prefix]) + ids[:kept]
    lead, at = len(sequence) - len(ids[:kept]), 1
    while at < len(sequence):
        begin = max(0, at - 1 - overlap) if at > 1 else 0
        end = min(len(sequence), begin + window + 1)
        read = sequence[begin : end - 1]
        if prefix_each and begin > 0:
            read = [prefix, *read[1:]]
        with torch.no_grad():
            rows = model(torch.tensor([read])).logits[0].double().softmax(-1).numpy()
        for position in range(at, end):
            row, target, token = rows[position - 1 - begin], sequence[position], position - lead
            octets = range(begins[token], begins[token + 1])
            for octet in octets:
                sums[NATS[kinds[octet]]] += -np.log(row[target]) / len(octets)
                sums[BYTES[kinds[octet]]] += 1
            for name, which in (("full", np.ones(len(row), bool)), ("top1", np.arange(len(row)) == row.argmax())):
                bins = np.minimum((row[which] * 20).astype(int), 19)
                sums[f"ece_{name}_pairs"] += np.bincount(bins, minlength=20)
                sums[f"ece_{name}_confidence"] += np.bincount(bins, row[which], 20)
                sums[f"ece_{name}_hits"] += np.bincount(bins, np.flatnonzero(which) == target, 20)
        at = end
    return sums


def assert_sums(found, row, wanted, loose=1.0):
    for name in NATS:
        assert found.sums[name][row] == pytest.approx(wanted[name], rel=1e-4 * loose, abs=1e-4 * loose), name
    for name in BYTES:
        assert found.sums[name][row] == wanted[name], name
    for name in calibration.SUMS:  # a probability at the edge of a bin may fall to either side
        moved = np.abs(found.sums[name][row] - wanted[name]).sum()
        assert moved <= 1e-2 * loose if "confidence" in name and loose == 1 else moved <= 2 * loose, name


def assert_laws(found):
    ok = np.array([status == "ok" for status in found.status])
    nats, octets = sum(found.sums[name] for name in NATS), sum(found.sums[name] for name in BYTES)
    np.testing.assert_allclose(nats[ok], found.nats[ok], rtol=1e-9)
    np.testing.assert_array_equal(octets[ok], found.scored_bytes[ok])
    assert np.isnan(nats[~ok]).all() and np.isnan(octets[~ok]).all()


@pytest.mark.parametrize(
    ("kind", "layout"),
    [("llama", "packed"), ("llama", "equal"), ("bloom", "padded"), ("gemma2", "packed"), ("cohere", "packed")],
)
def test_exact_mode_gives_the_naive_loop(folder, kind, layout):
    reference = load(str(folder(kind)), ScoringConfig(exact=True, pack_tokens=150))
    reference.runner.layout = layout
    found = measure(reference)
    assert_laws(found)
    for row in (0, 2, 4, 5, 8):
        assert_sums(found, row, measure_slowly(folder(kind), READ[row], reference.policy.window))
    assert np.isnan(found.sums["ece_full_hits"][6]).all() and found.status[6] == "unscorable"


@pytest.mark.parametrize(
    "options",
    [
        {"window": 16, "overlap": 5},
        {"window": 10, "overlap": 3, "window_prefix": True},
        {"window": 16, "prefix": "none"},
        {"window": 16, "max_tokens": 37},
        {"prefix": "none", "max_tokens": 5},
    ],
)
def test_only_what_is_scored_counts(folder, options):
    reference = load(str(folder("llama")), ScoringConfig(exact=True, **options))
    found = measure(reference)
    assert_laws(found)
    prefix = None if options.get("prefix") == "none" else 0
    shape = options.get("window", 64), prefix, options.get("overlap", 0), "window_prefix" in options
    for row in (2, 5, 8):
        assert_sums(found, row, measure_slowly(folder("llama"), READ[row], *shape, options.get("max_tokens")))


def test_bf16_is_near_and_a_model_whose_head_is_not_known_gives_the_same(folder):
    reference = load(str(folder("llama")), ScoringConfig(dtype="bf16"))
    found = measure(reference)
    assert_laws(found)
    assert_sums(found, 5, measure_slowly(folder("llama"), READ[5], 64), loose=100)
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    known = measure(reference)
    reference.runner.head = None
    other = measure(reference)
    for name, values in known.sums.items():
        np.testing.assert_allclose(other.sums[name], values, rtol=1e-4, atol=1e-3)


def test_what_is_measured_beside_the_nats_does_not_move_them(folder):
    reference = load(str(folder("llama")))
    plain = measure(reference, measures=())
    assert plain.sums == {} and measure(reference, measures=("kinds",)).sums.keys() == {*NATS, *BYTES}
    assert measure(reference).nats.tobytes() == plain.nats.tobytes()


def test_a_uniform_model_has_no_error_of_calibration(tmp_path):
    model = models.build("llama")
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    model.save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    found = measure(load(str(tmp_path), ScoringConfig(exact=True)))
    sums = {name: np.nansum(values, 0) for name, values in found.sums.items()}
    assert full_ece(sums) == pytest.approx(0, abs=1e-5) and top1_accuracy(sums) == 1, "all tie with the likeliest"


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(("prefix", "kept"), [(0, None), (None, None), (0, 2), (None, 3)])
def test_kinds_add_up_whatever_the_tokenizer_does_to_a_text(name, prefix, kept):
    make, *options = ENCODERS[name]
    encoder = TextEncoder(SimpleNamespace(backend_tokenizer=make(*options)))
    passages = [Passage(text) for text in [*SHORT, "a  b日 https://a.b a_b  ", "a\u0301 ½ ab   "]]
    policy = WindowPolicy(7, max_tokens=kept)
    prepared = batches.prepare_batch(passages, encoder, policy, prefix, 10**8, measures=("kinds",))
    made = np.random.default_rng(0)
    for windows in batches.split_windows(prepared.lengths, "packed", 20):
        pack = batches.build_pack(prepared, windows, "packed", prefix)
        batches.record_nats(prepared, pack, made.random(pack.tokens).astype(np.float32))
    assert_laws(batches.finish_batch(prepared))


def test_the_guide_of_transformers_counts_in_part_and_so_do_the_kinds(folder):
    config = ScoringConfig(exact=True, convention="hf-guide", convention_args="stride=7")
    found = measure(load(str(folder("llama")), config), ["some words and 12 numbers, " * 30, "a1"])
    assert_laws(found)
    assert found.sums["kind_bytes_digits"][0] == pytest.approx(2 / 27 * found.scored_bytes[0], abs=2)


def test_tokens_that_cannot_be_located_have_no_kinds(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    slow = SimpleNamespace(get_vocab=dict, all_special_ids=[], decode=reference.encoder.spell)
    encoder = TextEncoder(slow)
    encoder.encode = reference.encoder.encode
    reference.encoder = encoder
    found = measure(reference, ["hello world"])
    assert found.status == ["ok"] and not set(NATS) & set(found.sums) and found.sums["top1_hits"][0] >= 0


def test_tokens_around_a_text_that_are_scored_leave_it_without_kinds(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    reference.frame = type(reference.frame)(after=(0,))
    assert not set(NATS) & set(measure(reference, ["hello world"]).sums)
