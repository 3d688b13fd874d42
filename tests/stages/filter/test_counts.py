"""What criteria keep, in numbers, is the same whether documents are held in memory or read again in every pass."""

import json
import random

import pytest

import curate
from curate.rundir import document_blocks
from curate.rundir.guards import manifests


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("scored"), random.Random(3)
    words = ["alpha", "beta", "gamma", "delta", "of", "the", "and", "zeta"]
    rows = [
        {"text": " ".join(chance.choices(words, k=chance.randint(3, 60))), "domain": chance.choice("abc")}
        for _ in range(300)
    ]
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curate.score(str(folder / "c.jsonl"), model="builtin", run=str(folder / "run"), slice_bytes=6000)
    return folder / "run"


def hash_decision(run):
    return [manifests.hash_file(run / name) for name in ("filter.parquet", "run.json")]


@pytest.mark.parametrize("within", ["domain", "none"])
def test_documents_that_are_not_held_are_read_six_times_to_the_same_numbers(scored, monkeypatch, within):
    options = {"keep": "middle", "rate": 0.6, "min_zlib": 0.1, "ledger": "domain"}
    options |= {} if within == "none" else {"within": within}
    first = curate.filter(run=str(scored), **options)
    held, passes = hash_decision(scored), []
    real = document_blocks.BlockReader._read

    def read(reader):
        passes.append(reader)
        return real(reader)

    monkeypatch.setattr(document_blocks, "HELD_BYTES", 0)
    monkeypatch.setattr(document_blocks.BlockReader, "_read", read)
    again = curate.filter(run=str(scored), **options)
    assert hash_decision(scored) == held and again == first
    assert len(passes) == 6
    before, after = again.ledger[0].before, again.ledger[0].after
    assert before.documents > after.documents > 0 and before.median_perplexity and after.median_perplexity
