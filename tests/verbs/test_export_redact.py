"""``curate export --redact``: the text has labels, ``curate_redacted`` counts them, everything else stays."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, files_of, load, read_in_order, shuffled
from helpers.planted_secrets import assert_hidden, redacted_text_of, text_of
from helpers.runs import make_run, write_hits, write_lines

import curate
from curate.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT = 40
KINDS = {"secret": 6, "card": 6, "iban": 6, "email": 46, "ip": 7, "phone": 7}


def text_at(number):
    return f"document {number} of no one" if number % 40 == 39 else text_of(number)


def make(folder, **options):
    rows = [{"id": f"d{n}@x.org", "text": text_at(n), "n": n, "meta": {"by": "joe@x.org"}} for n in range(COUNT)]
    write_lines(folder / "c" / "a.jsonl", rows)
    return make_run(folder / "run", [folder / "c"], slice_bytes=1500, **options)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("ordered", [False, True])
def test_texts_have_labels_and_everything_else_is_as_without_it(tmp_path, kind, ordered):
    run = make(tmp_path)
    if ordered:
        shuffled(run, list(range(COUNT)), COUNT)
    plain = curate.export(str(tmp_path / "plain"), str(run.path), format=kind)
    found = curate.export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB", redact="default")
    before, after = read_in_order(tmp_path / "plain"), read_in_order(tmp_path / "out")
    for old, new in zip(before, after, strict=True):
        number = old["n"]
        assert new["text"] == (redacted_text_of(number) if number != 39 else text_at(39))
        assert new["curate_redacted"] == (0 if number == 39 else 2)
        assert {**old, "text": 0} == {**{name: new[name] for name in old}, "text": 0}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["redacted"]["documents"] == 39 and manifest["redacted"]["replacements"] == KINDS
    assert found.redacted == manifest["redacted"] and plain.redacted is None
    assert "redacted in 39 documents: secret 6, card 6" in found.render()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- `[EMAIL]`: 46" in card and "`curate_redacted`: personal data" in card and "original text" in card
    assert curate.verify(str(tmp_path / "out"), loader="none").exit_code == 0
    assert [row["text"] for row in load(tmp_path / "out")] == [row["text"] for row in after]


@pytest.mark.parametrize("kind", FORMATS)
def test_parts_and_workers_come_to_the_same_bytes(tmp_path, kind):
    run = str(make(tmp_path).path)
    curate.export(str(tmp_path / "one"), run, format=kind, redact="default", workers=1)
    for _ in range(2):
        for part in ("0/2", "1/2"):
            curate.export(str(tmp_path / "two"), run, format=kind, redact="default", part=part)
    with pytest.raises(UsageError, match="--redact default, not email"):
        curate.export(str(tmp_path / "two"), run, format=kind, redact="email")
    curate.export(str(tmp_path / "two"), run, format=kind, redact="default")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_token_ids_are_those_of_the_redacted_text(tmp_path):
    run = make(tmp_path)
    found = curate.export(str(tmp_path / "t"), str(run.path), format="tokens", tokenizer="builtin", redact="default")
    plain = curate.export(str(tmp_path / "p"), str(run.path), format="tokens", tokenizer="builtin")
    assert found.tokens != plain.tokens and found.redacted["documents"] == 39


def test_a_passage_takes_with_it_all_of_a_secret_that_it_cuts_and_the_rest_is_redacted(tmp_path):
    run = make(tmp_path)
    text = text_of(2)
    start, end = text.index("or 请"), text.index("doe@")
    write_hits(run, [{"row": 2, "start": start, "end": end}], action="cut-span")
    curate.export(str(tmp_path / "out"), str(run.path), format="jsonl", redact="default")
    (row,) = (row for row in read_in_order(tmp_path / "out") if row["n"] == 2)
    assert row["text"] == text[:start].replace("81.2.69.142", "[IP]") + " 谢谢 and goes on for a while. 2"
    assert row["curate_cut_characters"] == text.index("谢谢") - start and row["curate_redacted"] == 1


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("source", ["jsonl", "parquet"])
def test_the_turns_of_a_conversation_are_redacted_and_other_columns_are_not(tmp_path, kind, source):
    rows = [
        {"messages": [{"role": "user", "content": text_of(n)}, {"role": "assistant", "content": "ok joe@x.org"}],
         "tags": ["joe@x.org"]}
        for n in range(3)
    ]  # fmt: skip
    (tmp_path / "c").mkdir()
    if source == "jsonl":
        write_lines(tmp_path / "c" / "a.jsonl", rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c" / "a.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    curate.export(str(tmp_path / "out"), str(run.path), format=kind, redact="default")
    for n, row in enumerate(read_in_order(tmp_path / "out")):
        assert [turn["content"] for turn in row["messages"]] == [redacted_text_of(n), "ok [EMAIL]"]
        assert row["messages"][0]["role"] == "user" and row["tags"] == ["joe@x.org"] and row["curate_redacted"] == 3
    assert_hidden(tmp_path / "out")


def test_a_field_within_a_column_is_redacted_and_what_lies_beside_it_is_not(tmp_path):
    rows = [{"doc": {"body": text_of(n), "by": "joe@x.org"}, "k": n} for n in range(3)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"], text_field="doc.body")
    for kind in FORMATS:
        curate.export(str(tmp_path / kind), str(run.path), format=kind, redact="default")
        found = [row["doc"] for row in read_in_order(tmp_path / kind)]
        assert found == [{"body": redacted_text_of(n), "by": "joe@x.org"} for n in range(3)]


def test_rows_that_cannot_be_read_and_a_column_of_several_kinds_change_nothing_else(tmp_path):
    rows = [
        {"text": text_of(0), "x": 1},
        {"text": 5, "x": "a"},
        b"{broken",
        {"text": "plain", "x": None},
        {"x": 2, "text": ""},
    ]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    for kind in FORMATS:
        curate.export(str(tmp_path / kind), str(run.path), format=kind, redact="default")
        assert [row["text"] for row in read_in_order(tmp_path / kind)] == [redacted_text_of(0), "plain"]


def test_a_probe_is_redacted_too(tmp_path):
    run = make(tmp_path)
    curate.filter(str(run.path), probe=str(tmp_path / "probe"), by="ppl", redact="default")
    for side in ("low", "middle", "high"):
        assert all("jane" not in row["text"] for row in read_in_order(tmp_path / "probe" / side))
        assert "redacted" in json.loads((tmp_path / "probe" / side / "manifest.json").read_text())
