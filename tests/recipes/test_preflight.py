"""What is wrong with a recipe beyond its form is found before it runs: inputs, outputs, and options of the verbs."""

import pytest
from helpers.recipes import VERBS, read

import curate
from curate.recipes.preflight import CHECKED_BY_VERB, find_preflight_problems, warn_of_earlier_tables
from curate.recipes.step_records import StepRecords
from curate.rundir.run import open_run
from curate.verbs.run import load_functions


def problems_of(folder, text, run="run"):
    """The lines and the texts of what is wrong with a recipe over a run."""
    opened = open_run(run, create=True)
    return list(find_preflight_problems(read(folder, text), opened, StepRecords(opened.path), load_functions()))


def test_a_recipe_that_can_work_has_no_problem_and_nothing_is_written(made):
    before = sorted(made.rglob("*"))
    steps = (
        "- dedup\n- filter: {max-ppl: 50}\n- bucket: {quantiles: 2}\n- order\n- export: out\n- verify: out\n- report\n"
    )
    assert problems_of(made, steps) == []
    assert sorted(made.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- dedup: {threshold: 2}", "dedup: --threshold must be"),
        ("- filter: {keep: '60:10'}", "filter: --keep"),
        ("- bucket: {quantiles: 0}", "bucket: --quantiles"),
        ("- order: {jitter: 0}", "order: --jitter"),
        ("- verify: {out: corpus, batch-size: 0}", "verify: --batch-size"),
        ("- decontaminate: {evals: gsm8k, canaries: 0}", "decontaminate: --canaries"),
        ("- export: {out: out, shard-size: nonsense}", "export: "),
        ("- score: {corpus: corpus, limit: -3}", "score: --limit must be at least 1"),
        ("- score: {corpus: corpus, signals: zip}", "score: --signals must be one or more of"),
        ("- filter", "filter: no criterion is given (- filter: {max-ppl: 50})"),
        ("- filter: {by: bpb}", "filter: --by bpb"),
    ],
)
def test_options_that_a_verb_refuses_are_found(made, text, said):
    [(where, what)] = problems_of(made, text)
    assert where == "line 1" and what.startswith(said), what


def test_the_verbs_are_asked_about_an_empty_run_and_not_about_the_run_of_the_recipe(made):
    """A step that only the finished run could refuse is not refused before: nothing of the run is read."""
    assert problems_of(made, "- filter: {where: 'nonsense > 1'}") == []
    assert problems_of(made, "- filter: {dry-run: true}") == []
    assert problems_of(made, "- score: {corpus: corpus, model: gone}") == []
    assert set(CHECKED_BY_VERB) <= set(VERBS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- dedup: {against: corpsu}", 'dedup: against: there is no corpsu; did you mean "corpus"?'),
        ("- dedup: {corpus: [corpus, gone]}", "dedup: corpus: there is no gone, seen from the working directory"),
        ("- bucket: {cutoffs: c.json}", "bucket: cutoffs: there is no c.json, seen from the working directory"),
        ("- decontaminate: gsm9k", "decontaminate: gsm9k is not a file"),
        ("- verify: outt", "verify: there is no export outt, and no step writes it (put - export: outt above it)"),
        (
            "- decontaminate: {evals: gsm8k, verify: gone}",
            "decontaminate: there is no export gone, and no step writes it (put - export: gone above it)",
        ),
    ],
)
def test_an_input_that_neither_exists_nor_will_be_written_is_found(made, text, said):
    [(where, what)] = problems_of(made, text)
    assert where == "line 1" and what.startswith(said), what


def test_an_input_that_a_step_writes_is_no_problem(made):
    assert problems_of(made, "- export: out\n- verify: out/\n- decontaminate: {evals: gsm8k, verify: out}\n") == []
    assert problems_of(made, "- export: out\n- train-reference: {corpus: ./out, out: model}\n") == []


def test_verifying_another_export_names_those_of_the_recipe(made):
    problems = problems_of(made, "- export: out\n- export: out2\n- verify: outt\n")
    assert problems == [
        ("line 3", "verify: there is no export outt, and no step writes it (the recipe exports to out, out2)")
    ]


def test_names_of_the_hub_and_addresses_are_taken_to_be_there(made):
    assert problems_of(made, "- dedup: {against: ['owner/name:train', 'https://example.org/a.jsonl']}") == []


def test_an_output_that_somebody_else_wrote_is_refused_unless_it_may_be_overwritten(made):
    (made / "out").mkdir()
    (made / "out" / "mine.txt").write_text("mine")
    for option in ("", ", overwrite: true"):
        [(where, what)] = problems_of(made, f"- export: {{out: out{option}}}")
        assert where == "line 1" and what.startswith("export: out ")
    curate.filter(run="run", max_ppl=50)
    curate.export("earlier", run="run")
    [(_, what)] = problems_of(made, "- export: earlier")
    assert what.startswith("export: earlier ")
    assert problems_of(made, "- export: {out: earlier, overwrite: true}") == []


def test_an_output_that_the_same_step_wrote_is_no_problem_until_it_is_touched(made):
    curate.run("r.yaml")
    assert problems_of(made, "- export: out") == []
    (made / "out" / "manifest.json").unlink()
    [(_, what)] = problems_of(made, "- export: out")
    assert what.startswith("export: out ")


def test_a_step_that_reads_scores_needs_a_run_with_scores_or_a_step_that_scores(made):
    said = "reads scores, but empty has none; begin with - score: CORPUS"
    assert problems_of(made, "- filter: {max-ppl: 50}\n- export: out\n", "empty") == [
        ("line 1", f"filter {said}"),
        ("line 2", f"export {said}"),
    ]
    assert problems_of(made, "- score: corpus\n- filter: {max-ppl: 50}\n", "empty") == []
    assert problems_of(made, "- dedup: {corpus: corpus}", "empty") == []
    assert problems_of(made, "- dedup: {corpus: corpus, keep: lowest-ppl}", "empty") == [("line 1", f"dedup {said}")]


def test_a_probe_has_no_step_that_reads_it(made):
    [(where, what)] = problems_of(made, "- filter: {max-ppl: 50, probe: probes}")
    assert (
        where == "line 1" and what == "filter: probe writes nothing that a later step reads; run it outside the recipe"
    )


def test_every_problem_of_every_step_is_found_in_the_order_of_the_recipe(made):
    found = problems_of(made, "- dedup: {threshold: 2, against: gone}\n- bucket: {cutoffs: gone.json}\n")
    assert [where for where, _ in found] == ["line 1", "line 1", "line 2"]


def test_tables_that_no_step_of_the_recipe_makes_are_named(made, monkeypatch):
    from curate.runtime import console

    said = []
    monkeypatch.setattr(console, "warn", said.append)
    warn_of_earlier_tables(read(made, "- export: out"), open_run("run"))
    assert said == []
    curate.dedup(run="run")
    curate.filter(run="run", max_ppl=50)
    warn_of_earlier_tables(read(made, "- dedup\n- filter: {max-ppl: 50}\n- export: out"), open_run("run"))
    assert said == []
    warn_of_earlier_tables(read(made, "- export: out"), open_run("run"))
    assert said == ["the steps will follow what is in run and none of them makes: dedup, filter"]


def test_merged_scores_are_scores_and_lie_in_the_run_of_the_recipe(made):
    steps = "- merge: {runs: [one, two], into: new}\n- filter: {max-ppl: 50}\n"
    assert problems_of(made, steps, "new") == problems_of(made, steps, "./new") == []
    assert problems_of(made, steps, "other") == [
        ("line 1", "merge: into new is not the run directory of the recipe, other (into: other)")
    ]
