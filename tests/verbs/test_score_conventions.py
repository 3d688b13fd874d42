"""``curate score --convention``: the numbers and the words of a whole run, beside the tools."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import convention_tools as tools

import curate
from curate.errors import TableError, UsageError

COUNTS = (1, 2, 7, 30, 45)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tools.save_kind(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def texts(llama):
    return tools.make_texts(llama, COUNTS)


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def run_score(corpus, run, model, convention, args="", **options):
    options = {"run": str(run), "model": str(model), "exact": True, "signals": "none", **options}
    summary = curate.score(corpus, convention=convention, convention_args=args, **options)
    (part,) = (run / "scores").glob("*.parquet")
    return summary, pq.read_table(part)


def test_evaluate_pads_a_corpus_to_its_longest_text(tmp_path, llama, texts):
    summary, table = run_score(write(tmp_path / "c.jsonl", texts), tmp_path / "run", llama, "evaluate")
    expected = tools.pad_as_evaluate(llama, texts)
    tools.assert_close(table["perplexity"].to_numpy(), expected)
    tools.assert_close(summary.mean_perplexity, expected.mean())
    screen = summary.render()
    assert "evaluate: the mean of documents is its mean_perplexity" in screen
    assert "padded on the left to 45 tokens" in screen


def test_a_longer_text_changes_the_padding_and_the_run_refuses_to_mix(tmp_path, llama, texts):
    path = tmp_path / "c.jsonl"
    run_score(write(path, texts[:4]), tmp_path / "run", llama, "evaluate")
    with path.open("a") as handle:
        handle.write(json.dumps({"text": texts[4]}) + "\n")
    with pytest.raises(TableError, match="padded_to: 30, now 45"):
        run_score(str(path), tmp_path / "run", llama, "evaluate")


def test_texts_that_are_typed_are_padded_among_themselves(llama, texts):
    found = curate.score(model=str(llama), text=texts, exact=True, convention="evaluate")
    tools.assert_close([one.perplexity for one in found.texts], tools.pad_as_evaluate(llama, texts))


@pytest.mark.parametrize(
    ("args", "options", "says"),
    [("", {}, "scored (1 token in front)"), ("add_bos_token=False", {"add_bos_token": False}, "")],
)
def test_lm_eval_has_its_corpus_figure(tmp_path, llama, texts, args, options, says):
    summary, table = run_score(write(tmp_path / "c.jsonl", texts), tmp_path / "run", llama, "lm-eval", args)
    nats = tools.roll(llama, texts, **options)
    tools.assert_close(table["nats"].to_numpy(), nats)
    num_bytes = sum(len(text.encode()) for text in texts)
    tools.assert_close(summary.bits_per_byte, nats.sum() / num_bytes / np.log(2))
    assert f"its byte_perplexity is {np.exp(nats.sum() / num_bytes):.6g}" in summary.render()
    assert ("add_bos_token=False leaves it out" in summary.render()) == bool(says) and says in summary.render()


def test_the_guide_has_its_figure_and_says_what_it_does_not_read(tmp_path, llama):
    texts = tools.make_texts(llama, (40, 100, 512, 600))
    summary, _ = run_score(write(tmp_path / "c.jsonl", texts), tmp_path / "run", llama, "hf-guide")
    model = tools.open_model(llama)
    loops = [
        tools.stride_as_the_guide(model, tools.list_ids(llama, text), 64) for text in (texts[0], texts[1], texts[3])
    ]
    alone = [tools.stride_as_the_guide(model, tools.list_ids(llama, texts[2])[:512], 64)]  # its 513th token gives nan
    nats, tokens = np.sum([*loops, *alone], axis=0)
    tools.assert_close(summary.perplexity, np.exp(nats / tokens))
    screen = summary.render()
    assert "begin every 512: 23% of the tokens are scored" in screen and "stride=63 scores all" in screen
    assert "1 document with a last window of one token, for which the guide prints nan" in screen


def test_settings_are_a_part_of_what_was_asked_for(tmp_path, llama, texts):
    corpus, run = write(tmp_path / "c.jsonl", texts), tmp_path / "run"
    run_score(corpus, run, llama, "lm-eval", "add_bos_token=False")
    run_score(corpus, run, llama, "lm-eval", "add_bos_token=false")
    with pytest.raises(TableError, match=r"without --convention-args: .* with --convention-args add_bos_token=False"):
        run_score(corpus, run, llama, "lm-eval")
    with pytest.raises(TableError, match="--convention-args prefix_token_id=3: these scores were made with --conv"):
        run_score(corpus, run, llama, "lm-eval", "prefix_token_id=3")
    with pytest.raises(UsageError, match="must be of add_start_token, not add_bos_token"):
        run_score(corpus, tmp_path / "other", llama, "evaluate", "add_bos_token=False")


def test_scores_of_a_version_that_left_the_second_bos_out_are_not_gone_on_with(tmp_path, llama, texts):
    corpus, run = tmp_path / "c.jsonl", tmp_path / "run"
    run_score(write(corpus, texts[:3]), run, llama, "lm-eval")
    record = json.loads((run / "run.json").read_text())
    identity = record["score"]["made_from"]["model"]
    for name in ("frame", "stride", "convention_args"):
        del identity[name]
    (run / "run.json").write_text(json.dumps(record))
    write(corpus, texts)
    with pytest.raises(TableError, match="frame: none, now "):
        run_score(str(corpus), run, llama, "lm-eval")


def test_explain_reads_a_document_as_it_was_scored(tmp_path, llama, texts):
    for convention in ("lm-eval", "evaluate", "hf-guide"):
        run = tmp_path / convention
        _, table = run_score(write(tmp_path / "c.jsonl", texts[2:]), run, llama, convention)
        from curate.reference.token_surprisal import measure_surprisal, reload_reference
        from curate.rundir.run import open_run

        identity = open_run(str(run)).stage("score")["made_from"]["model"]
        surprisals = measure_surprisal(reload_reference(identity), texts[2:])
        nats = [each.nats.sum() for each in surprisals]
        if convention == "lm-eval":  # its sum has the second BOS too
            assert (table["nats"].to_numpy() > nats).all()
        else:
            tools.assert_close(nats, table["nats"].to_numpy())


def test_a_corpus_of_another_language_is_said_to_be(tmp_path):
    greek = "Η επιτροπή συνεδρίασε δύο φορές την άνοιξη, και η δεύτερη συνεδρίαση ήταν πολύ μεγαλύτερη. "
    corpus = write(tmp_path / "c.jsonl", [greek * 3] * 2)
    options = {"run": str(tmp_path / "run"), "truncate": 40}
    for _ in range(2):  # also where everything is scored already
        summary = curate.score(corpus, **options)
        assert "language    2 of 2 documents looked at are not in en" in summary.render()
        assert summary.as_dict()["notes"]
