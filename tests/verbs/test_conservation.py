"""Rows that users' files held, all in one corpus: each is kept or has a reason, through every verb and format."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import curate
from curate.rundir.run import open_run

SENTENCES = [f"The harbour master counted {number} boats." for number in range(40)]
QUESTION = "In which year did the harbour of Bergen get its first electric lighthouse, and who paid for it?"


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return len(lines)


def write_objects_of_different_keys(folder: Path) -> int:
    calls = [{"port": "Bergen"}, {"a": 1, "b": 2}, {"a": "one"}, {}]
    rows = [{"text": f"Call {number}.", "call": call, "meta": {"lang": "x"}} for number, call in enumerate(calls)]
    return write_jsonl(folder / "calls.jsonl", rows)


def write_names_of_scores(folder: Path) -> int:
    rows = [{"text": f"Ship {n} has lamps.", "tokens": n, "status": "ab"[n % 2], "Perplexity": n} for n in range(20)]
    return write_jsonl(folder / "clash.jsonl", rows)


def write_bad_lines(folder: Path) -> int:
    deep = '{"text": "deep", "x": ' + "[" * 800 + "]" * 800 + "}"
    large = '{"text": "A large number.", "hash": ' + str(10**30) + "}"
    lines = ['{"text": "good"}', "not json", '{"text": 5}', '{"other": "x"}', '{"text": ""}', "", "\x00", deep, large]
    (folder / "bad.jsonl").write_text("\n".join(lines))
    return 8  # a blank line is no row


def write_an_array(folder: Path) -> int:
    (folder / "array.jsonl").write_text(json.dumps([{"text": text} for text in SENTENCES], indent=1))
    return len(SENTENCES)


def write_a_wrapped_list(folder: Path) -> int:
    rows = [{"text": text.replace("boats", "lamps")} for text in SENTENCES]
    (folder / "wrapped.json").write_text(json.dumps({"version": "1.0", "data": rows}))
    return len(rows)


def write_copies_and_leaks(folder: Path) -> int:
    texts = [SENTENCES[3], SENTENCES[3].upper(), f"Quiz. {QUESTION} Write it down.", QUESTION, QUESTION]
    return write_jsonl(folder / "copies.jsonl", ({"text": text} for text in texts))


def write_quotation_marks(folder: Path) -> int:
    texts = [
        '"Hello," she said.',
        "plain row",
        '"To be or not to be',
        'that is the question"',
        'He wrote "yes"',
        "last",
    ]
    (folder / "quotes.tsv").write_text("id\ttext\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(texts)))
    return len(texts)


def write_semicolons_in_utf_16(folder: Path) -> int:
    (folder / "windows.csv").write_text("text;n\nGrüße aus Köln;1\nZwei Zeilen;2\n", encoding="utf-16")
    return 2


def write_json_values(folder: Path) -> int:
    storage = pa.array(['"one two"', '["two", "three"]', "null"], pa.string())
    column = pa.ExtensionArray.from_storage(pa.json_(pa.string()), storage)
    pq.write_table(pa.table({"text": column}), folder / "json.parquet")
    return 3


def write_columns_of_one_name(folder: Path) -> int:
    values = [pa.array(["left join"]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(values, names=["text", "value", "value"]), folder / "join.parquet")
    return 1


def write_features(folder: Path) -> int:
    hashes = pa.array([2**64 - 1, 5], pa.uint64())
    table = pa.table({"text": ["a label", "another label"], "label": [0, 1], "large": hashes})
    features = {"text": datasets.Value("string"), "large": datasets.Value("uint64")}
    features["label"] = datasets.ClassLabel(names=["neg", "pos"])
    metadata = {"huggingface": json.dumps({"info": {"features": datasets.Features(features).to_dict()}})}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "features.parquet")
    return 2


def write_odd_arrow_types(folder: Path) -> int:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["r"]))
    table = pa.table({"text": ["a b c"], "view": pa.array([b"x"], pa.binary_view()), "runs": runs})
    feather.write_feather(table.select(["text", "view"]), folder / "views.feather", compression="uncompressed")
    with pa.OSFile(str(folder / "runs.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.set_column(0, "text", pa.array(["d e f"])))
    return 2


def write_formulas(folder: Path) -> int:
    texts = ["Solve x + 3 = 7 for x.", "Solve x - 3 = 7 for x.", "I like C++ a lot", "I like C# a lot"]
    return write_jsonl(folder / "formulas.jsonl", ({"text": text} for text in texts))


def write_a_pipe(folder: Path) -> int:
    os.mkfifo(folder / "pipe.jsonl")
    return 0


WRITERS = [
    write_objects_of_different_keys, write_names_of_scores, write_bad_lines, write_an_array, write_a_wrapped_list,
    write_copies_and_leaks, write_quotation_marks, write_semicolons_in_utf_16, write_json_values,
    write_columns_of_one_name, write_features, write_odd_arrow_types, write_formulas, write_a_pipe,
]  # fmt: skip
UNREADABLE = {
    ("bad.jsonl", 1): "not valid JSON",
    ("bad.jsonl", 2): 'field "text" is a number',
    ("bad.jsonl", 3): 'no field "text"',
    ("bad.jsonl", 6): "not valid JSON",
    ("bad.jsonl", 7): "nested too deeply",
    ("json.parquet", 1): "is a list, not a string",
    ("json.parquet", 2): '"text" is null',
}
REJECTED = {"unscored: empty": 1, "contaminated: quiz": 3, "exact duplicate": 2}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run over the corpus, after decontaminate, dedup and filter; and the number of its rows."""
    folder = tmp_path_factory.mktemp("conservation")
    (folder / "corpus").mkdir()
    rows = sum(write(folder / "corpus") for write in WRITERS)
    (folder / "quiz.jsonl").write_text(json.dumps({"question": QUESTION, "answer": "1908"}) + "\n")
    run = folder / "run"
    curate.score(folder / "corpus", text_field="text", run=run, exact=True)
    curate.decontaminate([folder / "quiz.jsonl"], run=run)
    curate.dedup(run=run, exact_only=True)
    curate.filter(run=run, max_ppl=1e30)
    return run, rows


