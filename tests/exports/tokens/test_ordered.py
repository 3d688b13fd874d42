"""Token files of an ordered run: the ids of each document where the order has it, told, and verified."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import LEAKY, QUESTION, plain_run, read_in_order, shuffled
from helpers.runs import kept_of, make_run, write_buckets, write_hits, write_lines
from helpers.tokens import READERS, a_tokenizer, plain_ids, read_all

from curate.errors import UsageError
from curate.exports.ordered import write
from curate.verbs.export import export
from curate.verbs.filter import filter as choose
from curate.verbs.verify import verify


def spell(folder, run, out="out", **options):
    known = {"format": "tokens", "tokenizer": a_tokenizer(folder), **options}
    return export(str(folder / out), str(run.path), **known)


@pytest.mark.parametrize("layout", ["megatron", "numpy"])
@pytest.mark.parametrize("append", ["eos", "none"])
def test_documents_are_read_back_in_their_order_and_order_parquet_tells_the_truth(tmp_path, layout, append):
    run, source = plain_run(tmp_path)
    choose(str(run.path), max_ppl=70)
    order = shuffled(run, kept_of(run), 200)
    found = spell(tmp_path, run, layout=layout, append=append, shard_size="3kB")
    out = tmp_path / "out"
    expected = plain_ids([source[row]["text"] for row in order], [0] if append == "eos" else [])
    assert read_all(out, layout) == expected and found.ordered
    table, total = pq.read_table(out / "order.parquet"), 0
    assert table.schema.equals(write.ORDER) and len(table) == len(order)
    assert len(set(table["shard"].to_pylist())) == found.shards > 2
    held = {name: READERS[layout][0](out / name) for name in set(table["shard"].to_pylist())}
    for place, told in enumerate(table.to_pylist()):
        ids = held[told["shard"]][told["shard_row"]]
        total += len(ids)
        assert ids == expected[place] and told["tokens"] == len(ids) and told["cumulative_tokens"] == total
        assert (told["position"], told["file"], told["row"]) == (place, "a.jsonl", order[place])
    assert not [path for path in out.rglob("*") if path.name.startswith(".") or path.suffix == ".arrow"]
    checked = verify(str(out))
    assert checked.exit_code == 0 and checked.ordered and {one.check for one in checked.findings} >= {
        "files", "token files", "order", "shards", "tokens", "documents",
    }  # fmt: skip
    notes = (out / "TRAINING.md").read_text()
    assert ("GPTDataset" in notes) == (layout == "megatron") and f"{total:,} tokens" in notes
    assert json.loads((out / "manifest.json").read_text())["columns"]["text"] == "large_string"


def test_an_order_that_the_token_files_do_not_follow_is_found(tmp_path):
    run, _ = plain_run(tmp_path, 60)
    shuffled(run, list(range(60)), 60)
    spell(tmp_path, run)
    out = tmp_path / "out"
    table, manifest = pq.read_table(out / "order.parquet"), json.loads((out / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["path"] != "order.parquet"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    for name, check in (("row", "documents"), ("tokens", "documents"), ("shard_row", "shards")):
        columns = {one: table[one].to_pylist() for one in table.column_names}
        values = columns[name]
        at = next(n for n in range(10, 50) if values[n] != values[n + 1])
        values[at], values[at + 1] = values[at + 1], values[at]
        columns["cumulative_tokens"] = np.cumsum(columns["tokens"]).tolist()
        pq.write_table(pa.table(columns, schema=table.schema), out / "order.parquet")
        found = verify(str(out))
        assert found.exit_code == 4, name
        (wrong,) = [one for one in found.findings if not one.ok]
        assert wrong.check == check and f"position {at}" in wrong.detail


def test_a_damaged_order_is_named_by_its_checksum(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    shuffled(run, list(range(20)), 20)
    spell(tmp_path, run)
    octets = (tmp_path / "out" / "order.parquet").read_bytes()
    (tmp_path / "out" / "order.parquet").write_bytes(octets[:99] + bytes([octets[99] ^ 1]) + octets[100:])
    (wrong,) = [one for one in verify(str(tmp_path / "out")).findings if not one.ok]
    assert wrong.check == "files" and "order.parquet" in wrong.detail


def test_the_fingerprint_tells_the_tokenizer_the_layout_and_the_ends_apart(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    asked = [{}, {"layout": "numpy"}, {"append": "none"}, {"tokenizer": "builtin"}]
    marks = []
    for name, options in enumerate([*asked, {}]):
        spell(tmp_path, run, str(name), **options)
        marks.append(json.loads((tmp_path / str(name) / "manifest.json").read_text())["fingerprint"])
    assert len(set(marks)) == 4 and marks[0] == marks[-1]


def test_text_inside_a_column_and_text_with_passages_cut_out_are_spelled_in_order(tmp_path):
    rows = [{"body": {"text": f"document {n} inside"}} for n in range(12)]
    write_lines(tmp_path / "in" / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "in" / "run", [tmp_path / "in" / "c"], text_field="body.text", slice_bytes=150)
    order = shuffled(run, list(range(12)), 12)
    spell(tmp_path / "in", run)
    assert read_all(tmp_path / "in" / "out", "megatron") == plain_ids([rows[n]["body"]["text"] for n in order], [0])
    write_lines(tmp_path / "cut" / "c" / "a.jsonl", ({"text": text} for text in LEAKY))
    run = make_run(tmp_path / "cut" / "run", [tmp_path / "cut" / "c"], slice_bytes=900)
    begin = LEAKY[0].index(QUESTION)
    write_hits(run, [{"row": 0, "start": begin, "end": begin + len(QUESTION)}], action="cut-span")
    shuffled(run, list(range(len(LEAKY))), len(LEAKY))
    spell(tmp_path / "cut", run)
    export(str(tmp_path / "cut" / "plain"), str(run.path), format="jsonl")
    texts = [row["text"] for row in read_in_order(tmp_path / "cut" / "plain")]
    assert sum(QUESTION in text for text in texts) == sum(QUESTION in text for text in LEAKY) - 1
    assert read_all(tmp_path / "cut" / "out", "megatron") == plain_ids(texts, [0])


def test_token_files_by_bucket_are_refused_with_what_to_do(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    write_buckets(run, ["a", "b"] * 10)
    with pytest.raises(UsageError, match="--by-bucket and --format tokens") as caught:
        spell(tmp_path, run, by_bucket=True)
    assert "--format parquet" in caught.value.hint and not (tmp_path / "out").exists()
    spell(tmp_path, run)  # in the order of the corpus
    assert not (tmp_path / "out" / "TRAINING.md").exists() and not (tmp_path / "out" / "order.parquet").exists()
