"""Laws of the training of reference models, on a tiny model and text made here.

Premise of all: with a budget in tokens and float32 arithmetic, a training is a function of its texts and its recipe.
"""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as some
from tokenizers import Tokenizer, pre_tokenizers
from torch.nn import functional

from curate.errors import CorpusError, Interrupted, TableError, UsageError
from curate.reference import training
from curate.reference.training import Recipe, Training, budget, loss, train

TINY = Recipe(
    vocabulary=320,
    context=64,
    width=32,
    layers=1,
    heads=2,
    minutes=None,
    tokens=12_000,
    batch_tokens=512,
    held_out_every=10,
    compute="float32",
    weights="float32",
)
CORPUS = {"corpus": {"description": "made here", "fingerprint": "0123"}}


def write_sentences(count: int = 120, seed: int = 0) -> list[str]:
    """Documents of one to thirty sentences from a small grammar: there is something to learn, and to predict."""
    choose = random.Random(seed)
    subjects, verbs = ["The cat", "A dog", "My neighbour", "Nobody"], ["saw", "chased", "forgot", "bought"]
    objects = ["the mouse", "12 apples", "a house in 1984", "  nothing\n\tat all", "déjà vu 🙂"]

    def sentence() -> str:
        return f"{choose.choice(subjects)} {choose.choice(verbs)} {choose.choice(objects)}. "

    return ["".join(sentence() for _ in range(choose.randint(1, 30))) for _ in range(count)]


SENTENCES = write_sentences()


def learn(out: Path, recipe: Recipe = TINY, **options: object) -> Training:
    return train(lambda: iter(SENTENCES), out, recipe, provenance=CORPUS, **options)  # type: ignore[arg-type]


def weights_of(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Training]:
    out = tmp_path_factory.mktemp("models") / "finished"
    return out, learn(out)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return training.train_tokenizer(SENTENCES, 320)


# ── what a training comes to ──


def test_held_out_bits_per_byte_fall_clearly(finished: tuple[Path, Training]) -> None:
    _, found = finished
    first, last = found.history[0][3], found.held_out_bits_per_byte
    assert found.held_out_documents >= 3, "premise: something is held out"
    assert math.log2(320) * 0.5 > first > last + 0.5 > 0.5


def test_the_record_counts_what_was_done(finished: tuple[Path, Training]) -> None:
    out, found = finished
    assert found.tokens >= TINY.tokens and found.steps >= found.tokens / TINY.batch_tokens
    assert found.epochs == pytest.approx(found.tokens / found.corpus_tokens, rel=0.2)
    assert json.loads((out / "training.json").read_text())["training"]["tokens"] == found.tokens
    assert f"{found.held_out_bits_per_byte:.4f}" in (out / "README.md").read_text()
    assert not (out / training.WORK).exists(), "tokens and checkpoints are gone when the work is done"


def test_the_folder_loads_and_gives_the_measured_bits_per_byte(finished: tuple[Path, Training]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out, found = finished
    model, reader = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert (reader.bos_token, reader.eos_token, reader.model_max_length) == (training.END_OF_TEXT,) * 2 + (64,)
    assert model.config.max_position_embeddings == 64 and model.config.bos_token_id == reader.bos_token_id
    hashes = np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in SENTENCES], dtype=np.uint64)
    _, kept_out = training.split_held_out(hashes, TINY.held_out_every)
    nats = size = 0.0
    for index in kept_out:
        ids = reader(SENTENCES[index])["input_ids"][:64]
        assert ids[0] != reader.bos_token_id, "no token is added by the tokenizer"
        row = torch.tensor([[reader.bos_token_id, *ids]])
        with torch.no_grad():
            nats += functional.cross_entropy(model(row[:, :-1]).logits[0], row[0, 1:], reduction="sum").item()
        size += len(b"".join(bytes_of(reader, token) for token in ids))
    assert nats / math.log(2) / size == pytest.approx(found.held_out_bits_per_byte, rel=1e-4)


def bytes_of(reader: object, token: int) -> bytes:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    back = {character: byte for byte, character in bytes_to_unicode().items()}
    return bytes(back[character] for character in reader.convert_ids_to_tokens(token))  # type: ignore[attr-defined]


