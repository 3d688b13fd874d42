"""Files by their content: the same under any name, and longer by rows only where the shorter one ended with one."""

import gzip

import pytest

from curate.corpus import Source, open_corpus
from curate.corpus.files import file_identity
from curate.corpus.files.file_identity import find_continuation, identify_source
from curate.runtime.disk.files import EDGE_BYTES

LINE = b'{"text": "some words"}\n'
BIG = LINE * (3 * EDGE_BYTES // len(LINE))


def source_of(path):
    return open_corpus([str(path)], text_field="text").sources[0]


def test_a_file_is_the_same_under_any_name_and_another_one_by_any_of_its_edges(tmp_path):
    (tmp_path / "below").mkdir()
    for name, content in (
        ("a", BIG),
        ("below/b", BIG),
        ("c", b" " + BIG[1:]),
        ("d", BIG[:-2] + b" \n"),
        ("e", BIG + LINE),
    ):
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    known = [identify_source(source_of(tmp_path / f"{name}.jsonl")) for name in ("a", "below/b", "c", "d", "e")]
    assert known[0] == known[1] and len({str(each) for each in known}) == 4
    (tmp_path / "a.json").write_bytes(BIG)
    assert identify_source(source_of(tmp_path / "a.json")) != known[0], "another format reads other rows"


@pytest.mark.parametrize("before", [LINE, LINE * 2, BIG], ids=["one line", "two", "larger than its edges"])
@pytest.mark.parametrize(
    ("ends", "behind", "begins"),
    [
        (b"", LINE, 0),
        (b"", b"\n", 0),
        (b"\n", LINE, 0),
        (LINE[:-1], b"\n" + LINE, 1),
        (LINE[:-1], b"\r\n" + LINE, 2),
        (LINE[:-1], b" " + LINE, None),
        (LINE[:-1], LINE, None),
    ],
)
def test_rows_go_on_behind_the_line_end_of_the_shorter_file(tmp_path, before, ends, behind, begins):
    path = tmp_path / "a.jsonl"
    path.write_bytes(before + ends)
    known = identify_source(source_of(path))
    assert find_continuation(source_of(path), known) is None, "it has not grown"
    path.write_bytes(before + ends + behind)
    expected = None if begins is None else len(before + ends) + begins
    assert find_continuation(source_of(path), known) == expected


@pytest.mark.parametrize("at", [0, EDGE_BYTES - 1, -1, -EDGE_BYTES])
def test_a_longer_file_with_another_beginning_is_no_continuation(tmp_path, at):
    path = tmp_path / "a.jsonl"
    path.write_bytes(BIG)
    known = identify_source(source_of(path))
    changed = bytearray(BIG)
    changed[at] ^= 1
    path.write_bytes(bytes(changed) + LINE)
    assert find_continuation(source_of(path), known) is None


def test_what_has_no_hashes_is_known_by_its_name_too(monkeypatch):
    monkeypatch.setattr(file_identity, "fingerprint_source", lambda source: ["a revision"])
    splits = [Source(f"o/n:{split}", f"o/n:{split}", "hub", None, None) for split in ("train", "test")]
    train, test = map(identify_source, splits)
    assert train != test and train == identify_source(splits[0])
    monkeypatch.setattr(file_identity, "fingerprint_source", lambda source: [3, "an ETag"])
    remote = Source("https://x.org/a.jsonl", "a.jsonl", "jsonl", None, 30)
    assert find_continuation(remote, identify_source(remote)) is None


def test_only_rows_on_lines_can_be_added(tmp_path):
    grown = {
        "a.txt": (b"some words\n", b"more\n"),
        "a.json": (b'[{"text": "a"}]\n', b"\n"),
        "a.jsonl.gz": (gzip.compress(LINE), gzip.compress(LINE)),
        "empty.jsonl": (b"", LINE),
    }
    for name, (before, behind) in grown.items():
        path = tmp_path / name
        path.write_bytes(before or LINE)
        source = source_of(path)
        path.write_bytes(before)
        known = [source.format, source.compression, len(before), *identify_source(source)[3:]]
        path.write_bytes(before + behind)
        assert find_continuation(source_of(path), known) is None, name
    path.write_bytes(LINE * 2)
    for known in (
        ["hub", None, "v1"],
        ["jsonl", None, 5, "an ETag"],
        ["csv", None, *identify_source(source_of(path))[2:]],
    ):
        assert find_continuation(source_of(path), known) is None
