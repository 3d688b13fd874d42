"""``curate export``: contaminated documents and copies are left out, marked, or have their passages cut out."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, LEAKY, QUESTION, files_of, leaky_run, load
from helpers.runs import make_run, numbered_run, write_duplicates, write_hits, write_lines

from curate.errors import CorpusError, GateError, TableError, UsageError
from curate.rundir import parquet, schemas
from curate.verbs.export import export
from curate.verbs.filter import filter as choose

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("filtered", [False, True])
def test_neither_what_is_contaminated_nor_copies_are_exported_and_it_is_said(tmp_path, filtered):
    run = numbered_run(tmp_path, [{"perplexity": 10.0 + n} for n in range(8)], slice_bytes=150)
    write_hits(run, [{"row": 1}, {"row": 2, "eval_set": "mbpp"}])
    write_duplicates(run, [{3: "exact", 4: "keeper", 6: "near"}])
    if filtered:
        choose(str(run.path), max_ppl=16.5)
    found = export(str(tmp_path / "out"), str(run.path))
    kept = [0, 4, 5] if filtered else [0, 4, 5, 7]
    assert [row["curate_row"] for row in load(tmp_path / "out")] == kept
    assert found.counts == {"read": 8, "kept": len(kept), "rejected": 8 - len(kept), "unreadable": 0}
    assert ("but for what was rejected by curate decontaminate and curate dedup" in found.render()) is not filtered
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    tabled = {"contaminated: gsm8k": 1, "contaminated: mbpp": 1, "exact duplicate": 1, "near duplicate": 1}
    assert manifest["rejected"] == tabled | ({"perplexity > 16.5": 1} if filtered else {})
    assert manifest["made_from"]["decontaminate"]["parameters"] == {"action": "drop"}
    assert manifest["made_from"]["dedup"]["parameters"]["keep"] == "longest"
    assert (manifest["made_from"]["filter"] is None) is not filtered
    card = (tmp_path / "out" / "README.md").read_text()
    for part in ("rejected, `contaminated: mbpp`: 1", "rejected, `near duplicate`: 1", "`gsm8k` 1", "keep `longest`"):
        assert part in card
    assert ("No filter was run" in card) is not filtered
    assert not list(tmp_path.glob("**/decisions.parquet"))


def test_rejected_documents_carry_the_reasons_of_the_tables(tmp_path):
    run = numbered_run(tmp_path, [*([{}] * 4), {"status": "too_long"}])
    write_hits(run, [{"row": 1}])
    write_duplicates(run, [{0: "keeper", 3: "near"}])
    found = export(str(tmp_path / "out"), str(run.path), rejected=True)
    reasons = {row["curate_row"]: row["curate_reason"] for row in load(tmp_path / "out")}
    assert reasons == {1: "contaminated: gsm8k", 3: "near duplicate", 4: "unscored: too_long"}
    assert "or that was rejected by curate decontaminate and curate dedup" in found.render()


def test_an_export_of_which_the_tables_leave_nothing_is_an_error(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    write_hits(run, [{"row": 0}, {"row": 1}])
    with pytest.raises(GateError, match="nothing was kept"):
        export(str(tmp_path / "out"), str(run.path))
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_marked_document_names_the_sets_that_it_leaks(tmp_path, kind):
    run = numbered_run(tmp_path, [{} for _ in range(40)], slice_bytes=300)
    review = {"verdict": "review", "action": "none"}
    hits = [{"row": 5}, {"row": 5, "eval_set": "arc"}, {"row": 5}, {"row": 39}, {"row": 7, **review}]
    write_hits(run, hits, action="mark", slice_bytes=170)
    found = export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="2kB")
    rows = load(tmp_path / "out")
    assert [row["curate_row"] for row in rows] == list(range(40))
    sets = {row["curate_row"]: row["curate_eval_sets"] for row in rows if row["curate_eval_sets"] is not None}
    assert sets == {5: "arc, gsm8k", 39: "gsm8k"}
    assert "curate_cut_characters" not in rows[0]
    assert found.counts["rejected"] == 0
    assert "`curate_eval_sets`: the eval sets" in (tmp_path / "out" / "README.md").read_text()


def test_without_hits_to_mark_the_column_is_there_when_marks_were_asked_for_and_else_not(tmp_path):
    run = numbered_run(tmp_path, [{}])
    write_hits(run, [], action="mark")
    export(str(tmp_path / "one"), str(run.path))
    assert load(tmp_path / "one")[0]["curate_eval_sets"] is None
    write_hits(run, [], action="drop")
    export(str(tmp_path / "two"), str(run.path))
    assert "curate_eval_sets" not in load(tmp_path / "two")[0]


@pytest.mark.parametrize("kind", FORMATS)
def test_passages_are_cut_out_of_their_own_documents_after_the_check_of_the_hash(tmp_path, kind):
    run = leaky_run(tmp_path, [{"text": text, "other": text} for text in LEAKY])
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB")
    rows = load(tmp_path / "out")
    assert len(rows) == 40
    for number, row in enumerate(rows):
        cut = number % 5 == 0
        assert row["text"] == (LEAKY[number].replace(QUESTION, " ") if cut else LEAKY[number])
        assert row["other"] == LEAKY[number]
        assert row["curate_cut_characters"] == (len(QUESTION) if cut else 0)
        assert row["curate_bytes"] == len(LEAKY[number].encode())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "unchanged but for the passages that were cut out of `text`" in card
    assert "is that of the uncut text" in card


def test_passages_are_cut_out_of_columns_of_bytes_and_of_dictionaries_too(tmp_path):
    for name, column in {
        "bytes": pa.array([text.encode() for text in LEAKY], pa.binary()),
        "dictionary": pa.array(LEAKY).dictionary_encode(),
        "view": pa.array(LEAKY, pa.string_view()),
    }.items():
        folder = tmp_path / name
        (folder / "c").mkdir(parents=True)
        pq.write_table(pa.table({"text": column}), folder / "c" / "a.parquet", row_group_size=8)
        run = make_run(folder / "run", [folder / "c"], slice_bytes=900)
        begin = LEAKY[5].index(QUESTION)
        hit = {"file": "a.parquet", "row": 5, "start": begin, "end": begin + len(QUESTION)}
        write_hits(run, [hit], action="cut-span")
        export(str(folder / "out"), str(run.path))
        texts = [row["text"] for row in load(folder / "out")]
        texts = [text.decode() if isinstance(text, bytes) else text for text in texts]
        assert texts == [text.replace(QUESTION, " ") if n == 5 else text for n, text in enumerate(LEAKY)], name


def test_a_document_that_is_cut_is_still_refused_when_it_changed(tmp_path):
    pad = "x" * 9000
    rows = [{"text": text, "pad": pad} for text in LEAKY]
    run = leaky_run(tmp_path, rows)
    rows[20] = {"text": LEAKY[20].replace("began", "BEGAN"), "pad": pad}
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    with pytest.raises(CorpusError, match=r"a\.jsonl, row 20"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_passage_beyond_its_text_is_refused_with_the_place(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    write_hits(run, [{"row": 1, "start": 5, "end": 500}], action="cut-span")
    with pytest.raises(TableError, match=r"a\.jsonl, row 1") as caught:
        export(str(tmp_path / "out"), str(run.path))
    assert "curate decontaminate" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_hit_where_no_document_is_stops_an_export_that_was_filtered(tmp_path):
    run = numbered_run(tmp_path, [{} for _ in range(30)], slice_bytes=300)
    write_hits(run, [{"row": 1}], action="mark")
    choose(str(run.path), max_ppl=50)
    part = parquet.list_parts(run.hits)[-1]
    rows = [{**row, "row": 300} for row in pq.read_table(parquet.list_parts(run.hits)[0]).to_pylist()]
    parquet.write_part(part, pa.Table.from_pylist(rows, schema=schemas.HITS), parquet.read_metadata(part))
    with pytest.raises(TableError, match=r"a hit at a\.jsonl, row 300"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_hit_on_a_blank_line_among_documents_is_refused_too(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0"}, b"", {"text": "document 2"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_hits(run, [{"row": 0}], action="mark")
    choose(str(run.path), max_ppl=500)
    (part,) = parquet.list_parts(run.hits)
    rows = [{**row, "row": 1} for row in pq.read_table(part).to_pylist()]
    parquet.write_part(part, pa.Table.from_pylist(rows, schema=schemas.HITS), parquet.read_metadata(part))
    with pytest.raises(TableError, match=r"a hit at a\.jsonl, row 1, where no document is"):
        export(str(tmp_path / "out"), str(run.path))


def test_only_what_is_to_be_cut_is_cut(tmp_path):
    """A document may be marked beside others that are cut, and one of which too little would be left is dropped."""
    run = numbered_run(tmp_path, [{}, {}, {}, {}])
    write_hits(run, [{"row": 0}, {"row": 1, "action": "mark"}, {"row": 2, "action": "drop"}], action="cut-span")
    export(str(tmp_path / "out"), str(run.path))
    expected = [("  0 word", 8, "gsm8k"), ("document 1 word", 0, "gsm8k"), ("document 3 word", 0, None)]
    added = ("text", "curate_cut_characters", "curate_eval_sets")
    assert [tuple(row[name] for name in added) for row in load(tmp_path / "out")] == expected
    export(str(tmp_path / "left"), str(run.path), rejected=True)
    assert [tuple(row[name] for name in added) for row in load(tmp_path / "left")] == [("document 2 word", 0, "gsm8k")]


def test_a_nested_text_cannot_be_cut_but_one_whose_name_has_a_dot_can(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"inner": {"body": "document 0 word"}}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], text_field="inner.body")
    write_hits(run, [{"row": 0}], action="cut-span")
    with pytest.raises(UsageError, match=r"nested column inner\.body") as caught:
        export(str(tmp_path / "out"), str(run.path))
    assert "--action drop, or --action mark" in caught.value.hint
    write_hits(run, [{"row": 0}], action="mark")
    export(str(tmp_path / "out"), str(run.path))
    write_lines(tmp_path / "d" / "a.jsonl", [{"inner.body": "document 0 word"}])
    run = make_run(tmp_path / "run-2", [tmp_path / "d"], text_field="inner.body")
    write_hits(run, [{"row": 0}], action="cut-span")
    export(str(tmp_path / "out-2"), str(run.path))
    assert load(tmp_path / "out-2")[0]["inner.body"] == "  0 word"


def test_a_conversation_cannot_be_cut(tmp_path):
    turns = [{"role": "user", "content": "document 0"}, {"role": "assistant", "content": "word"}]
    write_lines(tmp_path / "c" / "a.jsonl", [{"messages": turns}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], text_field="@messages")
    write_hits(run, [{"row": 0, "turn": 0, "role": "user"}], action="cut-span")
    with pytest.raises(UsageError, match="a conversation"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_taken_name_takes_the_columns_of_leaks_with_it(tmp_path):
    run = leaky_run(tmp_path, [{"text": text, "curate_cut_characters": "mine"} for text in LEAKY])
    found = export(str(tmp_path / "out"), str(run.path))
    assert found.prefix == "curate2_"
    row = load(tmp_path / "out")[0]
    assert (row["curate_cut_characters"], row["curate2_cut_characters"]) == ("mine", len(QUESTION))


def test_the_same_tables_give_the_same_export(tmp_path):
    run = leaky_run(tmp_path, [{"text": text} for text in LEAKY])
    write_duplicates(run, [{1: "near", 2: "keeper"}])
    taken = []
    for name in ("one", "two"):
        export(str(tmp_path / name), str(run.path), shard_size="2kB")
        taken.append(files_of(tmp_path / name))
    assert taken[0] == taken[1]