def test_weights_in_bfloat16_are_half_as_large(finished: tuple[Path, Training], tmp_path: Path) -> None:
    learn(tmp_path / "half", replace(TINY, weights="bfloat16", tokens=1_000))
    assert len(weights_of(tmp_path / "half")) < 0.6 * len(weights_of(finished[0]))


# ── stopping and going on ──


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code handles it."""


def die_at(step: int, monkeypatch: pytest.MonkeyPatch, with_what: BaseException) -> None:
    whole = training.learn_packs

    def dying(learner: training.Learner, *rest: object) -> float:
        if learner.step == step:
            raise with_what
        return whole(learner, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(budget, "learn_packs", dying)


def test_a_killed_training_ends_in_the_same_weights(
    finished: tuple[Path, Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kept = training.save_checkpoint
        patch.setattr(budget, "save_checkpoint", lambda learner, path: learner.step % 4 or kept(learner, path))
        die_at(11, patch, Killed())
        with pytest.raises(Killed):
            learn(tmp_path / "killed", checkpoint_seconds=0)
    state = torch.load(tmp_path / "killed" / training.WORK / "state.pt", weights_only=True)
    assert state["counters"]["step"] == 8, "premise: steps after the last checkpoint are lost and done again"
    again = learn(tmp_path / "killed")
    assert weights_of(tmp_path / "killed") == weights_of(finished[0])
    assert replace(again, seconds=0) == replace(finished[1], seconds=0)


def test_an_interrupted_training_says_so_and_goes_on(
    finished: tuple[Path, Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_at(5, patch, KeyboardInterrupt())
        with pytest.raises(Interrupted, match="stopped at"):
            learn(tmp_path / "stopped")
    state = torch.load(tmp_path / "stopped" / training.WORK / "state.pt", weights_only=True)
    assert state["counters"]["step"] == 5, "the last step before the interruption is kept"
    learn(tmp_path / "stopped")
    assert weights_of(tmp_path / "stopped") == weights_of(finished[0])


def test_a_finished_training_is_not_repeated(finished: tuple[Path, Training], monkeypatch: pytest.MonkeyPatch) -> None:
    die_at(0, monkeypatch, AssertionError("trained again"))
    assert learn(finished[0]) == finished[1]


def test_another_recipe_or_corpus_is_refused_with_the_difference(finished: tuple[Path, Training]) -> None:
    before = weights_of(finished[0])
    with pytest.raises(TableError, match=r"recipe layers 1; this command has 2") as refused:
        learn(finished[0], replace(TINY, layers=2))
    assert "--restart" in (refused.value.hint or "")
    with pytest.raises(TableError, match="corpus fingerprint 0123; this command has 4567"):
        train(lambda: iter(SENTENCES), finished[0], TINY, provenance={"corpus": {"fingerprint": "4567"}})
    assert weights_of(finished[0]) == before


def test_restart_begins_again(tmp_path: Path) -> None:
    short = replace(TINY, tokens=1_000)
    learn(tmp_path / "model", short)
    other = learn(tmp_path / "model", replace(short, seed=1), restart=True)
    assert (
        other.steps > 0 and json.loads((tmp_path / "model/training.json").read_text())["premise"]["recipe"]["seed"] == 1
    )


# ── wrong input ──


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    for restart in (False, True):
        with pytest.raises(TableError, match="is not empty and holds no training"):
            learn(tmp_path, restart=restart)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no text to learn from"),
        (["", " \n "], "no text to learn from"),
        (["too short"], "(no text to learn from|too small for a vocabulary of 320)"),
        (["ab " * 1000] * 3, "too small for a vocabulary of 320"),
    ],
)
def test_too_little_text_is_one_line(texts: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=message) as refused:
        train(lambda: iter(texts), tmp_path / "model", replace(TINY, held_out_every=1_000), provenance={})
    assert "\n" not in refused.value.message and refused.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocabulary": 256},
        {"width": 30, "heads": 4},
        {"tokens": None},
        {"tokens": 0},
        {"minutes": -1.0},
        {"batch_tokens": 100},
        {"weights": "int8"},
    ],
)
def test_a_recipe_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(TINY, **wrong)  # type: ignore[arg-type]


# ── tokenizer ──


@given(some.text())
@settings(max_examples=300, deadline=None)
def test_every_text_encodes_and_decodes_to_itself(tokenizer: Tokenizer, text: str) -> None:
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == text
    assert training.END not in ids
    assert training.token_bytes(tokenizer)[ids].sum() == len(text.encode())


def test_every_byte_is_a_token_and_digits_are_single(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.get_vocab()
    assert len(tokens) == 320 and set(pre_tokenizers.ByteLevel.alphabet()) <= set(tokens)
    assert tokenizer.encode("1984").tokens == ["1", "9", "8", "4"]
    text = f"a text that spells {training.END_OF_TEXT}"
    tokenizer.encode_special_tokens = True
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_sample_for_the_tokenizer_is_one_for_every_order() -> None:
    texts = [f"text {number}" for number in range(50)]
    some_of = training.sample_texts(texts, 100)
    assert 0 < sum(map(len, some_of)) <= 100
    assert training.sample_texts(reversed(texts), 100) == some_of


# ── windows and packs ──


@given(some.lists(some.integers(2, 400), min_size=1, max_size=12), some.integers(1, 5), some.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_every_token_of_a_pass_is_predicted_once(lengths: list[int], blocks: int, seed: int) -> None:
    ids = np.arange(1, sum(lengths) + 1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    encoded = training.Encoded(ids, starts, np.zeros(len(lengths), dtype=np.uint64))
    windows = training.cut_windows(encoded, np.arange(len(lengths)), 128)
    order = training.shuffled(len(windows.begins), seed, 0)
    room, predicted = blocks * training.BLOCK, []
    for first in range(0, windows.places, room):
        pack = training.make_pack(ids, *training.take_spans(windows, order, first, first + room), "cpu")
        assert len(pack.inputs) == sum(pack.lengths) == min(room, windows.places - first)
        real = pack.targets >= 0
        assert torch.equal(pack.inputs[real] + 1, pack.targets[real])
        assert pack.tokens == int(real.sum())
        predicted += pack.targets[real].tolist()
    assert sorted(predicted) == sorted(set(ids.tolist()) - set(ids[starts[:-1]].tolist()))


def test_a_window_reads_nothing_of_its_neighbours() -> None:
    model = training.build_model(TINY)
    torch.nn.init.normal_(model.model.layers[0].self_attn.o_proj.weight, std=0.5)  # it begins at zero, and sees nothing
    ids = np.random.default_rng(0).integers(1, 320, 500)
    begins, ends = np.array([0, 100, 137]), np.array([64, 130, 199])
    together = training.read_pack(model, training.make_pack(ids, begins, ends, "cpu"), torch.float32)
    for place, begin, end in zip((0, 64, 128), begins, ends, strict=True):
        alone = model.model(torch.tensor(ids[None, begin:end]), lengths=[int(end - begin)]).last_hidden_state[0]
        torch.testing.assert_close(together[place : place + end - begin], alone, rtol=1e-4, atol=1e-5)


def test_the_order_of_a_pass_depends_on_seed_and_pass_alone() -> None:
    first = training.shuffled(100, 0, 0)
    training.shuffled.cache_clear()
    assert (training.shuffled(100, 0, 0) == first).all() and sorted(first) == list(range(100))
    assert (training.shuffled(100, 0, 1) != first).any() and (training.shuffled(100, 1, 0) != first).any()


def test_a_text_that_spells_the_special_token_stays_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = [f"one {training.END_OF_TEXT} two", "three", f"{training.END_OF_TEXT}"]
    tokenizer.encode_special_tokens = False
    training.encode_corpus(iter(texts), tokenizer, tmp_path, None)
    encoded = training.open_encoded(tmp_path, 320)
    for number, text in enumerate(texts):
        ids = encoded.document(number).tolist()
        assert (ids[0], ids[-1]) == (training.END, training.END) and training.END not in ids[1:-1]
        assert tokenizer.decode(ids[1:-1]) == text


def test_no_more_of_a_document_is_read_than_was_asked(tokenizer: Tokenizer, tmp_path: Path) -> None:
    training.encode_corpus(iter(["a cat and a dog " * 40, "short"]), tokenizer, tmp_path, 32)
    encoded = training.open_encoded(tmp_path, 320)
    assert len(encoded.document(0)) == 32 and encoded.document(0)[-1] != training.END
    assert encoded.document(1)[-1] == training.END


def test_a_closing_token_is_not_part_of_held_out_text() -> None:
    model, sizes = training.build_model(TINY), np.ones(320, dtype=np.int64)
    sizes[training.END] = 0
    bits = [
        training.measure_bits_per_byte(model, [np.array(ids)], sizes, torch.float32, 512)
        for ids in ([0, 5, 6], [0, 5, 6, 0])
    ]
    assert bits[0] == bits[1] > 0
    assert math.isnan(training.measure_bits_per_byte(model, [np.array([0])], sizes, torch.float32, 512))


# ── arithmetic ──


def test_a_step_does_not_depend_on_the_number_of_packs() -> None:
    ids = np.random.default_rng(0).integers(1, 320, 600)
    begins, ends = np.array([0, 100, 200, 330]), np.array([64, 130, 263, 394])
    moved = []
    for count in (1, 3):
        learner = training.make_learner(replace(TINY, packs=count), "cpu")
        packs = training.make_packs(ids, begins, ends, count, "cpu")
        assert len(packs) == count and sum(pack.tokens for pack in packs) == int((ends - begins).sum())
        losses = [training.learn_packs(learner, packs, TINY, 0.1) for _ in range(2)]
        moved.append((torch.tensor(losses), learner.model.state_dict()))
    assert moved[0][0][1] < moved[0][0][0]
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-3, atol=1e-4)


def test_muon_moves_a_matrix_by_the_rate_in_every_direction() -> None:
    torch.manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(8, 8))
    before, matrix.grad = matrix.detach().clone(), torch.randn(8, 8)
    muon = training.Muon([matrix])
    muon.step(0.5, torch.float32, training.make_workers(1))
    values = torch.linalg.svdvals(before - matrix.detach())
    assert values.min() > 0.5 * 0.3 and values.max() < 0.5 * 1.3


def test_the_head_gives_the_loss_and_gradients_of_cross_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "HEAD_CHUNK", 7)
    torch.manual_seed(0)
    hidden, weight = torch.randn(20, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True)
    targets = torch.randint(0, 30, (20,))
    targets[[3, 19]] = -1
    (3 * training.HeadLoss.apply(hidden, weight, targets, 18)).backward()
    found = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    expected = functional.cross_entropy(hidden @ weight.T, targets, ignore_index=-1)
    (3 * expected).backward()
    torch.testing.assert_close(training.HeadLoss.apply(hidden, weight, targets, 18), expected)
    torch.testing.assert_close(found, (hidden.grad, weight.grad))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 40, 16), (2, 16, 40)])
def test_orthogonalising_keeps_the_singular_vectors_and_evens_the_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    core = left.mT @ training.orthogonalise(matrices, 5) @ right.mT
    values = core.diagonal(dim1=-2, dim2=-1)
    assert values.min() > 0.3 and values.max() < 1.3
    torch.testing.assert_close(core, torch.diag_embed(values), atol=1e-3, rtol=0)


def test_the_rate_rises_then_falls_straight_to_zero() -> None:
    assert training.rate_at(0.0, 0.02) == 0.0 and training.rate_at(1.0, 0.02) == 0.0
    assert training.rate_at(0.02, 0.02) == pytest.approx(1.0)
    assert training.rate_at(0.51, 0.02) == pytest.approx(0.5)
    assert training.rate_at(0.0, 0.0) == 1.0


# ── the verb ──


def test_the_verb_trains_from_files_and_names_the_next_command(tmp_path: Path) -> None:
    from curate.pretraining import train_reference

    corpus, out = tmp_path / "corpus.jsonl", tmp_path / "model"
    rows = [json.dumps({"text": text}) for text in SENTENCES]
    corpus.write_text("\n".join([*rows, "{broken", json.dumps({"text": ""})]))
    (tmp_path / "held.jsonl").write_text(json.dumps({"text": SENTENCES[0]}))

    def run(**options: object) -> object:
        return train_reference(
            [str(corpus)], str(out), tokens=2_000, vocabulary=320, context=64, width=32, layers=1, heads=2,
            batch_tokens=512, compute="float32", **options,  # type: ignore[arg-type]
        )  # fmt: skip

    found = run(held_out=str(tmp_path / "held.jsonl"))
    assert found.training["documents"] == len(SENTENCES), "nothing is kept out when a held-out set is named"
    assert found.training["held_out_documents"] == 1
    assert f"curate score CORPUS --model {out}" in found.render()
    assert json.loads(json.dumps(found.as_dict()))["out"] == str(out)
    assert "fingerprint" in json.loads((out / "training.json").read_text())["premise"]["corpus"]
    with pytest.raises(TableError, match="holds a training with"):
        run()
    with corpus.open("a") as file:
        file.write("\n" + rows[0])
    with pytest.raises(TableError, match="corpus fingerprint"):
        run(held_out=str(tmp_path / "held.jsonl"))


# ── groups that are heard more evenly ──


@given(
    lengths=some.lists(some.integers(1, 200), min_size=1, max_size=60),
    groups=some.integers(1, 4),
    seed=some.integers(0, 9),
)
def test_balancing_repeats_windows_of_small_groups_and_leaves_none_out(
    lengths: list[int], groups: int, seed: int
) -> None:
    ends = np.cumsum(lengths)
    windows = training.Windows(ends - lengths, ends)
    group_of = np.arange(len(lengths)) % groups
    balanced = training.balance_windows(windows, group_of, seed)
    times = {begin: int((balanced.begins == begin).sum()) for begin in windows.begins}
    tokens = np.bincount(group_of, weights=lengths)
    assert len(balanced.begins) == sum(times.values())
    for begin, group in zip(windows.begins, group_of, strict=True):
        wanted = min(4.0, math.sqrt(tokens.max() / tokens[group]))
        assert math.floor(wanted) <= times[begin] <= math.ceil(wanted), "and so never 0, and 1 in the largest group"


def test_a_balanced_pass_hears_groups_by_the_root_of_their_share() -> None:
    group_of = np.repeat([0, 1, 2], [9_000, 4_000, 1_000])
    ends = np.cumsum(np.full(14_000, 10))
    balanced = training.balance_windows(training.Windows(ends - 10, ends), group_of, 0)
    heard = np.bincount(group_of[balanced.begins // 10])
    assert heard / heard[0] == pytest.approx([1, math.sqrt(4 / 9), math.sqrt(1 / 9)], rel=0.03)


def test_a_balanced_training_hears_the_small_group_more(tmp_path: Path) -> None:
    """Premise: 1 document in 12 counts aloud; how it goes on is learned from these alone."""
    texts = [text if place % 12 else "one two three four five six seven " * 3 for place, text in enumerate(SENTENCES)]
    names = ["counting" if place % 12 == 0 else "sentences" for place in range(len(texts))]
    told = [f"{place} {text}" for place, text in enumerate(texts)]
    counting = ["one two three four five six seven " * 3]
    recipe = replace(TINY, balance="kind", held_out_every=0)

    def bits(out: str, **options: object) -> Training:
        return train(
            lambda: iter(told), tmp_path / out, recipe, provenance=CORPUS, held_out=lambda: iter(counting), **options
        )  # type: ignore[arg-type]

    plain, balanced = bits("plain"), bits("balanced", groups=lambda: iter(names))
    assert balanced.held_out_bits_per_byte < plain.held_out_bits_per_byte - 0.05
    assert balanced.corpus_tokens == plain.corpus_tokens and balanced.epochs < plain.epochs


def test_groups_that_do_not_pair_with_the_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        learn(tmp_path / "model", groups=lambda: iter(["one", "two"]))


def test_the_verb_balances_by_a_column_and_refuses_one_that_is_not_there(tmp_path: Path) -> None:
    from curate.pretraining import train_reference

    corpus = tmp_path / "corpus.jsonl"
    rows = [json.dumps({"text": text, "kind": "odd" if place % 9 == 0 else 7}) for place, text in enumerate(SENTENCES)]
    corpus.write_text("\n".join([rows[0], "{broken", json.dumps({"text": " "}), *rows[1:]]))

    def run(out: str, column: str | None) -> Training:
        found = train_reference(
            [str(corpus)], str(tmp_path / out), tokens=2_000, vocabulary=320, context=64, width=32, layers=1, heads=2,
            batch_tokens=512, compute="float32", balance=column,
        )  # fmt: skip
        return Training(**found.training)

    plain, balanced = run("plain", None), run("balanced", "kind")
    assert balanced.corpus_tokens == plain.corpus_tokens, "the same text"
    assert balanced.epochs < 0.95 * plain.epochs, "but a pass is longer: some of it comes again"
    with pytest.raises(UsageError, match=r"no column 'kin'"):
        run("other", "kin")
