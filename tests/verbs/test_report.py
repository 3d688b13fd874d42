"""``curate report``: the page holds what the run has, and nothing of a run makes it fail."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import models
from helpers.reports import NUMBERS, digest_of, domains_of
from helpers.runs import make_run, numbered_run, write_lines
from helpers.texts import TEXTS

from curate.errors import DamageError, TableError, UsageError
from curate.rundir.run import open_run
from curate.verbs.filter import filter as choose
from curate.verbs.report import report


def test_the_same_run_gives_the_same_bytes(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    assert digest_of(run) == digest_of(run)


def test_a_domain_that_no_document_has_is_an_error_with_the_columns(tmp_path):
    with pytest.raises(UsageError) as error:
        report(str(domains_of(tmp_path).path), domain="domian")
    assert "domain" in (error.value.hint or "")


def test_examples_are_the_documents_at_the_percentiles_with_decision_and_text(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50)
    _, found = digest_of(run, percentiles="100, 0,50")
    shown = [(one["percentile"], one["id"], one["kept"], one["reason"], one["text"]) for one in found["examples"]]
    assert shown == [
        (0.0, "d0", True, None, "document 0 word"),
        (50.0, "d20", True, None, "document 20 word"),
        (100.0, "d39", False, "perplexity > 50", "document 39 word"),
    ]


@pytest.mark.parametrize("wrong", ["a", "101", "-1", ",".join(map(str, range(60)))])
def test_what_is_no_percentile_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError):
        report(str(numbered_run(tmp_path, NUMBERS).path), percentiles=wrong)


def test_a_stale_filter_is_named_and_not_counted(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50)
    run = open_run(run.path)
    run.save("filter", {**run.stage("filter"), "made_from": "other"})
    page, found = digest_of(run)
    assert found["funnel"]["kept"] == 40 and not found["funnel"]["filtered"]
    assert "Stale, not counted" in page and found["distributions"]["perplexity"]["thresholds"] == []


def test_without_scores_the_error_names_the_command(tmp_path):
    with pytest.raises(TableError) as error:
        report(str(tmp_path))
    assert "curate score" in (error.value.hint or "")


@pytest.mark.parametrize("values", [[], [{}], [{"perplexity": None, "tokens": None, "zlib_ratio": None}] * 3])
def test_runs_of_nothing_of_one_document_and_of_nulls_have_a_page(tmp_path, values):
    page, found = digest_of(numbered_run(tmp_path, values))
    assert found["funnel"]["read"] == len(values) and "</html>" in page


def test_a_run_of_unscored_documents_has_a_page(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": ""}, b"{broken"])
    page, found = digest_of(make_run(tmp_path / "run", [tmp_path / "c"]))
    assert found["distributions"] == {} and "nothing to draw" in page


def test_a_run_without_a_model_shows_lengths_and_repetition(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": None, "tokens": None}] * 5)
    record = run.stage("score")
    record["made_from"]["model"]["model"] = "none"
    run.save("score", record)
    page, found = digest_of(run)
    assert set(found["distributions"]) == {"bytes", "zlib_ratio"} and found["densities"][0]["x"] == "bytes"
    assert "scored without a model" in page
    with pytest.raises(UsageError):
        report(str(run.path), tokens_of=1)


def test_when_the_corpus_is_gone_the_examples_say_so_and_the_rest_stands(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"id": "d0", "text": "another"}])
    page, found = digest_of(run)
    assert all(one["text"] is None and "changed" in one["missing"] for one in found["examples"])
    assert "The text is not shown" in page and sum(found["distributions"]["perplexity"]["kept"]) == 40
    (tmp_path / "corpus" / "a.jsonl").unlink()
    _, found = digest_of(run)
    assert all(one["missing"] for one in found["examples"]) and found["funnel"]["stale"]


def test_the_page_may_go_elsewhere_but_not_over_a_folder(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    found = report(str(run.path), out=str(tmp_path / "x" / "page.html"))
    assert found.page.endswith("page.html") and (tmp_path / "x" / "page.json").exists()
    for wrong in (tmp_path, tmp_path / "page.json"):
        with pytest.raises(UsageError):
            report(str(run.path), out=str(wrong))


def test_a_page_stays_small_however_many_documents_there_are(tmp_path):
    """4,000 documents of 30 domains: the number of elements follows bins and domains."""
    rows = [{"id": f"d{n}", "text": f"document {n}", "domain": f"k{n % 30}"} for n in range(4000)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    page, found = digest_of(run, domain="domain")
    assert len(page) < 1_000_000 and page.count("<path") < 1_000
    assert sum(found["distributions"]["perplexity"]["kept"]) == 4000


@pytest.mark.parametrize("more", [-1, 1])
def test_a_decision_table_of_other_rows_is_refused(tmp_path, more):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50)
    table = pq.read_table(run.filter)
    rows = pa.concat_tables([table, table])[: 40 + more]
    pq.write_table(rows.replace_schema_metadata(table.schema.metadata), run.filter)
    with pytest.raises(DamageError, match=r"filter\.parquet is altered"):
        report(str(run.path))


def test_shown_texts_are_shaded_by_the_runs_own_model_and_their_sums_agree(tmp_path):
    from curate.verbs.score import score

    place = models.save(tmp_path / "m", "llama")
    write_lines(tmp_path / "c" / "a.jsonl", [{"id": f"d{n}", "text": text} for n, text in enumerate(TEXTS)])
    score([str(tmp_path / "c")], model=str(place), run=str(tmp_path / "run"), exact=True, device="cpu")
    page, found = digest_of(open_run(tmp_path / "run"), tokens_of=2, percentiles="0,50,100")
    read = [one for one in found["examples"] if one["again_nats"] is not None]
    assert len(read) == 2 and all(one["note"] is None and one["surprising"] for one in read)
    assert all(one["again_nats"] == pytest.approx(one["numbers"]["nats"], rel=1e-4) for one in read)
    assert 'title="' in page and " nats" in page
