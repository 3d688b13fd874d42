"""Laws of the training of reference models, on a tiny model and text made here.

Premise of all: with a budget in tokens and float32 arithmetic, a training is a function of its texts and its recipe.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xxhash
from helpers.training import CORPUS, SENTENCES, TINY, learn, weights_of
from torch.nn import functional

from curate.errors import CorpusError, Interrupted, TableError
from curate.reference.training import TrainingRun, budget, output_folder, train
from curate.reference.training.held_out import split_held_out
from curate.reference.training.output_folder import WORK, save_checkpoint
from curate.reference.training.tokenizer import END_OF_TEXT
from curate.reference.training.train_step import Trainer, learn_packs
from curate.runtime import console


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingRun]:
    out = tmp_path_factory.mktemp("models") / "finished"
    return out, learn(out)


def test_held_out_bits_per_byte_fall_clearly(finished: tuple[Path, TrainingRun]) -> None:
    _, found = finished
    first, last = found.history[0][3], found.held_out_bits_per_byte
    assert found.held_out_documents >= 3, "premise: something is held out"
    assert math.log2(320) * 0.5 > first > last + 0.5 > 0.5


def test_the_record_counts_what_was_done(finished: tuple[Path, TrainingRun]) -> None:
    out, found = finished
    assert found.tokens >= TINY.tokens and found.steps >= found.tokens / TINY.batch_tokens
    assert found.epochs == pytest.approx(found.tokens / found.corpus_tokens, rel=0.2)
    assert json.loads((out / "training.json").read_text())["training"]["tokens"] == found.tokens
    assert f"{found.held_out_bits_per_byte:.4f}" in (out / "README.md").read_text()
    assert not (out / WORK).exists(), "tokens and checkpoints are gone when the work is done"


def test_the_folder_loads_and_gives_the_measured_bits_per_byte(finished: tuple[Path, TrainingRun]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out, found = finished
    model, reader = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert (reader.bos_token, reader.eos_token, reader.model_max_length) == (END_OF_TEXT,) * 2 + (64,)
    assert model.config.max_position_embeddings == 64 and model.config.bos_token_id == reader.bos_token_id
    hashes = np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in SENTENCES], dtype=np.uint64)
    _, kept_out = split_held_out(hashes, TINY.held_out_every)
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


def test_weights_in_bfloat16_are_half_as_large(finished: tuple[Path, TrainingRun], tmp_path: Path) -> None:
    learn(tmp_path / "half", replace(TINY, weights="bfloat16", tokens=1_000))
    assert len(weights_of(tmp_path / "half")) < 0.6 * len(weights_of(finished[0]))


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code handles it."""


