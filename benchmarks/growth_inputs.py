"""What growth.py measures on: corpora, a small model, instructions, and runs of scores that nobody computed.

A document is made of runs of four words of the sample corpus, so that nearly every five words in a row are new, as in
real text: twice as many documents have twice as many shingles, copies and leaks, and no more. One in fifty is a near
copy of the document before it, one in a hundred an exact one, one in a thousand holds an eval item.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

SAMPLE = Path(__file__).parent.parent / "recipes" / "sample"
FILES, DOMAINS, RUN_OF_WORDS = 8, 22, 4
WORDS, SPREAD = 90, 0.6  # of a document: log-normal around this many
NEAR, EXACT, LEAKED = 50, 100, 1000  # one document in so many


def read_sample(name: str) -> list[str]:
    """Return the texts of a file of the sample corpus."""
    with (SAMPLE / name).open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def make_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Yield ``count`` documents; the first ones of two counts are the same."""
    words = [word for text in read_sample("documents.jsonl") for word in text.split(" ") if word]
    runs = [" ".join(words[at : at + RUN_OF_WORDS]) for at in range(len(words) - RUN_OF_WORDS)]
    leaks, chance, text = read_sample("leaks.jsonl"), np.random.default_rng(seed), ""
    for first in range(0, count, 1000):
        lengths = np.maximum(2, chance.lognormal(np.log(WORDS / RUN_OF_WORDS), SPREAD, 1000)).astype(int)
        drawn = iter(chance.integers(0, len(runs), lengths.sum()).tolist())
        for number, length in zip(range(first, min(first + 1000, count)), lengths.tolist(), strict=False):
            fresh = " ".join([runs[next(drawn)] for _ in range(length)])
            if number % NEAR == 1:
                text += f" {words[number % len(words)]}"
            elif number % EXACT != 2:
                text = fresh
            if number % LEAKED == 3:
                text = f"{text}\n\n{leaks[number // LEAKED % len(leaks)]}"
            yield text


def write_corpus(folder: Path, texts: Iterator[str], count: int) -> None:
    """Write the documents as JSON lines in eight files of as many each."""
    folder.mkdir(parents=True)
    for file in range(FILES):
        with (folder / f"part-{file}.jsonl").open("w", encoding="utf-8") as out:
            for number in range(file * count // FILES, (file + 1) * count // FILES):
                row = {"id": f"d{number}", "text": next(texts), "domain": name_domain(number), "number": number}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def name_domain(number: int) -> str:
    """Return the domain of a document, which does not follow the order of the corpus closely."""
    return f"domain {number * 7919 % 104_729 % DOMAINS:02d}"


def write_instructions(path: Path, count: int) -> None:
    """Write questions of a few words with an answer of a line each, no two the same."""
    with path.open("w", encoding="utf-8") as out:
        for number, text in enumerate(make_texts(count, seed=1)):
            words = text.split()
            row = {"instruction": f"Question {number}: {' '.join(words[:8])}", "output": f"{' '.join(words[8:30])}."}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def make_model(folder: Path) -> None:
    """Save a random model so small that reading, tokenising and writing are most of the work."""
    import torch
    from score import train_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(**shape, vocab_size=1024, max_position_embeddings=512, bos_token_id=0, eos_token_id=0)
    LlamaForCausalLM(config).save_pretrained(folder)
    train_tokenizer(read_sample("documents.jsonl"), 1024).save_pretrained(folder)


def write_scored(folder: Path, count: int) -> None:
    """Write a corpus of lines of a few bytes below ``folder``, and the run that scoring it would have left there."""
    from curate.corpus import open_corpus
    from curate.rundir import parquet
    from curate.rundir.guards.manifests import KEY
    from curate.rundir.run import compute_fingerprint, open_run

    write_corpus(folder / "corpus", (f"document {number}" for number in range(count)), count)
    opened = open_corpus([str(folder / "corpus")])
    corpus, run, chance = opened.fingerprint(), open_run(folder / "run", create=True), np.random.default_rng(0)
    made_from = {"corpus": corpus, "model": {"model": "made-up"}, "parameters": {"signals": ["zlib_ratio"]}}
    identity, counts = compute_fingerprint(made_from), dict.fromkeys(("empty", "unreadable", "tokens", "bytes"), 0)
    index = {source.name: number for number, source in enumerate(opened.sources)}
    for documents in opened.slices():
        table, mark = make_scores(documents, chance), asdict(documents.mark)
        name = f"{index[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
        parquet.write_part(run.scores / name, table, {"made_from": identity, "slice": mark})
        domains = [name_domain(int(one[1:])) for one in documents.ids]
        carried = pa.table({"value": pa.array(domains, pa.large_string())})
        parquet.write_part(run.carried / "domain" / name, carried, {"made_from": corpus, "slice": mark})
        for column in ("tokens", "bytes"):
            counts[column] += int(table.column(column).to_numpy().sum())
    domain = {"made_from": corpus, "type": "string", "values": DOMAINS, KEY: run.record_manifest("carried/domain")}
    run.save("carried", {"columns": {"domain": domain}})
    record = {"complete": True, "made_from": made_from, "fingerprint": identity, "corpus": opened.spec()}
    record |= {KEY: run.record_manifest("scores")}
    run.save("score", {**record, "counts": {"read": count, "ok": count, **counts}, "summary": {}})


def make_scores(documents: Any, chance: np.random.Generator) -> pa.Table:
    """Return scores of a slice: true hashes and sizes, numbers of tokens and nats as of long documents."""
    import xxhash

    from curate.rundir import schemas

    encoded = [text.encode() for text in documents.texts]
    rows, octets = len(encoded), np.array([len(one) for one in encoded], np.int64)
    mean, tokens = chance.normal(4, 0.7, rows), np.maximum(1, chance.lognormal(5, 1, rows).astype(np.int64))
    columns: dict[str, Any] = {
        "file": [documents.mark.file] * rows, "row": documents.rows, "id": documents.ids,
        "hash": np.array([xxhash.xxh3_64_intdigest(one) for one in encoded], np.uint64), "status": ["ok"] * rows,
        "reason": pa.nulls(rows, pa.large_string()), "nats": mean * tokens, "tokens": tokens, "bytes": octets,
        "scored_bytes": octets, "scored_tokens": tokens, "chars": octets, "windows": np.ones(rows, np.int32),
        "truncated": [False] * rows, "first_nats": mean, "perplexity": np.exp(mean),
        "bits_per_byte": mean / np.log(2) / 4, "zlib_ratio": chance.uniform(0.1, 0.9, rows).astype(np.float32),
    }  # fmt: skip
    schema = schemas.scores_schema(["zlib_ratio"])
    return pa.table([pa.array(columns[column.name], column.type) for column in schema], schema=schema)
