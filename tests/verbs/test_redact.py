"""``--redact``: what is shown has labels for what is planted, and shows all else as it is."""

import html
import json
import re

import pytest
from helpers import models
from helpers.planted_secrets import PLANTED, TEXT, assert_hidden, redacted_text_of, text_of
from helpers.runs import make_run, numbered_run, write_duplicates, write_hits, write_lines

import curate
from curate.errors import UsageError


@pytest.fixture
def run(tmp_path):
    """Twelve documents with personal data, of which one is a leak and two are copies."""
    rows = [{"id": f"d{n}", "text": text_of(n)} for n in range(11)]
    rows.append(
        {"id": "joe@corp.com", "text": "x " * ((1194 - text_of(3).index("DE89")) // 2) + text_of(3) + " y" * 400}
    )
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    made = make_run(tmp_path / "run", [tmp_path / "c"])
    start = text_of(2).index("writes")
    end = text_of(2).index("jane") + 4  # the passage ends within an address
    passage = {"matched_text": text_of(2)[start:end], "before": text_of(2)[:start], "after": text_of(2)[end:]}
    item = {"eval_text": text_of(2)[start : end + 20], "start": start, "end": end}
    write_hits(made, [{"row": 2, "id": "d2", **passage, **item}])
    write_duplicates(made, [{3: "exact", 4: "keeper"}])
    return made


def test_a_page_and_its_numbers_have_no_byte_of_what_is_planted(run):
    curate.report(str(run.path), percentiles="0,20,40,60,80,100", redact="default")
    page, numbers = run.path / "report.html", json.loads((run.path / "report.json").read_bytes())
    assert_hidden(page, run.path / "report.json")
    assert "joe@corp.com" not in page.read_text() and numbers["redaction"] == "default"
    shown = {one["id"]: one["text"] for one in numbers["examples"]}
    assert all(text == redacted_text_of(int(id[1:])) for id, text in shown.items() if id.startswith("d"))
    assert (
        html.escape("--redact <bdi>default</bdi>", quote=False).replace("&lt;", "<").replace("&gt;", ">")
        in page.read_text()
    )


def test_without_it_the_page_is_as_ever(run):
    curate.report(str(run.path), percentiles="0,50,100")
    text = (run.path / "report.html").read_text()
    assert "jane.doe@corp.com" in text and "Redacted" not in text


def test_marks_stand_where_they_stood_and_cover_a_label_that_the_passage_cuts(run):
    curate.report(str(run.path), redact="default", percentiles="")
    page = (run.path / "report.html").read_text()
    marks = re.findall("<mark>(.*?)</mark>", page, re.DOTALL)
    assert marks[1].startswith("writes to [IP]") and marks[1].endswith("[EMAIL]")
    explained = curate.explain("d2", str(run.path), redact="default").render()
    assert "⟦writes to [IP]" in explained and "jane" not in explained and "81.2" not in explained


def test_explain_redacts_the_whole_text_and_cuts_it_then(run):
    found = curate.explain("joe@corp.com", str(run.path), redact="email,ip").documents[0]
    assert found.id == "[EMAIL]" and found.text == "x " * 100 and found.is_cut
    plain = curate.explain("a.jsonl:0", str(run.path), redact="email").documents[0]
    assert plain.text == TEXT.format("[EMAIL]").replace(PLANTED["email"], "[EMAIL]") + " 0" and not plain.is_cut
    with pytest.raises(UsageError) as error:
        curate.explain("joe@corp.con", str(run.path), redact="default")
    assert "joe@corp.com" not in error.value.hint and "[EMAIL]" in error.value.hint


def test_a_secret_across_the_end_of_what_is_shown_is_hidden(run):
    """Of the last document 1,200 characters are shown, which end within its planted number."""
    curate.report(str(run.path), percentiles="0,10,20,30,40,50,60,70,80,90,100", redact="default")
    shown = json.loads((run.path / "report.json").read_bytes())["examples"]
    (long,) = (one for one in shown if one["row"] == 11)
    assert long["text"].endswith("writes to [IBAN]")
    assert_hidden(run.path / "report.json")


def test_show_has_labels_and_the_decision_is_the_same(run):
    plain = curate.filter(str(run.path), max_ppl=50, show=True)
    before = (run.path / "filter.parquet").read_bytes()
    shown = curate.filter(str(run.path), max_ppl=50, show=True, redact="default")
    assert (run.path / "filter.parquet").read_bytes() == before
    before, after = (json.dumps(one.as_dict(), ensure_ascii=False) for one in (plain, shown))
    assert all(planted in before and planted not in after for planted in PLANTED.values()) and "[EMAIL]" in after
    assert not any(planted in shown.render() for planted in PLANTED.values())


def test_shaded_pieces_join_to_the_redacted_text_and_their_nats_to_those_of_the_document(tmp_path):
    write_lines(tmp_path / "c.jsonl", [{"id": f"d{n}", "text": text_of(n)} for n in range(6)])
    run = tmp_path / "run"
    curate.score(str(tmp_path / "c.jsonl"), run=str(run), model=str(models.save(tmp_path / "m", "llama")))
    curate.report(str(run), percentiles="0,50,100", tokens_of=3, redact="default")
    assert_hidden(run / "report.html", run / "report.json")
    page = (run / "report.html").read_text()
    boxes = re.findall('<div class="text" dir="auto">(<span.*?)</div>', page, re.DOTALL)
    shown = [html.unescape(re.sub("<[^>]*>", "", box)) for box in boxes]
    kept = json.loads((run / "report.json").read_bytes())["examples"]
    assert len(shown) == 3
    for text, example in zip(shown, kept, strict=True):
        expected = redacted_text_of(int(example["id"][1:]))
        assert text.replace("\\r", "\r").replace("\r\n", "\n") == expected.replace("\r\n", "\n")
        assert example["again_nats"] == pytest.approx(example["numbers"]["nats"], rel=1e-4)


def test_decontaminate_hides_in_what_it_prints_and_writes_and_searches_the_documents_as_they_are(tmp_path):
    words = [
        f"{a} {b}" for a in ("amber", "brisk", "cobalt", "dusty") for b in ("falcon", "glacier", "harbour", "ivory")
    ]
    question = f"What did the {' '.join(words[:9])} write to jane.doe@corp.com about {' '.join(words[9:])}?"
    write_lines(
        tmp_path / "c.jsonl", [{"text": f"before +49 30 1234567 {question} 81.2.69.142"}, {"text": "nothing " * 9}]
    )
    write_lines(tmp_path / "e.jsonl", [{"id": "q", "question": question, "answer": "of course it was a falcon"}])
    found = curate.decontaminate(str(tmp_path / "e.jsonl"), str(tmp_path / "run"), corpus=str(tmp_path / "c.jsonl"),
                                 redact="default", workers=1)  # fmt: skip
    plain = curate.decontaminate(
        str(tmp_path / "e.jsonl"), str(tmp_path / "run"), report=str(tmp_path / "p.html"), workers=1
    )
    assert found.counts == plain.counts and found.counts["contaminated"] == 1 and found.redaction == "default"
    assert plain.strongest[0]["matched_text"] != found.strongest[0]["matched_text"]
    assert_hidden(tmp_path / "run" / "contamination.html")
    for shown in (found.render(), json.dumps(found.as_dict(), ensure_ascii=False)):
        assert not any(planted in shown for planted in PLANTED.values())
    assert "[EMAIL]" in found.strongest[0]["matched_text"] and "[EMAIL]" in found.strongest[0]["eval_text"]
    assert "jane.doe@corp.com" in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize("verb", ["report", "filter", "export", "explain", "decontaminate", "rank_sft", "select_sft"])
def test_a_value_that_no_verb_knows_is_refused_before_any_work(tmp_path, verb):
    first = {"export": "out", "explain": "d0", "decontaminate": "e.jsonl", "rank_sft": "a.jsonl"}.get(verb)
    with pytest.raises(UsageError, match="--redact takes default, presidio, none, or kinds"):
        getattr(curate, verb)(*([first] if first else []), redact="emails")


def test_a_recipe_redacts_in_all_its_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = numbered_run(tmp_path, [{"perplexity": 10.0 * (n + 1)} for n in range(4)])
    steps = "steps:\n  - filter: {max-ppl: 25}\n  - export: {out: out, format: jsonl}\n  - report\n"
    (tmp_path / "r.yaml").write_text(f"run: {run.path}\nredact: default\n{steps}")
    curate.run("r.yaml")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["redacted"]["redact"] == "default"
    assert json.loads((run.path / "report.json").read_bytes())["redaction"] == "default"
    assert [step.state for step in curate.run("r.yaml").steps] == ["skipped"] * 3