def die_at(step: int, monkeypatch: pytest.MonkeyPatch, with_what: BaseException) -> None:
    whole = learn_packs

    def dying(learner: Trainer, *rest: object) -> float:
        if learner.step == step:
            raise with_what
        return whole(learner, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(budget, "learn_packs", dying)


def test_a_killed_training_ends_in_the_same_weights(
    finished: tuple[Path, TrainingRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kept = save_checkpoint
        patch.setattr(budget, "save_checkpoint", lambda learner, path: learner.step % 4 or kept(learner, path))
        die_at(11, patch, Killed())
        with pytest.raises(Killed):
            learn(tmp_path / "killed", checkpoint_seconds=0)
    state = torch.load(tmp_path / "killed" / WORK / "state.pt", weights_only=True)
    assert state["counters"]["step"] == 8, "premise: steps after the last checkpoint are lost and done again"
    again = learn(tmp_path / "killed")
    assert weights_of(tmp_path / "killed") == weights_of(finished[0])
    assert replace(again, seconds=0) == replace(finished[1], seconds=0)


@pytest.mark.parametrize("name", ["save_tokenizer", "share_files", "render_card", "asdict"])
def test_a_training_killed_while_its_files_are_written_is_finished_by_the_same_command(
    finished: tuple[Path, TrainingRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(output_folder, name, die)
        with pytest.raises(Killed):
            learn(tmp_path / "killed")
    learn(tmp_path / "killed", restart=name == "asdict")
    assert weights_of(tmp_path / "killed") == weights_of(finished[0])
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {path.name for path in finished[0].iterdir()}


def test_the_work_that_a_kill_at_the_very_end_left_is_removed_by_the_same_command(tmp_path: Path) -> None:
    short = replace(TINY, tokens=600)
    learn(tmp_path / "model", short)
    output_folder.write_made(tmp_path / "model", ["README.md"])
    learn(tmp_path / "model", short)
    assert not (tmp_path / "model" / WORK).exists()


def test_an_interrupted_training_says_so_and_goes_on(
    finished: tuple[Path, TrainingRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_at(5, patch, KeyboardInterrupt())
        with pytest.raises(Interrupted, match="stopped at"):
            learn(tmp_path / "stopped")
    state = torch.load(tmp_path / "stopped" / WORK / "state.pt", weights_only=True)
    assert state["counters"]["step"] == 5, "the last step before the interruption is kept"
    learn(tmp_path / "stopped")
    assert weights_of(tmp_path / "stopped") == weights_of(finished[0])


def test_a_finished_training_is_not_repeated(
    finished: tuple[Path, TrainingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at(0, monkeypatch, AssertionError("trained again"))
    assert learn(finished[0]) == finished[1]


def test_another_recipe_or_corpus_is_refused_with_the_difference(finished: tuple[Path, TrainingRun]) -> None:
    before = weights_of(finished[0])
    with pytest.raises(TableError, match=r"recipe layers 1; this command has 2") as refused:
        learn(finished[0], replace(TINY, layers=2))
    assert "--restart" in (refused.value.hint or "")
    with pytest.raises(TableError, match="corpus fingerprint 0123; this command has 4567"):
        train(lambda: iter(SENTENCES), finished[0], TINY, provenance={"corpus": {"fingerprint": "4567"}})
    assert weights_of(finished[0]) == before


def test_the_tokenizer_is_announced_with_the_characters_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A character may be four bytes: "MB" would be another number."""
    console.enable(True)
    learn(tmp_path / "model", replace(TINY, tokens=512, tokenizer_bytes=3_000_000))
    said = " ".join(capsys.readouterr().err.split())
    assert "byte-level BPE of 320 tokens, trained on up to 3 M characters" in said


def test_restart_begins_again(tmp_path: Path) -> None:
    short = replace(TINY, tokens=1_000)
    learn(tmp_path / "model", short)
    other = learn(tmp_path / "model", replace(short, seed=1), restart=True)
    assert (
        other.steps > 0 and json.loads((tmp_path / "model/training.json").read_text())["premise"]["recipe"]["seed"] == 1
    )


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


def test_a_balanced_training_hears_the_small_group_more(tmp_path: Path) -> None:
    """Premise: 1 document in 12 counts aloud; how it goes on is learned from these alone."""
    texts = [text if place % 12 else "one two three four five six seven " * 3 for place, text in enumerate(SENTENCES)]
    names = ["counting" if place % 12 == 0 else "sentences" for place in range(len(texts))]
    told = [f"{place} {text}" for place, text in enumerate(texts)]
    counting = ["one two three four five six seven " * 3]
    recipe = replace(TINY, balance="kind", held_out_every=0)

    def bits(out: str, **options: object) -> TrainingRun:
        return train(
            lambda: iter(told), tmp_path / out, recipe, provenance=CORPUS, held_out=lambda: iter(counting), **options
        )  # type: ignore[arg-type]

    plain, balanced = bits("plain"), bits("balanced", groups=lambda: iter(names))
    assert balanced.held_out_bits_per_byte < plain.held_out_bits_per_byte - 0.05
    assert balanced.corpus_tokens == plain.corpus_tokens and balanced.epochs < plain.epochs


def test_groups_that_do_not_pair_with_the_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        learn(tmp_path / "model", groups=lambda: iter(["one", "two"]))
