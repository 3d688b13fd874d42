"""What the first bytes of a file show: compression, encoding, and that it is no text at all."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from helpers.corpora import COMPRESS, as_value, read, texts_of

from curate.corpus import open_corpus
from curate.corpus.files.streams import read_chunks
from curate.corpus.types import Source

BODIES = {
    "csv": ("id,text\n1,héllo wörld\n2,b 🙂\n", ["héllo wörld", "b 🙂"]),
    "tsv": ("id\ttext\n1\théllo\n2\tb\n", ["héllo", "b"]),
    "jsonl": ('{"text":"héllo"}\n{"text":"b 🙂"}\n', ["héllo", "b 🙂"]),
    "json": ('[{"text":"héllo"},\n{"text":"b"}]', ["héllo", "b"]),
    "txt": ("héllo\nb", ["héllo\nb"]),
}
MARKED = {"utf-8-sig": b"", "utf-16": b"", "utf-16-be": b"\xfe\xff", "utf-32": b"", "utf-32-be": b"\0\0\xfe\xff"}


@pytest.mark.parametrize("suffix", BODIES)
@pytest.mark.parametrize("encoding", MARKED)
def test_a_text_with_a_mark_is_decoded_by_it_also_from_an_archive(tmp_path, suffix, encoding):
    body, texts = BODIES[suffix]
    for packed in ("", ".gz", ".zst"):
        path = tmp_path / f"a.{suffix}{packed}"
        path.write_bytes(COMPRESS.get(packed, bytes)(MARKED[encoding] + body.encode(encoding)))
        corpus = open_corpus(path)
        assert [text for _, text, _, _ in read(corpus).values()] == texts
        assert (encoding[:6].upper() in corpus.describe()) == (encoding != "utf-8-sig")


def test_a_decoded_text_is_resumed_at_every_slice(tmp_path):
    lines = "".join(f'{{"text": "document {number} é"}}\n' for number in range(50))
    (tmp_path / "a.jsonl").write_bytes(lines.encode("utf-16"))
    corpus = open_corpus(tmp_path / "a.jsonl", slice_bytes=300)
    slices = list(corpus.slices(columns="all"))
    for stop in (1, len(slices) // 2):
        done = {"a.jsonl": [one.mark for one in slices[:stop]]}
        assert list(map(as_value, corpus.slices(done, columns="all"))) == list(map(as_value, slices[stop:]))


@pytest.mark.parametrize("suffix", BODIES)
@pytest.mark.parametrize(
    ("encoding", "named"), [("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"), ("utf-32-le", "UTF-32LE")]
)
def test_utf_16_without_a_mark_is_unreadable_and_says_what_it_looks_like(tmp_path, suffix, encoding, named):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(BODIES[suffix][0].replace("é", "e").encode(encoding))
    ((status, _, reason, _),) = read(open_corpus(path, text_field="text")).values()
    assert status == "unreadable" and f"looks like {named}" in reason and f"iconv -f {named} -t UTF-8" in reason


@pytest.mark.parametrize("suffix", BODIES)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_latin_1_costs_the_rows_that_have_it_and_is_named(tmp_path, suffix, encoding):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(BODIES[suffix][0].replace("🙂", "").encode(encoding))
    found = list(read(open_corpus(path, text_field="text")).values())
    assert found[0][0] == "unreadable" and "Windows-1252 or Latin-1: iconv -f WINDOWS-1252" in found[0][2]
    assert all(status == "ok" for status, *_ in found[1:])


@pytest.mark.parametrize("suffix", BODIES)
def test_an_archive_under_a_plain_suffix_and_a_plain_file_under_that_of_an_archive_are_read(tmp_path, suffix):
    body, texts = BODIES[suffix]
    for packed, pack in COMPRESS.items():
        (tmp_path / f"a.{suffix}").write_bytes(pack(body.encode()))
        (tmp_path / f"b.{suffix}{packed}").write_bytes(body.encode())
        other = ".gz" if packed != ".gz" else ".xz"
        (tmp_path / f"c.{suffix}{other}").write_bytes(pack(body.encode()))
        for name in (f"a.{suffix}", f"b.{suffix}{packed}", f"c.{suffix}{other}"):
            assert texts_of(tmp_path / name) == texts


def test_what_is_no_text_is_one_row_that_names_it(tmp_path):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    parquet = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), parquet)
    line = gzip.compress(b'{"text": "a"}\n')
    for body, word in {
        b"PK\x03\x04....": "ZIP", tar.getvalue(): "tar", gzip.compress(tar.getvalue()): "tar", b"%PDF-1.7": "PDF",
        parquet.getvalue(): "Parquet", gzip.compress(line): "compressed twice", b"\0" * 50: "NUL",
        b"version https://git-lfs.github.com/spec/v1\noid": "Git LFS",
    }.items():  # fmt: skip
        for name in ("a.jsonl", "a.json", "a.csv", "a.txt"):
            (tmp_path / name).write_bytes(body)
            ((status, _, reason, _),) = read(open_corpus(tmp_path / name, text_field="text")).values()
            assert status == "unreadable" and word in reason


@pytest.mark.parametrize("packed", ["gz", "zst", "bz2", "xz"])
def test_an_archive_that_expands_a_thousandfold_takes_little_memory(tmp_path, packed):
    unit, count = b"\n" * (1 << 20), 64
    packer = {
        "gz": lambda data: gzip.compress(data, 9),
        "zst": zstandard.ZstdCompressor().compress,
        "bz2": bz2.compress,
        "xz": lambda data: lzma.compress(data, preset=0),
    }[packed]
    path = tmp_path / f"a.jsonl.{packed}"
    path.write_bytes(packer(b'{"text": "a"}\n' + unit * count + b'{"text": "b"}\n'))
    tracemalloc.start()
    chunks = [len(chunk) for chunk, _ in read_chunks(Source(str(path), "a", "jsonl", packed, None))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(chunks) == count * (1 << 20) + 28 and peak < 12e6
    assert [(row, text) for (_, row), (_, text, _, _) in read(open_corpus(path)).items()] == [
        (0, "a"), (count * (1 << 20) + 1, "b"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n"])
def test_blank_lines_are_counted_and_passed_over(tmp_path, name, blank):
    first, second = {"a.csv": (b"text\na\n", b"b\n"), "a.json": (b'[{"text": "a"},\n', b'{"text": "b"}]\n')}.get(
        name, (b'{"text": "a"}\n', b'{"text": "b"}\n')
    )
    count = 2_500_000
    (tmp_path / name).write_bytes(first + blank * count + second)
    corpus = open_corpus(tmp_path / name, slice_bytes=1)
    slices = list(corpus.slices())
    assert [text for one in slices for text in one.texts] == ["a", "b"]
    assert [row for one in slices for row in one.rows.tolist()] == [0, 1 if name == "a.json" else count + 1]
    resumed = list(corpus.slices({name: [slices[0].mark]}))
    assert list(map(as_value, resumed)) == list(map(as_value, slices[1:]))
    assert sum(one.read_bytes for one in slices) == (tmp_path / name).stat().st_size
