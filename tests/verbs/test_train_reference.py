"""``curate train-reference``: it trains from files, names the next command, and balances by a column."""

import json
from pathlib import Path

import pytest
from helpers.training import SENTENCES

from curate.errors import TableError, UsageError
from curate.reference.training import TrainingRun


def test_the_verb_trains_from_files_and_names_the_next_command(tmp_path: Path) -> None:
    from curate.verbs.train_reference import train_reference

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
    (tmp_path / "any").touch()
    usual = (tmp_path / "any").stat().st_mode
    assert {path.name: path.stat().st_mode for path in out.iterdir()} == {path.name: usual for path in out.iterdir()}
    assert json.loads(json.dumps(found.as_dict()))["out"] == str(out)
    assert "fingerprint" in json.loads((out / "training.json").read_text())["premise"]["corpus"]
    with pytest.raises(TableError, match="holds a training with"):
        run()
    with corpus.open("a") as file:
        file.write("\n" + rows[0])
    with pytest.raises(TableError, match="corpus fingerprint"):
        run(held_out=str(tmp_path / "held.jsonl"))


def test_the_verb_balances_by_a_column_and_refuses_one_that_is_not_there(tmp_path: Path) -> None:
    from curate.verbs.train_reference import train_reference

    corpus = tmp_path / "corpus.jsonl"
    rows = [json.dumps({"text": text, "kind": "odd" if place % 9 == 0 else 7}) for place, text in enumerate(SENTENCES)]
    corpus.write_text("\n".join([rows[0], "{broken", json.dumps({"text": " "}), *rows[1:]]))

    def run(out: str, column: str | None) -> TrainingRun:
        found = train_reference(
            [str(corpus)], str(tmp_path / out), tokens=2_000, vocabulary=320, context=64, width=32, layers=1, heads=2,
            batch_tokens=512, compute="float32", balance=column,
        )  # fmt: skip
        return TrainingRun(**found.training)

    plain, balanced = run("plain", None), run("balanced", "kind")
    assert balanced.corpus_tokens == plain.corpus_tokens, "the same text"
    assert balanced.epochs < 0.95 * plain.epochs, "but a pass is longer: some of it comes again"
    with pytest.raises(UsageError, match=r"no column 'kin'"):
        run("other", "kin")
