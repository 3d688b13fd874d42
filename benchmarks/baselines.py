"""Bits per byte of held-out text by two baselines that need no network: xz -9 and a KenLM 5-gram.

    python benchmarks/baselines.py xz --reference FOLDER --held-out FOLDER --out baselines.json
    python benchmarks/baselines.py 5-gram --reference FOLDER --held-out FOLDER --kenlm FOLDER --out baselines.json

Both learn from the training text, `--reference` (the 5-gram from all of it), and are measured on the first 1,024 of the
builtin's tokens of each held-out document. builtin.py puts the result beside the builtin.

- *xz -9*: LZMA of preset 9 after the training text, which the file format cannot carry and the encoder can: it
  compresses the text, whose last 64 MiB its dictionary holds, and is then forked for every domain. A domain costs what
  it adds to the output; its documents share one stream, which is to the good of xz.
- *5-gram*: interpolated modified Kneser-Ney of order 5, unpruned (Heafield et al. 2013), over the builtin's tokens. A
  vocabulary made by merging has no rare tokens to take a discount from; for single ones it is KenLM's fixed one.
  Every byte is a token and every token is known (one that the text lacks stands once by itself), so that its bits are
  spread over the same bytes. `--kenlm` is a folder with `lmplz`, `build_binary` and `query`, built from
  https://github.com/kpu/kenlm (or the source distribution on PyPI).
"""

import argparse
import json
import lzma
import math
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from curate.corpus import open_corpus
from curate.reference.checkpoints.checkpoint import builtin_folder

FIRST_TOKENS = 1024
ORDER = 5
DICTIONARY = 1 << 26  # of preset 9


def read_texts(folder: str) -> Iterator[tuple[str, list[str]]]:
    """→ the bare name of a file, the texts of a slice of it"""
    for documents in open_corpus([folder]).slices():
        texts = [text for text, status in zip(documents.texts, documents.statuses, strict=True) if status == "ok"]
        yield Path(documents.mark.file).name.split(".")[0], texts


def open_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def take_heads(folder: str, tokenizer: Tokenizer) -> dict[str, list[list[int]]]:
    """Per file the first 1,024 tokens of each document that has any."""
    found: dict[str, list[list[int]]] = {}
    for kind, texts in read_texts(folder):
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        found.setdefault(kind, []).extend(encoding.ids[:FIRST_TOKENS] for encoding in encodings if encoding.ids)
    return found


def spell_tokens(tokenizer: Tokenizer) -> dict[int, bytes]:
    """The bytes of each token of a byte-level vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    back = {character: byte for byte, character in bytes_to_unicode().items()}
    return {
        index: bytes(back[character] for character in token) if all(one in back for one in token) else b""
        for token, index in tokenizer.get_vocab().items()
    }


# ---- xz ------------------------------------------------------------------------------------------------------------


def measure_xz(reference: str, heads: dict[str, list[bytes]]) -> dict[str, float]:
    """Bits per kind after the training text, the documents of a kind end to end."""
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    encoder = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=chain)
    text = b"".join("\n\n".join([*texts, ""]).encode("utf-8", "replace") for _, texts in read_texts(reference))
    text = text[-2 * DICTIONARY :]  # what lies farther back is out of reach; the rest is to warm the encoder's state up
    for begin in range(0, len(text), 1 << 20):
        encoder.compress(text[begin:][: 1 << 20])
    nothing = count_added(encoder, b"")
    return {kind: 8.0 * (count_added(encoder, b"\n\n".join(rows)) - nothing) for kind, rows in heads.items()}


def count_added(encoder: "lzma.LZMACompressor", text: bytes) -> int:
    """Bytes that an encoder gives for this text up to its end; in a fork, so that the encoder stays as it is."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, str(len(encoder.compress(text)) + len(encoder.flush())).encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return int(said)


# ---- n-grams -------------------------------------------------------------------------------------------------------


def measure_ngrams(
    kenlm: Path, reference: str, tokenizer: Tokenizer, heads: dict[str, list[list[int]]]
) -> dict[str, float]:
    """Bits per kind by a 5-gram model of the training text's tokens."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        unseen = set(range(tokenizer.get_vocab_size()))
        with (folder / "text").open("w") as file:
            for _, texts in read_texts(reference):
                for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
                    file.write(" ".join(map(str, encoding.ids)) + "\n")
                    unseen.difference_update(encoding.ids)
            file.writelines(f"{token}\n" for token in sorted(unseen))
        run_tool(kenlm / "lmplz", "-o", ORDER, "--discount_fallback", "-S", "40%", "-T", folder, "--text",
                 folder / "text", "--arpa", folder / "arpa")  # fmt: skip
        (folder / "text").unlink()
        run_tool(kenlm / "build_binary", "-T", folder, "-S", "40%", "trie", folder / "arpa", folder / "model")
        (folder / "arpa").unlink()
        return {kind: sum(query_bits(kenlm, folder / "model", rows)) for kind, rows in heads.items()}


def run_tool(*words: object) -> None:
    """Run a command; where it fails, what it said is the error."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words[0]}: {done.stderr[-1000:]}")


def query_bits(kenlm: Path, model: Path, rows: list[list[int]]) -> list[float]:
    """Bits of each row; that it ends there is not counted."""
    told = "".join(" ".join(map(str, ids)) + "\n" for ids in rows)
    done = subprocess.run(
        [str(kenlm / "query"), "-v", "word", str(model)], input=told, capture_output=True, text=True, check=True
    )
    words = re.findall(r"(\S+)=(\d+) \d+ (\S+)", done.stdout)  # e.g. 17=23 3 -1.25: word, its number, order, log10 p
    if len(words) != sum(len(ids) + 1 for ids in rows) or any(number == "0" for _, number, _ in words):
        raise SystemExit(f"{kenlm / 'query'}: {len(words):,} words for {len(rows):,} rows, or an unknown one")
    found, at = [], 0
    for ids in rows:
        found.append(-sum(float(word[2]) for word in words[at : at + len(ids)]) / math.log10(2))
        at += len(ids) + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=("xz", "5-gram"))
    parser.add_argument("--reference", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--kenlm", help="a folder with lmplz, build_binary and query")
    parser.add_argument("--tokenizer", default=str(builtin_folder()))
    parser.add_argument("--out", default="baselines.json", help="where the side is added to what is there")
    options = parser.parse_args()
    tokenizer = open_tokenizer(Path(options.tokenizer))
    heads, spelling = take_heads(options.held_out, tokenizer), spell_tokens(tokenizer)
    spelled = {kind: [b"".join(spelling[token] for token in ids) for ids in rows] for kind, rows in heads.items()}
    if options.side == "xz":
        name, bits = "xz -9", measure_xz(options.reference, spelled)
    elif options.kenlm:
        name, bits = "5-gram", measure_ngrams(Path(options.kenlm), options.reference, tokenizer, heads)
    else:
        raise SystemExit("5-gram needs --kenlm, a folder with lmplz, build_binary and query")
    out = Path(options.out)
    before = json.loads(out.read_text()) if out.exists() else {}
    sizes = {kind: sum(map(len, rows)) for kind, rows in spelled.items()}
    found = {**before, name: {kind: bits[kind] / sizes[kind] for kind in sizes}}
    out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
