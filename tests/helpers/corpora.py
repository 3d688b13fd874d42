"""Corpora to test with: any records in any format, and a toy corpus with every rare case planted in it."""

import bz2
import gzip
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import strategies as st

from curate.corpus import open_corpus

Records = Sequence[dict[str, Any]]

COMPRESS = {
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
    ".bz2": bz2.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
}
# One suffix for each way in which a corpus may be written; `write_records` knows them all.
FORMATS = (
    "jsonl", "jsonl.gz", "jsonl.zst", "jsonl.bz2", "jsonl.xz", "json", "json.gz", "pretty.json", "sequence.json",
    "lines.json", "csv", "csv.zst", "tsv", "parquet", "file.arrow", "stream.arrow", "feather",
)  # fmt: skip


def write_records(path: str | Path, records: Records, rows_per_group: int = 3) -> Path:
    """Write records in the format and compression that the suffix of ``path`` says."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, compress = path.name, bytes
    for suffix, function in COMPRESS.items():
        if stem.endswith(suffix):
            stem, compress = stem.removesuffix(suffix), function
    if stem.endswith((".parquet", ".arrow", ".feather")):
        write_columns(path, pa.Table.from_pylist(list(records)), rows_per_group)
    else:
        path.write_bytes(compress(as_bytes(stem, records)))
    return path


def as_bytes(name: str, records: Records) -> bytes:
    lines = [json.dumps(record, ensure_ascii=index % 2 == 0) for index, record in enumerate(records)]
    if name.endswith((".csv", ".tsv")):
        mark = "," if name.endswith(".csv") else "\t"
        rows = [list(records[0]) if records else ["text"], *(record.values() for record in records)]
        return "".join(mark.join(quote_field(field) for field in row) + "\r\n" for row in rows).encode()
    if name.endswith("pretty.json"):
        return json.dumps(list(records), indent=4).encode()
    if name.endswith("sequence.json"):
        return "\n".join(json.dumps(record, indent=1) for record in records).encode()
    if name.endswith((".jsonl", "lines.json")):
        return "".join(line + "\n" for line in lines).encode()
    return ("[" + ", ".join(lines) + "]").encode()


def quote_field(value: Any) -> str:
    return '"' + str(value).replace('"', '""') + '"'


def write_columns(path: Path, table: pa.Table, rows_per_group: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".parquet"):
        pq.write_table(table, path, row_group_size=rows_per_group, write_page_checksum=True)
    elif path.name.endswith(".feather"):
        pyarrow.feather.write_feather(table, str(path), chunksize=rows_per_group)
    else:
        opener = pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file
        with opener(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=rows_per_group)


def write_lines(path: str | Path, lines: Sequence[bytes]) -> Path:
    """Write raw lines, bad ones too, compressed as the suffix says."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(b"".join(line + b"\n" for line in lines)))
    return path


def number_records(count: int, words: int = 20) -> list[dict[str, Any]]:
    """Plain documents with an id, a text and two more columns."""
    return [
        {"id": f"d{n}", "text": f"Document {n}. " + "word " * (n % words), "n": n, "tag": "ab"[n % 2]}
        for n in range(count)
    ]


@dataclass(frozen=True)
class Toy:
    """The toy corpus: where it lies, and what must be read from it by (file, row)."""

    path: Path
    texts: dict[tuple[str, int], str]
    """Readable documents, empty ones among them."""
    unreadable: dict[tuple[str, int], str]
    """A word of the reason of each unreadable row."""


