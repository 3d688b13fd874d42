"""A step is skipped exactly when nothing changed for it, whoever changed it."""

import json
from pathlib import Path

import pytest
from helpers.recipes import states, written
from helpers.runs import write_lines

import curate
from curate.errors import UsageError


def test_a_second_run_skips_all_that_leaves_something_and_changes_no_byte(made):
    first = curate.run("r.yaml")
    assert states(first) == ["done"] * 4 and first.funnel["kept"] == 5 and first.exit_code == 0
    before = {path: path.read_bytes() for path in (made / "run").rglob("*") if path.is_file()}
    assert states(curate.run("r.yaml")) == ["skipped"] * 3 + ["done"]
    assert {path: path.read_bytes() for path in (made / "run").rglob("*") if path.is_file()} == before
    assert states(curate.run("run/recipe.yaml")) == ["skipped"] * 3 + ["done"]
    assert (made / "run" / "recipe.yaml").read_bytes() == before[made / "run" / "recipe.yaml"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("dedup.seed=2", "done done done"),
        ("filter.max-ppl=60", "skipped done done"),
        ("export.format=jsonl", "skipped skipped done"),
        ("export.out=other", "skipped skipped done"),
        ("filter.max-ppl=50.0", "skipped skipped skipped"),
    ],
)
def test_a_changed_step_runs_again_with_exactly_what_depends_on_it(made, setting, expected):
    curate.run("r.yaml")
    expected = expected.split()
    planned = [
        {"to do": "done", "unchanged": "skipped"}[one]
        for one in states(curate.run("r.yaml", set=[setting], dry_run=True))
    ]
    assert states(curate.run("r.yaml", set=[setting]))[:3] == expected == planned[:3]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda: curate.filter(run="run", max_ppl=60), "skipped done done"),
        (lambda: Path("run/filter.parquet").unlink(), "skipped done skipped"),
        (lambda: Path("out/manifest.json").unlink(), None),
        (lambda: Path("run/recipe.json").write_text("{"), None),
    ],
)
def test_what_was_done_by_hand_or_went_away_is_made_again(made, change, expected):
    curate.run("r.yaml")
    change()
    if expected is None:  # the export that stands there is no longer known as ours
        with pytest.raises(UsageError, match="line 5: export: out holds"):
            curate.run("r.yaml")
    else:
        found = states(curate.run("r.yaml"))
        assert found[:2] == expected.split()[:2]
        assert curate.status("run").kept == 5


def test_eval_sets_that_changed_are_looked_for_again(made):
    write_lines(
        made / "evals" / "e.jsonl",
        [{"question": f"which of the seven quick brown foxes jumped over dog {n}"} for n in range(3)],
    )
    write_lines(made / "corpus" / "a.jsonl", ({"id": f"d{n}", "text": f"document {n} word"} for n in range(8)))
    written(made, "run: run\nsteps:\n- decontaminate: evals\n- filter: {max-ppl: 50}\n")
    assert states(curate.run("r.yaml")) == ["done", "done"]
    assert states(curate.run("r.yaml")) == ["skipped", "skipped"]
    with open(made / "evals" / "e.jsonl", "a") as handle:
        handle.write(json.dumps({"question": "how many eggs does every hen of the old farmer lay in March"}) + "\n")
    assert states(curate.run("r.yaml")) == ["done", "done"]


def test_where_a_step_is_worked_on_is_not_what_it_makes(made):
    """Notes of earlier versions have the number of workers."""
    recipe = "run: fresh\nsteps:\n- score: {corpus: corpus, model: none}\n- dedup: {workers: 1}\n"
    written(made, recipe)
    assert states(curate.run("r.yaml")) == ["done", "done"]
    note = json.loads((made / "fresh/recipe.json").read_text())
    note["steps"]["dedup"]["parameters"]["workers"] = 1
    (made / "fresh/recipe.json").write_text(json.dumps(note))
    written(made, recipe.replace("workers: 1", "workers: 2").replace("model: none", "model: none, engine: ray"))
    assert states(curate.run("r.yaml")) == ["skipped", "skipped"]
