"""The folder of a training: claimed for one premise, and its files replaced at once or left as they were."""

import errno
import os
from pathlib import Path

import pytest
from helpers.training import TINY

from curate.errors import StorageError, TableError
from curate.reference.training.output_folder import (
    WORK,
    claim_folder,
    find_difference,
    load_checkpoint,
    save_checkpoint,
    write_text,
)
from curate.reference.training.train_step import make_trainer

PREMISE = {"recipe": {"layers": 1, "width": 32}, "corpus": {"fingerprint": "0123", "description": "one"}}


def test_premises_differ_in_their_first_key_and_descriptions_may() -> None:
    assert find_difference(PREMISE, {**PREMISE, "corpus": {"fingerprint": "0123", "description": "two"}}) == ""
    other = {"recipe": {"layers": 1, "width": 64}, "corpus": {"fingerprint": "0123"}}
    assert find_difference(PREMISE, other) == "recipe width 32; this command has 64"
    assert find_difference({}, {"seed": 1}) == "seed None; this command has 1"


def test_a_folder_is_claimed_for_one_premise_until_it_is_restarted(tmp_path: Path) -> None:
    out, other = tmp_path / "model", {**PREMISE, "recipe": {"layers": 2, "width": 32}}
    claim_folder(out, PREMISE, restart=False)
    (out / WORK / "tokens.bin").write_bytes(b"encoded")
    claim_folder(out, PREMISE, restart=False)
    with pytest.raises(TableError, match="recipe layers 1; this command has 2") as refused:
        claim_folder(out, other, restart=False)
    assert "--restart" in (refused.value.hint or "")
    assert (out / WORK / "tokens.bin").exists()
    claim_folder(out, other, restart=True)
    assert sorted(path.name for path in (out / WORK).iterdir()) == ["made.json", "premise.json"]
    claim_folder(out, other, restart=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training.json", '{"model": "of another trainer"}'),
        ("training.json", "[1, 2"),
        ("generation_config.json", "{}"),
        ("README.md", "mine"),
        (f"{WORK}/thesis.tex", "mine"),
        (f"{WORK}/premise.json", '{"mine": 1}'),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_files_of_somebody_else_are_refused_by_name_and_stay(tmp_path: Path, name: str, text: str, begun: bool) -> None:
    out = tmp_path / "model"
    if begun:
        claim_folder(out, PREMISE, restart=False)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(text)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for restart in (False, True):
        with pytest.raises(TableError):
            claim_folder(out, PREMISE, restart)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_work_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    claim_folder(out, PREMISE, restart=False)
    (out / WORK).rename(elsewhere)
    (out / WORK).symlink_to(elsewhere)
    with pytest.raises(TableError, match="did not write"):
        claim_folder(out, PREMISE, restart=True)
    assert (elsewhere / "premise.json").exists()


def test_a_checkpoint_brings_back_weights_optimisers_and_counters(tmp_path: Path) -> None:
    trainer = make_trainer(TINY, "cpu")
    trainer.step, trainer.tokens, trainer.losses = 3, 700, [2.0, 1.5]
    for average in trainer.muon.averages.values():
        average.fill_(0.25)
    save_checkpoint(trainer, tmp_path / "state.pt")
    again = make_trainer(TINY, "cpu")
    load_checkpoint(again, tmp_path / "missing.pt")
    assert again.step == 0
    load_checkpoint(again, tmp_path / "state.pt")
    assert again.counters() == trainer.counters() and again.losses == [2.0, 1.5]
    assert all(bool((average == 0.25).all()) for average in again.muon.averages.values())


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, path = make_trainer(TINY, "cpu"), tmp_path / "state.pt"
    save_checkpoint(trainer, path)
    before = path.read_bytes()

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    trainer.step = 9
    with pytest.raises(StorageError, match="the disk is full"):
        save_checkpoint(trainer, path)
    with pytest.raises(StorageError, match="the disk is full"):
        write_text(tmp_path / "card.md", "text")
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["state.pt"]
