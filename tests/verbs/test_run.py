"""``curate run``: refused before any work, stopped and gone on, shown, and scored again where the corpus changed."""

import functools
import json
import re

import pytest
from helpers.recipes import FOUR, states, written
from helpers.runs import numbered, write_lines
from typer.testing import CliRunner

import curate
from curate.errors import TableError, UsageError
from curate.rundir.run import Path, open_run
from curate.runtime.options import signature_of

# Running.


def test_an_export_of_somebody_else_is_refused_before_any_work(made):
    curate.filter(run="run", max_ppl=60)
    curate.export("out", run="run")
    with pytest.raises(UsageError, match="line 5: export: out holds an earlier export"):
        curate.run("r.yaml")
    assert not (made / "run" / "recipe.yaml").exists() and not (made / "run" / "duplicates.parquet").exists()


def test_what_a_verb_refuses_in_its_options_is_refused_before_any_work(made):
    written(made, "run: run\nsteps:\n- dedup: {threshold: 2}\n- filter: {keep: '60:10'}\n")
    with pytest.raises(UsageError, match="2 mistakes") as caught:
        curate.run("r.yaml")
    assert "line 3" in caught.value.message and "line 4" in caught.value.message
    assert not (made / "run" / "duplicates.parquet").exists()


def test_a_recipe_without_scores_says_so_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="line 1: filter reads scores, but curated has none"):
        curate.run(written(tmp_path, "- filter: {max-ppl: 50}"))
    assert not (tmp_path / "curated").exists()


def test_a_step_that_fails_names_itself_and_what_is_done_and_the_same_command_goes_on(made):
    written(made, "run: run\nsteps:\n- dedup\n- filter: {where: 'nonsense > 1'}\n- export: out\n")
    with pytest.raises(UsageError) as caught:
        curate.run("r.yaml")
    assert "r.yaml, line 4: step 2 of 3, filter: " in caught.value.message and "dedup is done" in caught.value.hint
    assert states(curate.run("r.yaml", set=["filter.where=tokens > 1"])) == ["skipped", "done", "done"]


def test_a_run_that_is_stopped_says_where_and_goes_on(made, monkeypatch):
    from curate.errors import Interrupted
    from curate.verbs import filter as verbs_filter

    @functools.wraps(verbs_filter.filter)
    def stop(**options):
        if options["run"] == "run":
            raise KeyboardInterrupt
        raise TableError("no run")

    with monkeypatch.context() as patched:
        patched.setattr(verbs_filter, "filter", stop)
        with pytest.raises(Interrupted, match="step 2 of 4, filter"):
            curate.run("r.yaml")
    assert states(curate.run("r.yaml")) == ["skipped", "done", "done", "done"]


def test_a_gate_that_is_not_met_ends_the_run_with_its_exit_code(made):
    from curate.cli import app

    write_lines(made / "evals" / "e.jsonl", [{"question": "which of the seven quick brown foxes jumped over the dog"}])
    rows = [{"id": "d0", "text": "so which of the seven quick brown foxes jumped over the dog then"}] * 2
    write_lines(made / "other" / "a.jsonl", rows)
    written(made, "run: leaky\nsteps:\n- decontaminate: {evals: evals, corpus: other, fail-on-hit: true}\n- dedup\n")
    for _ in range(2):
        found = CliRunner().invoke(app, ["run", "r.yaml"])
        assert found.exit_code == 4 and "step 1 of 2, decontaminate: a gate is not met" in found.stderr
    assert not (made / "leaky" / "duplicates.parquet").exists()


def test_the_command_line_prints_commands_the_funnel_or_one_object(made):
    from curate.cli import app

    dry = CliRunner().invoke(app, ["run", "r.yaml", "--dry-run"])
    assert dry.stdout.splitlines() == [
        "curate dedup --run run",
        "curate filter --max-ppl 50 --run run",
        "curate export out --run run",
        "curate status --run run",
    ]
    assert not (made / "run" / "recipe.yaml").exists()
    done = CliRunner().invoke(app, ["run", "r.yaml", "--run", "run", "--json"])
    found = json.loads(done.stdout)
    assert [step["state"] for step in found["steps"]] == ["done"] * 4 and found["funnel"]["kept"] == 5
    assert found["steps"][1]["result"]["kept"]["documents"] == 5
    assert "[2/4] filter --max-ppl 50 --run run" in done.stderr and "next:" not in done.stderr
    again = CliRunner().invoke(app, ["run", "r.yaml"])
    assert re.search(r"\[2/4\] filter +unchanged, skipped", again.stderr) and again.stdout.startswith("read ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- export: out\n- verify: outt", "line 2: verify: there is no export outt, and no step writes it"),
        ("- dedup: {against: corpsu}", 'line 1: dedup: against: there is no corpsu; did you mean "corpus"?'),
        ("- bucket: {cutoffs: c.json}", "line 1: bucket: cutoffs: there is no c.json"),
        ("- decontaminate: gsm9k", "line 1: decontaminate: gsm9k is not a file"),
        ("- filter: {max-ppl: [20, 30]}", "line 1: filter: --max-ppl 20,30: a decision has one bound"),
        ("- export: out\n- verify: {out: out, batch-size: 0}", "line 2: verify: --batch-size must be at least 1"),
    ],
)
def test_what_is_not_there_or_means_nothing_is_told_before_any_work(made, text, said):
    written(made, text)
    with pytest.raises(UsageError, match=re.escape(said)):
        curate.run("r.yaml", run="run")
    assert not (made / "run" / "recipe.yaml").exists()