def test_every_row_is_in_the_scores_once_and_what_cannot_be_read_says_why(judged):
    run, rows = judged
    table = pq.read_table(run / "scores", columns=["file", "row", "status", "reason"])
    assert table.num_rows == rows == open_run(run).stage("score")["counts"]["read"]
    assert len({(row["file"], row["row"]) for row in table.to_pylist()}) == rows
    listed = {(row["file"], row["row"]): row["reason"] for row in table.to_pylist() if row["status"] == "unreadable"}
    assert listed.keys() == UNREADABLE.keys()
    assert {key: reason for key, reason in listed.items() if UNREADABLE[key] not in reason} == {}


def test_the_counts_of_all_verbs_are_one_account(judged):
    run, rows = judged
    status = curate.status(run)
    assert (status.read, status.unreadable) == (rows, len(UNREADABLE))
    assert status.rejected == REJECTED
    assert status.kept + sum(status.rejected.values()) + status.unreadable == rows
    counts = curate.filter(run=run, max_ppl=1e30, dry_run=True).as_dict()
    assert counts["kept"]["documents"] == status.kept
    assert sum(one["documents"] for one in counts["rejected"].values()) == sum(status.rejected.values())


@pytest.mark.parametrize("format", ["hf", "parquet", "jsonl"])
def test_an_export_of_what_is_kept_and_one_of_what_is_not_hold_every_row_that_could_be_read(judged, format, tmp_path):
    run, rows = judged
    status = curate.status(run)
    places = []
    for name, rejected in (("kept", False), ("rejected", True)):
        curate.export(tmp_path / name, run=run, format=format, rejected=rejected)
        loaded = datasets.load_dataset(str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache"))
        places.extend(zip(loaded["curate_file"], loaded["curate_row"], strict=True))
        if not rejected:
            assert len(loaded) == status.kept and loaded.features["label"].names == ["neg", "pos"]
            large = [value for value in loaded["large"] if value is not None]
            calls = [value for value in loaded["call"] if value is not None]
            assert large == [2**64 - 1, 5] and calls == [{"port": "Bergen"}, {"a": 1, "b": 2}, {"a": "one"}, {}]
    scores = pq.read_table(run / "scores", columns=["file", "row", "status"])
    readable = scores.filter(pc.not_equal(scores["status"], "unreadable")).to_pylist()
    assert sorted(places) == sorted((row["file"], row["row"]) for row in readable)
    assert len(readable) + len(UNREADABLE) == rows
