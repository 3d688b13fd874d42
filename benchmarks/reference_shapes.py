"""Which vocabulary and shape a small reference model should have: equal minutes of training, the same held-out bytes.

    python benchmarks/reference_shapes.py CORPUS [--minutes 4] [--limit 10000] [VOCABULARY:LAYERSxWIDTH …]

Trains each variant from nothing for the same time on this machine and prints tokens a second, bytes a token, megabytes
of weights, and bits per byte over the first 2,000 characters of the documents that were kept out: all variants read the
same bytes, however many tokens they cut them into. The last column is the price of the weights: bits per byte saved
over the variant before, per megabyte that it has more.
"""

import argparse
import re
import tempfile
from pathlib import Path

import torch

from curate.corpus import open_corpus
from curate.reference.training import Recipe, Training, train
from curate.reference.training.heldout import is_held_out

VARIANTS = ("4096:4x256", "8192:4x256", "16384:4x256")
CHARACTERS = 2000


def read_variant(text: str, minutes: float) -> Recipe:
    """A recipe from ``VOCABULARY:LAYERSxWIDTH[:BATCH]``; heads are 64 wide."""
    found = re.fullmatch(r"(\d+):(\d+)x(\d+)(?::(\d+))?", text)
    if not found:
        raise SystemExit(f"{text} is no variant; expected e.g. 8192:4x256 or 8192:4x256:4096")
    vocabulary, layers, width, batch = (int(part or 4096) for part in found.groups())
    return Recipe(
        vocabulary=vocabulary,
        layers=layers,
        width=width,
        heads=max(1, width // 64),
        batch_tokens=batch,
        minutes=minutes,
        document_tokens=1024,
    )


def read_texts(corpus: str, limit: int) -> list[str]:
    documents = open_corpus([corpus], limit=limit).slices()
    return [
        text
        for each in documents
        for text, status in zip(each.texts, each.statuses, strict=True)
        if status == "ok" and text.strip()
    ]


def train_variant(texts: list[str], recipe: Recipe) -> tuple[Training, float, float]:
    """→ the training, bytes a token of the held-out text, megabytes of weights and tokenizer"""
    measured = [text[:CHARACTERS] for text in texts if is_held_out(text, recipe)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        training = train(lambda: iter(texts), out, recipe, provenance={}, held_out=lambda: iter(measured))
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
        tokens = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in measured)
        size = sum(len(text.encode("utf-8", "replace")) for text in measured)
        weights = (out / "model.safetensors").stat().st_size
    return training, size / tokens, weights / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("variants", nargs="*", default=VARIANTS)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--limit", type=int, default=10_000)
    options = parser.parse_intermixed_args()
    recipes = [read_variant(text, options.minutes) for text in options.variants]
    texts = read_texts(options.corpus, options.limit)
    print(
        f"{len(texts):,} documents, {options.minutes:g} minutes each, {torch.get_num_threads()} threads\n", flush=True
    )
    print("| variant | parameters | MB | bytes a token | tok/s | kB/s | bits per byte | saved per MB more |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    before: tuple[float, float] | None = None
    for name, recipe in zip(options.variants, recipes, strict=True):
        training, size, weights = train_variant(texts, recipe)
        bits, speed = training.held_out_bits_per_byte, training.tokens / training.seconds
        saved = "" if before is None or weights <= before[0] else f"{(before[1] - bits) / (weights - before[0]):+.4f}"
        print(
            f"| {name} | {training.parameters / 1e6:.2f} M | {weights:.1f} | {size:.2f} | {speed:,.0f} "
            f"| {speed * size / 1e3:.1f} | {bits:.4f} | {saved} |",
            flush=True,
        )
        before = (weights, bits)


if __name__ == "__main__":
    main()
