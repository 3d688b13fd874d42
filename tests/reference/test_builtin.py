"""The reference model in the box: a folder that anything loads, a tokenizer for every text, a card that is true."""

import json
import lzma
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from tokenizers import Tokenizer

from curate.reference import load
from curate.reference.checkpoints.checkpoint import builtin_folder
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig

FOLDER = builtin_folder()
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
TEXT = "In 1984 the committee met twice, and the second meeting was longer than the first.\n\n  It ended at 12:30."


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


def test_it_is_small_and_reads_a_page():
    config = json.loads((FOLDER / "config.json").read_text())
    assert (FOLDER / "model.safetensors").stat().st_size <= 40_000_000
    assert config["max_position_embeddings"] >= 1024 and config["tie_word_embeddings"]
    names = {path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".pyc"}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_transformers_loads_it_and_gives_the_nats_that_we_give():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, reader = (
        AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32),
        AutoTokenizer.from_pretrained(FOLDER),
    )
    ids = reader(TEXT)["input_ids"]
    row = torch.tensor([[reader.bos_token_id, *ids]])
    with torch.inference_mode():
        logits = model(row[:, :-1]).logits[0].double()
    wanted = torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").item()
    found = next(iter(load("builtin", config=ScoringConfig(exact=True)).score([[Passage(TEXT)]])))
    assert found.nats[0] == pytest.approx(wanted, abs=1e-5 * len(ids)) and found.tokens[0] == len(ids)


def test_every_byte_is_a_token(tokenizer):
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    assert all(tokenizer.token_to_id(character) is not None for character in bytes_to_unicode().values())


@given(some.text())
def test_every_text_comes_back(text):
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert 0 not in ids and tokenizer.decode(ids, skip_special_tokens=False) == text


def test_digits_stand_singly_and_indentation_apart_from_its_word(tokenizer):
    def pieces(text):
        return [tokenizer.decode([one]) for one in tokenizer.encode(text, add_special_tokens=False).ids]

    assert all(len(piece.strip()) <= 1 for piece in pieces("31415926 27182818"))
    assert "".join(pieces("x\n        return x")).count("        ") == 1
    assert len(pieces("\n        return")) <= 4, "eight spaces are not eight tokens"


@pytest.fixture(scope="module")
def scores(scored_sample):
    parts = sorted((scored_sample.folder / "curated" / "scores").glob("*.parquet"))
    return pa.concat_tables(pq.read_table(part) for part in parts).to_pylist()


def test_good_text_costs_less_than_xz_makes_of_it(scores, scored_sample):
    texts = {}
    for line in (scored_sample.folder / "recipes" / "sample" / "documents.jsonl").read_text().splitlines():
        row = json.loads(line)
        texts[row["id"]] = row["text"].encode()
    good = [
        row for row in scores if row["id"] in texts and not row["id"].startswith("junk-") and row["nats"] is not None
    ]
    assert len(good) > 100
    bits = sum(row["nats"] for row in good) / np.log(2)
    squeezed = 8 * sum(len(lzma.compress(texts[row["id"]], preset=9, format=lzma.FORMAT_ALONE)) for row in good)
    size = sum(row["scored_bytes"] for row in good)
    assert bits / size < 1.9 < 2 * bits / size < squeezed / size


def test_junk_lies_where_the_card_says(scores):
    def median(kind):
        values = [row["perplexity"] for row in scores if re.match(kind, row["id"]) and row["perplexity"] is not None]
        assert len(values) >= 10
        return float(np.median(values))

    good = median(r"(?!junk-)")
    assert median(r"junk-repeated_lines-") < good / 2
    assert min(median(r"junk-base64-"), median(r"junk-shuffled_words-")) > 1.5 * good


def test_the_card_counts_the_parameters_that_are_there():
    from safetensors import safe_open

    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        count = sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    assert f"| parameters | {count:,} |" in CARD


def test_the_card_measures_seventeen_domains_and_every_kind_of_junk():
    domains = re.findall(
        r"^\| ([a-z_]+) \| [\d,]+ \| [\d.]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", CARD, re.MULTILINE
    )
    mean = re.search(r"^\| \*\*mean of the 17 domains\*\* \| [\d,]+ \| [\d.]+ \| \*\*([\d.]+)\*\*", CARD, re.MULTILINE)
    assert mean and len(domains) == 17
    assert (
        float(mean[1]) == pytest.approx(np.mean([float(row[1]) for row in domains]), abs=1e-3) and float(mean[1]) <= 1.8
    )
    measured = CARD[CARD.index("<!-- builtin.py writes from here -->") : CARD.index("<!-- to here -->")]
    junk = re.findall(r"^\| ([a-z_]+) \|(?: [^|]+\|){6} ([^|]+) \|$", measured, re.MULTILINE)
    assert len(junk) == 22
    assert any("**low**" in reads for _, reads in junk) and any(reads == "high" for _, reads in junk)


def test_score_says_what_the_builtin_is_and_names_a_larger_model(scored_sample):
    said = re.sub(r"\s+", " ", scored_sample.done.stderr + scored_sample.done.stdout)
    line = re.search(r"reference builtin.*?SmolLM2-135M", said)
    assert line
    assert all(word in line[0] for word in ("M parameters", "English", "trained on", "--model "))
