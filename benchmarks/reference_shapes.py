"""Which vocabulary and shape a small reference model should have: equal minutes of training, the same held-out bytes.

    python benchmarks/reference_shapes.py CORPUS [VARIANT …] [--held-out FOLDER] [--minutes 4] [--limit 10000]

Trains each variant from nothing for the same time on this machine. A variant is `VOCABULARY:LAYERSxWIDTH`, with
`:BATCH` tokens a step behind it (4096), and `:COLUMN` behind that to balance by, e.g. `4096:5x256:8192:domain`.

Prints tokens a second, bytes a token, megabytes of weights, and bits per byte of held-out text, cut after so many
characters that every variant reads the same bytes, however many tokens it cuts them into: the first 2,000 characters
of one document of 200 of the corpus; with `--held-out`, the first 2,500 of forty documents of each file of the folder,
as the mean of the files. The last column is what the weights are worth: bits per byte saved over the variant before,
per megabyte that it has more.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from curate.corpus import open_corpus
from curate.reference.training import TrainingConfig, TrainingRun, train
from curate.reference.training.held_out import encode_texts, is_held_out, measure_bits_per_byte
from curate.reference.training.model import ATTENTION, compute_dtype
from curate.reference.training.tokenizer import token_bytes

VARIANTS = ("2048:4x256", "4096:4x256", "8192:4x256")
OF_THE_CORPUS, OF_A_FILE, DOCUMENTS = 2000, 2500, 40


def read_variant(text: str, minutes: float) -> TrainingConfig:
    """The recipe of a variant; heads are 64 wide."""
    found = re.fullmatch(r"(\d+):(\d+)x(\d+)(?::(\d+))?(?::(\w+))?", text)
    if not found:
        raise SystemExit(f"{text} is no variant; expected e.g. 8192:4x256 or 8192:4x256:4096:domain")
    vocabulary, layers, width, batch = (int(part or 4096) for part in found.groups()[:4])
    return TrainingConfig(
        vocabulary=vocabulary,
        layers=layers,
        width=width,
        heads=max(1, width // 64),
        batch_tokens=batch,
        balance=found[5],
        minutes=minutes,
        document_tokens=1024,
    )


def read_documents(corpus: str, limit: int | None, column: str | None) -> Iterator[tuple[str, str, str]]:
    """→ the text of a document, its value of the column, and the bare name of its file"""
    for documents in open_corpus([corpus], limit=limit).slices(columns=(column,) if column else "text"):
        values = documents.table[column].to_pylist() if column and documents.table is not None else documents.texts
        name = Path(documents.mark.file).name.split(".")[0]
        for text, value, status in zip(documents.texts, values, documents.statuses, strict=True):
            if status == "ok" and text:
                yield text, str(value), name


def choose_held_out(folder: str | None, corpus: list[str], recipe: TrainingConfig) -> dict[str, list[str]]:
    """The texts that are measured, cut: those of the corpus itself, or of each file of a folder."""
    if folder is None:
        return {"corpus": [text[:OF_THE_CORPUS] for text in corpus if is_held_out(text, recipe)]}
    found: dict[str, list[str]] = {}
    for text, _, name in read_documents(folder, None, None):
        if len(found.setdefault(name, [])) < DOCUMENTS:
            found[name].append(text[:OF_A_FILE])
    return found


def train_variant(
    documents: list[tuple[str, str, str]], recipe: TrainingConfig, held_out: dict[str, list[str]]
) -> tuple[TrainingRun, float, float, float]:
    """→ the training, bits per byte, bytes a token of the held-out text, megabytes of weights"""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        training = train(
            lambda: (text for text, _, _ in documents),
            out,
            recipe,
            provenance={},
            held_out=lambda: iter(next(iter(held_out.values()))[:5]),
            groups=(lambda: (group for _, group, _ in documents)) if recipe.balance else None,
        )
        tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation=ATTENTION).eval()
        weights = (out / "model.safetensors").stat().st_size / 1e6
    sizes, dtype = token_bytes(tokenizer), compute_dtype(recipe, "cpu")
    encoded = {name: encode_texts(iter(texts), tokenizer) for name, texts in held_out.items()}
    bits = [measure_bits_per_byte(model, rows, sizes, dtype, 2048) for rows in encoded.values()]
    ids = np.concatenate([row[1:] for rows in encoded.values() for row in rows])
    return training, float(np.mean(bits)), float(sizes[ids].mean()), weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("variants", nargs="*", default=VARIANTS)
    parser.add_argument("--held-out")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--limit", type=int, default=10_000)
    options = parser.parse_intermixed_args()
    recipes = [read_variant(text, options.minutes) for text in options.variants]
    columns = {recipe.balance for recipe in recipes} - {None}
    documents = list(read_documents(options.corpus, options.limit, min(columns, default=None)))
    held_out = choose_held_out(options.held_out, [text for text, _, _ in documents], recipes[0])
    threads = torch.get_num_threads()
    print(f"{len(documents):,} documents, {options.minutes:g} minutes each, {threads} threads\n")
    print("| variant | parameters | MB | bytes a token | tok/s | kB/s | bits per byte | saved per MB more |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    before: tuple[float, float] | None = None
    for name, recipe in zip(options.variants, recipes, strict=True):
        training, bits, size, weights = train_variant(documents, recipe, held_out)
        speed = training.tokens / training.seconds
        saved = "" if before is None or weights <= before[0] else f"{(before[1] - bits) / (weights - before[0]):+.4f}"
        print(
            f"| {name} | {training.parameters / 1e6:.2f} M | {weights:.1f} | {size:.2f} | {speed:,.0f} "
            f"| {speed * size / 1e3:.1f} | {bits:.4f} | {saved} |",
            flush=True,
        )
        before = (weights, bits)


if __name__ == "__main__":
    main()