def test_a_sweep_in_a_recipe_shows_each_of_its_bounds_and_writes_nothing(made):
    written(made, "- filter: {max-ppl: '20,50', dry-run: true}")
    found = curate.run("r.yaml", run="run")
    assert [one["kept"]["documents"] for one in found.steps[0].result["sweep"]] == [2, 5]
    assert not (made / "run" / "filter.parquet").exists()


def test_what_another_recipe_left_in_the_run_is_named(made, capsys):
    from curate.runtime import console

    curate.run("r.yaml")
    written(made, "- order\n- export: {out: other, no-buckets: true}")
    console.enable()
    try:
        curate.run("r.yaml", run="run", dry_run=True)
    finally:
        console.enable(False)
    assert "none of them makes: dedup, filter\n" in capsys.readouterr().err


# Scoring again.


@pytest.fixture
def scoring(made, monkeypatch):
    """A recipe that scores, with made-up numbers in the place of a model."""
    from helpers.runs import make_run

    from curate.verbs import score as verbs_score

    real = verbs_score.score
    calls = []

    def score(corpus, run, restart, limit, **options):
        from curate.corpus import open_corpus

        open_corpus(corpus, limit=limit)  # the checks before a recipe end here: they give an empty folder
        place = open_run(run, create=True)
        before = place.stage("score")
        calls.append(restart)

        if (
            before
            and not restart
            and before["made_from"]["corpus"] != open_corpus(corpus, slice_bytes=4_000_000, limit=limit).fingerprint()
        ):
            raise TableError("made otherwise", "start over (--restart)")
        make_run(place.path, [Path(one) for one in corpus], numbered([*FOUR, *FOUR]), limit=limit)
        return curate.status(run)

    score.__signature__ = signature_of(real)
    score.__annotations__ = real.__annotations__
    monkeypatch.setattr(verbs_score, "score", score)
    written(made, "run: fresh\nsteps:\n- score: corpus\n- dedup\n- filter: {max-ppl: 50}\n")
    return calls


def test_a_corpus_that_changed_is_scored_again_and_all_that_follows_is_made_again(made, scoring):
    assert states(curate.run("r.yaml")) == ["done"] * 3 and states(curate.run("r.yaml")) == ["skipped"] * 3
    write_lines(made / "corpus" / "a.jsonl", ({"id": f"d{n}", "text": f"document {n} word"} for n in range(9)))
    assert states(curate.run("r.yaml")) == ["done"] * 3
    assert scoring == [False, True] and curate.status("fresh").read == 9
    assert states(curate.run("r.yaml")) == ["skipped"] * 3


def test_a_corpus_that_grew_is_scored_where_it_is_new(made, capsys):
    from curate.runtime import console

    written(made, "run: fresh\nsteps:\n- score: {corpus: corpus, model: none}\n- dedup\n")
    assert states(curate.run("r.yaml")) == ["done"] * 2 and states(curate.run("r.yaml")) == ["skipped"] * 2
    write_lines(made / "corpus" / "b.jsonl", [{"id": "new", "text": "a new document"}])
    console.enable()
    assert states(curate.run("r.yaml")) == ["done"] * 2
    assert "kept 1 file, 8 documents; 1 new" in capsys.readouterr().err
    assert curate.status("fresh").read == 9 and states(curate.run("r.yaml")) == ["skipped"] * 2


def test_scores_made_otherwise_are_thrown_away_only_when_asked_to(made, scoring):
    curate.run("r.yaml")
    with pytest.raises(TableError, match="step 1 of 3, score") as caught:
        curate.run("r.yaml", set=["score.limit=4"])
    assert "--restart" in caught.value.hint and curate.status("fresh").read == 8
    assert states(curate.run("r.yaml", set=["score.limit=4"], restart=True)) == ["done"] * 3
    assert curate.status("fresh").read == 4