ODD_LINES: list[tuple[bytes, str | None, str | None]] = [
    (b'\xef\xbb\xbf{"id": "bom", "text": "begins with a byte order mark"}', "begins with a byte order mark", None),
    (b'{"id": "crlf", "text": "ends with CR LF"}\r', "ends with CR LF", None),
    (b"", None, None),
    (b'{"id": "empty", "text": ""}', "", None),
    (b'{"id": "white", "text": " \\n\\t "}', " \n\t ", None),
    (b'{"id": "byte", "text": "a"}', "a", None),
    ('{"id": "emoji", "text": "🙂 👩‍👩‍👧 é"}'.encode(), "🙂 👩‍👩‍👧 é", None),
    (b'{"id": "special", "text": "<|endoftext|><s></s>[CLS]"}', "<|endoftext|><s></s>[CLS]", None),
    (b'{"id": "nan", "score": NaN, "text": "with a NaN beside it"}', "with a NaN beside it", None),
    (b'{"id": "nul", "text": "a\\u0000b"}', "a\0b", None),
    (b'{"id": "twice", "text": "first of its id"}', "first of its id", None),
    (b'{"id": "twice", "text": "second of its id"}', "second of its id", None),
    (b'{"id": 7, "text": "a number for an id"}', "a number for an id", None),
    (b'{"text": "no id"}', "no id", None),
    (b'{"id": "bad", "text": "not closed', None, "not valid JSON"),
    (b'{"id": "utf8", "text": "caf\xe9"}', None, "invalid UTF-8"),
    (b'{"id": "lone", "text": "\\ud800"}', None, "surrogate"),
    (b'{"id": "missing", "body": "no text"}', None, "no field"),
    (b'{"id": "null", "text": null}', None, "null"),
    (b'{"id": "number", "text": 12}', None, "a number"),
    (b'{"id": "list", "text": ["a"]}', None, "a list"),
    (b'["no", "object"]', None, "not an object"),
    (b"   \t", None, None),
    (b'{"id": "long", "text": "' + b"long " * 200_000 + b'"}', "long " * 200_000, None),
]


def build_toy(folder: str | Path) -> Toy:
    """A corpus of nine files that holds every rare case."""
    root = Path(folder)
    toy = Toy(root, {}, {})
    write_lines(root / "odd.jsonl", [line for line, _, _ in ODD_LINES])
    for row, (_, text, reason) in enumerate(ODD_LINES):
        plant(toy, "odd.jsonl", row, text, reason)
    for name in ("a/same.jsonl", "b/same.jsonl"):
        write_records(root / name, [{"id": name, "text": f"in {name}"}])
        plant(toy, name, 0, f"in {name}", None)
    plenty = number_records(400)
    for suffix in (".gz", ".zst"):
        whole = write_records(root / f"whole.jsonl{suffix}", plenty)
        for row, record in enumerate(plenty):
            plant(toy, whole.name, row, record["text"], None)
    for suffix in (".gz", ".zst"):
        broken = write_records(root / f"truncated.jsonl{suffix}", number_records(3))
        broken.write_bytes(broken.read_bytes()[:-9])
        rows = 3 if suffix == ".gz" else 0  # A zstd block is given whole or not at all.
        for row, record in enumerate(number_records(rows)):
            plant(toy, broken.name, row, record["text"], None)
        plant(toy, broken.name, rows, None, "breaks off")
    damaged = write_records(root / "damaged.parquet", number_records(4))
    damaged.write_bytes(damaged.read_bytes()[:-6] + b"??PAR1")
    plant(toy, "damaged.parquet", 0, None, "damaged")
    (root / "empty.jsonl").write_bytes(b"")
    (root / "README.md").write_text("not a document")
    (root / "_SUCCESS").write_bytes(b"")
    (root / ".hidden.jsonl").write_text("not a document")
    (root / "picture.png").write_bytes(b"\x89PNG")
    return toy


def plant(toy: Toy, file: str, row: int, text: str | None, reason: str | None) -> None:
    if text is not None:
        toy.texts[file, row] = text
    elif reason is not None:
        toy.unreadable[file, row] = reason


def read(corpus, **options):
    """Everything in a corpus by (file, row): status, text, reason, id."""
    found = {}
    for slice in corpus.slices(**options):
        rows = zip(slice.rows.tolist(), slice.statuses, slice.texts, slice.reasons, slice.ids, strict=True)
        for row, status, text, reason, identifier in rows:
            assert (slice.mark.file, row) not in found
            found[slice.mark.file, row] = (status, text, reason, identifier)
    return found


def texts_of(path, **options):
    return [text for _, text, _, _ in read(open_corpus([str(path)], **options)).values()]


def as_value(documents):
    """A slice as plain values, to compare."""
    table = None if documents.table is None else (documents.table.schema, repr(documents.table.to_pylist()))
    plain = (documents.ids, documents.texts, documents.statuses, documents.reasons, documents.read_bytes, table)
    return documents.mark, documents.rows.tolist(), *plain


def file_name(format):
    return format if format.partition(".")[2] in ("json", "arrow") else f"part.{format}"


each_format = pytest.mark.parametrize("format", FORMATS)
nasty = st.text(st.sampled_from("ab\\\"{}[],\n\r\t é🙂:'\u2028\x85"), max_size=30) | st.text(max_size=8)
