"""``curate decontaminate`` as a user runs it: a corpus with planted items, its hits, its errors, its resumption."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.corpus import units
from curate.errors import CorpusError, GateError, Interrupted, TableError, UsageError
from curate.rundir import parquet
from curate.rundir.run import open_run
from curate.stages.decontaminate import hits_table, summary

QUESTIONS = [
    "Marguerite bought five boxes of pens at two dollars each; how much did she give the cashier?",
    "Which glacial lake in Patagonia drains westward through the Baker river to the Pacific ocean?",
    "How many herring gulls nested on the slate roofs of the harbour before the council sent its ladders?",
    "Why did the clockmaker of Ghent refuse to repair the astronomical dial in the year of the flood?",
]
FILLER = "The committee met on a Tuesday in the old town hall. Minutes were read and approved. " * 6


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def evals(tmp_path):
    rows = [{"id": f"q{number}", "question": text, "answer": str(number)} for number, text in enumerate(QUESTIONS)]
    return write_lines(tmp_path / "evals" / "quiz.jsonl", [*rows, {"id": "tiny", "question": "Who?", "answer": "x"}])


def documents(count=40):
    """Every tenth has a question in it: documents 0, 10, 20, 30; document 5 is empty."""
    rows = []
    for number in range(count):
        text = f"Document {number}. {FILLER}"
        if number % 10 == 0:
            text += f"\n\n{QUESTIONS[number // 10 % 4]}\n\n{FILLER}"
        rows.append({"id": f"d{number}", "text": "" if number == 5 else text})
    return rows


@pytest.fixture
def corpus(tmp_path):
    return write_lines(tmp_path / "corpus" / "a.jsonl", documents())


def hits_of(run):
    return [row for path in parquet.list_parts(open_run(run).hits) for row in pq.read_table(path).to_pylist()]


def look(evals, corpus, run, **options):
    return curate.decontaminate([evals], corpus=[corpus], run=str(run), canaries=4, workers=1, **options)


def test_planted_items_are_found_with_their_evidence_and_nothing_else(tmp_path, evals, corpus):
    found = look(evals, corpus, tmp_path / "run")
    assert dict(found.counts) | {"bytes": 0} == {
        "read": 40, "scanned": 39, "clean": 35, "review": 0, "variant": 0, "contaminated": 4, "dropped": 4,
        "empty": 1, "unreadable": 0, "bytes": 0,
    }  # fmt: skip
    rows = {row["row"]: row for row in json_rows(corpus)}
    hits = hits_of(tmp_path / "run")
    assert [(hit["row"], hit["eval_id"]) for hit in hits] == [(0, "q0"), (10, "q1"), (20, "q2"), (30, "q3")]
    for hit in hits:
        assert rows[hit["row"]]["text"][hit["start"] : hit["end"]] == hit["matched_text"]
        assert hit["matched_text"] == QUESTIONS[int(hit["eval_id"][1:])].rstrip("?")
        assert (hit["verdict"], hit["action"], hit["rule"]) == ("contaminated", "drop", "exact")
    [report] = found.sets
    assert (report.items, report.unmatchable, report.items_hit, report.documents) == (5, ("tiny",), 4, 4)
    assert found.exit_code == 0


def json_rows(path):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [{**json.loads(line), "row": row} for row, line in enumerate(lines)]


def test_every_run_measures_its_recall_and_keeps_the_plants(tmp_path, evals, corpus):
    found = look(evals, corpus, tmp_path / "run")
    recall = {one.kind: (one.planted, one.found) for one in found.recall}
    assert recall["verbatim"] == recall["case"] == recall["spacing"] == (4, 4)
    planted = [
        json.loads(line) for line in (tmp_path / "run" / "canaries.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(planted) == 20 and {one["kind"] for one in planted} == set(recall)
    record = open_run(tmp_path / "run").stage("decontaminate")
    assert record["complete"] and record["recall"]["verbatim"] == {"planted": 4, "found": 4}


def test_a_missed_verbatim_plant_is_an_error_and_nothing_is_called_clean(tmp_path, evals, corpus, monkeypatch):
    monkeypatch.setattr("curate.stages.decontaminate.detector.Detector.scan", lambda self, texts: [])
    with pytest.raises(GateError, match="verbatim plants were not found") as caught:
        look(evals, corpus, tmp_path / "run")
    assert caught.value.exit_code == 4
    assert (open_run(tmp_path / "run", create=True).stage("decontaminate") or {}).get("complete") is not True


@pytest.mark.parametrize("method", ["ngram", "minhash"])
def test_both_methods_find_the_same(tmp_path, evals, corpus, method):
    assert look(evals, corpus, tmp_path / method, method=method).counts["contaminated"] == 4


def test_fail_on_hit_and_verify_give_an_exit_code(tmp_path, evals, corpus):
    command = ["decontaminate", evals, "--corpus", corpus, "--run", str(tmp_path / "run"), "--workers", "1"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert CliRunner().invoke(app, [*command, "--fail-on-hit"]).exit_code == 4
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    found = CliRunner().invoke(app, [*command[:2], "--run", str(tmp_path / "run"), "--verify", corpus])
    assert found.exit_code == 4
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
    clean = write_lines(tmp_path / "clean.jsonl", [row for row in documents() if int(row["id"][1:]) % 10])
    assert CliRunner().invoke(app, [*command[:2], "--run", str(tmp_path / "run"), "--verify", clean]).exit_code == 0


@pytest.mark.parametrize(("variants", "code", "said"), [("keep", 0, "clean: none"), ("drop", 4, "1 of 2 documents")])
def test_a_variant_fails_the_gate_where_variants_are_dropped(tmp_path, variants, code, said):
    question = "Marguerite bought {} boxes of pens at {} dollars each; how much change did she get from {} dollars?"
    evals = write_lines(tmp_path / "shop.jsonl", [{"question": question.format(5, 2, 20), "answer": "10"}])
    texts = [question.format(7, 3, 40), "Nothing of that kind was ever said in this town."]
    corpus = write_lines(tmp_path / "corpus.jsonl", [{"id": str(at), "text": text} for at, text in enumerate(texts)])
    run = tmp_path / "run"
    found = look(evals, corpus, run, variants=variants, fail_on_hit=True)
    assert found.exit_code == code
    assert ("dropped" if code else "stay") in (run / "contamination.html").read_text().split("is a variant;")[1][:60]
    again = curate.decontaminate(str(evals), run=str(run), verify=str(corpus), variants=variants)
    assert again.exit_code == code and said in " ".join(again.render().split())


@pytest.mark.parametrize("variants", ["keep", "drop"])
def test_an_item_with_other_numbers_is_listed_apart_and_dropped_only_when_asked(tmp_path, variants):
    question = "Marguerite bought {} boxes of pens at {} dollars each; how much change did she get from {} dollars?"
    evals = write_lines(tmp_path / "shop.jsonl", [{"question": question.format(5, 2, 20), "answer": "10"}])
    texts = [question.format(7, 3, 40), question.format(5, 2, 20), "Nothing of that kind was ever said in this town."]
    corpus = write_lines(tmp_path / "corpus.jsonl", [{"id": str(at), "text": text} for at, text in enumerate(texts)])
    run = tmp_path / "run"
    curate.score([str(corpus)], run=str(run), model="none")
    found = look(evals, corpus, run, variants=variants)
    assert (found.counts["variant"], found.counts["contaminated"], found.counts["review"]) == (1, 1, 0)
    assert found.counts["dropped"] == {"keep": 1, "drop": 2}[variants]
    assert [(one.variants, one.documents, one.review) for one in found.sets] == [(1, 1, 0)]
    assert found.languages == {"en": 1}
    [hit] = [hit for hit in hits_of(run) if hit["row"] == 0]
    assert (hit["verdict"], hit["action"]) == ("variant", {"keep": "none", "drop": "drop"}[variants])
    assert "variants" in found.render() and ("dropped" if variants == "drop" else "they stay") in found.render()
    decided = curate.filter(run=str(run), where="true")
    rejected = {"contaminated: shop": 1} | ({"variant: shop": 1} if variants == "drop" else {})
    assert {reason: share.documents for reason, share in decided.rejected.items()} == rejected
    assert "variant" in curate.explain("0", run=str(run)).render()


@pytest.mark.parametrize(("action", "said"), [("cut-span", "passage out of 1; 1 dropped"), ("mark", "marked; 1 stay")])
def test_a_document_with_an_item_and_a_variant_is_counted_as_it_is_exported(tmp_path, action, said):
    """Premise: the first document has an item, and one with other numbers; the second has an item, the third none."""
    other = "Marguerite bought {} boxes of pens at {} dollars each; how much change did she get from {} dollars?"
    asked = [{"question": other.format(5, 2, 20), "answer": "10"}, {"question": QUESTIONS[0], "answer": "18"}]
    evals = write_lines(tmp_path / "shop.jsonl", asked)
    leaking = f"{FILLER}\n\n{QUESTIONS[0]}\n\n{FILLER}"
    texts = [f"{leaking}\n\n{other.format(7, 3, 40)}", leaking, FILLER]
    corpus = write_lines(tmp_path / "corpus.jsonl", [{"id": str(at), "text": text} for at, text in enumerate(texts)])
    run = str(tmp_path / "run")
    curate.score([str(corpus)], run=run, model="none")
    found = look(evals, corpus, run, action=action, variants="drop")
    assert (found.counts["contaminated"], found.counts["variant"], found.counts["dropped"]) == (2, 0, 1)
    assert said in " ".join(found.render().split())
    status = curate.status(run=run).render()
    assert "kept                              2" in status
    assert ("1 passage of 1 document" if action == "cut-span" else "1 document with eval items marked") in status


def test_cut_span_drops_what_would_be_left_with_nothing(tmp_path, evals):
    rows = [{"text": QUESTIONS[0]}, {"text": f"{FILLER}\n\n{QUESTIONS[1]}\n\n{FILLER}"}, {"text": FILLER}]
    corpus = write_lines(tmp_path / "c.jsonl", rows)
    found = look(evals, corpus, tmp_path / "run", action="cut-span")
    assert [hit["action"] for hit in hits_of(tmp_path / "run")] == ["drop", "cut"]
    assert (found.counts["contaminated"], found.counts["dropped"]) == (2, 1)


def test_run_again_replaces_and_the_same_gives_the_same_bytes(tmp_path, evals, corpus):
    look(evals, corpus, tmp_path / "one", action="mark")
    assert {hit["action"] for hit in hits_of(tmp_path / "one")} == {"mark"}
    look(evals, corpus, tmp_path / "one")
    look(evals, corpus, tmp_path / "two")
    assert {hit["action"] for hit in hits_of(tmp_path / "one")} == {"drop"}
    for name in ("hits/00000-000000.parquet", "contamination.html", "run.json", "evals.lock"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_an_interrupted_run_goes_on_and_ends_in_the_same_hits(tmp_path, evals, monkeypatch):
    monkeypatch.setattr(units, "MOST_FILES", 1)  # a part for each file
    for name in "abc":
        write_lines(tmp_path / "corpus" / f"{name}.jsonl", documents())
    corpus = str(tmp_path / "corpus")
    look(evals, corpus, tmp_path / "whole")
    write, written = hits_table.write_hits, []

    def stop(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    monkeypatch.setattr(hits_table, "write_hits", stop)
    with pytest.raises(Interrupted, match="stopped after 80 documents"):
        look(evals, corpus, tmp_path / "run")
    monkeypatch.setattr(hits_table, "write_hits", write)
    look(evals, corpus, tmp_path / "run")
    assert hits_of(tmp_path / "run") == hits_of(tmp_path / "whole")


def test_bad_rows_are_counted_and_end_nothing(tmp_path, evals, corpus):
    with open(corpus, "a", encoding="utf-8") as handle:
        handle.write('{"id": "bad"\n{"id": "none"}\n{"id": "d0", "text": "clashing id"}\n')
    found = look(evals, corpus, tmp_path / "run")
    assert (found.counts["unreadable"], found.counts["read"], found.exit_code) == (2, 43, 3)
    with pytest.raises(CorpusError):
        look(evals, corpus, tmp_path / "other", on_error="stop")


def test_conversations_are_looked_through_turn_by_turn(tmp_path, evals):
    def talk(user, assistant):
        return {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]}

    rows = [talk(QUESTIONS[0], "Fifty."), talk("Tell me of gulls.", QUESTIONS[2]), talk("Good day", FILLER)]
    corpus = write_lines(tmp_path / "sft.jsonl", rows)
    for turns, expected in (("all", [(0, 0, "user"), (1, 1, "assistant")]), ("user", [(0, 0, "user")])):
        found = look(evals, corpus, tmp_path / turns, turns=turns)
        assert [(hit["row"], hit["turn"], hit["role"]) for hit in hits_of(tmp_path / turns)] == expected
        assert found.turns == turns
    with pytest.raises(UsageError, match="cut-span"):
        look(evals, corpus, tmp_path / "cut", action="cut-span")


def test_errors_name_what_is_wrong_and_what_mends_it(tmp_path, evals, corpus):
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="eval set and in the corpus"):
        look(evals, evals, run, text_field="question")
    with pytest.raises(TableError, match="has no corpus"):
        curate.decontaminate([evals], run=str(tmp_path / "new"))
    with pytest.raises(CorpusError) as caught:
        look(evals, corpus, tmp_path / "r2", eval_fields="question=probleem")
    assert "question" in f"{caught.value.message} {caught.value.hint}"
    empty = write_lines(tmp_path / "empty.jsonl", [])
    with pytest.raises(CorpusError):
        look(empty, corpus, tmp_path / "r3")
    short = write_lines(tmp_path / "short.jsonl", [{"question": "Who?"}, {"question": "Why not?"}])
    with pytest.raises(GateError, match="too short or too common"):
        look(short, corpus, tmp_path / "r4")
    blank = write_lines(tmp_path / "blank.jsonl", [{"text": " "}, {"text": ""}])
    with pytest.raises(GateError, match="proves nothing"):
        look(evals, blank, tmp_path / "r5")
    with pytest.raises(UsageError, match="--canaries 0"):
        curate.decontaminate([evals], corpus=[corpus], run=str(run), canaries=0)


def test_a_run_speaks_of_one_corpus(tmp_path, evals, corpus):
    look(evals, corpus, tmp_path / "run")
    other = write_lines(tmp_path / "other.jsonl", documents(3))
    with pytest.raises(UsageError, match="another"):
        look(evals, other, tmp_path / "run")
    again = {"run": str(tmp_path / "run"), "canaries": 4, "workers": 1}
    assert curate.decontaminate([evals], **again).counts["read"] == 40
    with pytest.raises(UsageError, match="--text-field id"):
        curate.decontaminate([evals], text_field="id", **again)


def test_the_lock_tells_when_an_eval_set_has_changed(tmp_path, evals, corpus):
    first = look(evals, corpus, tmp_path / "run")
    assert first.notes == () and (tmp_path / "run" / "evals.lock").exists()
    shutil.copy(tmp_path / "run" / "evals.lock", tmp_path / "kept.lock")
    with open(evals, "a", encoding="utf-8") as handle:
        handle.write(
            json.dumps({"id": "q9", "question": "Who painted the ceiling of the observatory in Greenwich?"}) + "\n"
        )
    changed = look(evals, corpus, tmp_path / "run", lock=str(tmp_path / "kept.lock"))
    assert len(changed.notes) == 1 and "quiz" in changed.notes[0]


def test_json_output_has_the_whole_report(tmp_path, evals, corpus):
    command = ["decontaminate", evals, "--corpus", corpus, "--run", str(tmp_path / "run"), "--json"]
    found = json.loads(CliRunner().invoke(app, command).stdout)
    assert found["counts"]["contaminated"] == 4 and found["recall"]["verbatim"]["recall"] == 1.0
    assert [one["name"] for one in found["sets"]] == ["quiz"] and len(found["strongest"]) == 3
    assert summary.BLIND


def test_a_contaminated_copy_never_stays_in_the_place_of_a_clean_one(tmp_path, evals):
    """The leak makes the copy the longer one; were it the keeper, both would be lost."""
    clean = " ".join(f"word{number} of a text" for number in range(150))
    rows = [{"text": f"{clean}\n\n{QUESTIONS[0]}"}, {"text": clean}, {"text": FILLER}]
    corpus = write_lines(tmp_path / "c.jsonl", rows)
    run = str(tmp_path / "run")
    curate.score([corpus], model="none", run=run)
    assert curate.dedup(run=run, workers=1).near == 1
    assert keepers_of(run) == [0]
    curate.decontaminate([evals], run=run, canaries=4, workers=1)
    with pytest.raises(TableError, match="decontaminate has run since"):
        curate.export(str(tmp_path / "out"), run=run)
    curate.dedup(run=run, workers=1)
    assert keepers_of(run) == [1]
    assert curate.export(str(tmp_path / "out"), run=run).documents == 2


def keepers_of(run):
    return [row["row"] for row in pq.read_table(open_run(run).duplicates).to_pylist() if row["keeper"]]


def test_an_item_in_very_many_documents_is_pointed_out(tmp_path, evals):
    """A licence header that an eval set quotes, or a leak at large: a person should look, nothing is muted."""
    rows = [{"text": f"{QUESTIONS[0]}\n\n{number} {FILLER}"} for number in range(25)] + [{"text": FILLER}] * 25
    found = look(evals, write_lines(tmp_path / "c.jsonl", rows), tmp_path / "run")
    assert found.counts["contaminated"] == 25
    assert any("quiz q0 is in 25 documents (50.0%)" in note for note in found.notes)


@pytest.mark.parametrize("place", ["evalsets.write_lock", "hits_table.select_extremes", "report.write_page"])
def test_hits_are_finished_when_all_of_the_verb_is_and_the_rest_is_made_by_the_same_command(
    tmp_path, evals, corpus, monkeypatch, place
):
    look(evals, corpus, tmp_path / "whole")
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(f"curate.stages.decontaminate.{place}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            look(evals, corpus, run)
    assert open_run(run).stage("decontaminate")["complete"] is False
    look(evals, corpus, run)
    names = ("run.json", "contamination.html", "evals.lock", "canaries.jsonl", "manifests/hits.json")
    assert [name for name in names if (run / name).read_bytes() != (tmp_path / "whole" / name).read_bytes()] == []


def interrupt(*_args, **_options):
    raise KeyboardInterrupt
