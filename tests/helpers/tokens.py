"""Token files to test with, and readers of them written from the published formats."""

import itertools
import struct

import numpy as np
from helpers.models import tokenizer
from helpers.runs import make_run, write_lines

TEXTS = [f"document {n} <|endoftext|> 東京 🙂 " + "word " * (n % 7) for n in range(40)]


def a_run(folder, texts=TEXTS, **fields):
    write_lines(folder / "c" / "a.jsonl", ({"text": text, **fields} for text in texts))
    return str(make_run(folder / "run", [folder / "c"], slice_bytes=700).path)


def a_tokenizer(folder):
    tokenizer().save_pretrained(folder / "tok")
    return str(folder / "tok")


def read_megatron(path):
    """An independent reader of .bin and .idx, after Megatron-LM's description of its index."""
    index = path.with_suffix(".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    (version,), (code,) = struct.unpack_from("<Q", index, 9), struct.unpack_from("<B", index, 17)
    count, marks = struct.unpack_from("<QQ", index, 18)
    kind = {4: np.int32, 8: np.uint16}[code]
    lengths = np.frombuffer(index, np.int32, count, 34)
    pointers = np.frombuffer(index, np.int64, count, 34 + lengths.nbytes)
    documents = np.frombuffer(index, np.int64, marks, 34 + lengths.nbytes + pointers.nbytes)
    assert version == 1 and documents.tolist() == list(range(count + 1))
    data = path.read_bytes()
    return [np.frombuffer(data, kind, length, start).tolist() for length, start in zip(lengths, pointers, strict=True)]


def read_numpy(path):
    ids, offsets = np.load(path, mmap_mode="r"), np.load(str(path)[:-4] + ".offsets.npy")
    return [ids[first:last].tolist() for first, last in itertools.pairwise(offsets)]


READERS = {"megatron": (read_megatron, "*.bin"), "numpy": (read_numpy, "train-*[0-9].npy")}


def read_all(out, layout):
    reader, pattern = READERS[layout]
    return [ids for path in sorted((out / "tokens").glob(pattern)) for ids in reader(path)]


def plain_ids(texts, end):
    backend = type(tokenizer().backend_tokenizer).from_str(tokenizer().backend_tokenizer.to_str())
    backend.encode_special_tokens = True
    return [backend.encode(text, add_special_tokens=False).ids + end for text in texts]
