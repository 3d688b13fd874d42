"""The recipes that come with curate run on the sample corpus, which is scored once for all of them."""

import shutil

import duckdb
import pytest
from helpers.paths import ROOT

import curate

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
CHANGES = {
    "ccnet": ("bucket.by=bpb", "bucket export"),
    "clean-and-export": ("filter.max-ppl=150", "filter export"),
    "curriculum": ("filter.min-zlib=0.25", "filter order export verify"),
    "middle": ("filter.rate=0.6", "filter export"),
}
"""An option of each recipe with another value, and the steps that then run."""


@pytest.fixture(scope="module")
def scored(scored_sample, tmp_path_factory):
    """A folder with recipes/ and a run whose only step was to score the sample, as every recipe begins."""
    folder = shutil.copytree(scored_sample.folder, tmp_path_factory.mktemp("recipes") / "clone")
    (folder / "score.yaml").write_text("- score: recipes/sample\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        curate.run("score.yaml")
    return folder


@pytest.fixture
def clone(scored, tmp_path, monkeypatch):
    """A copy of it, which is the working directory."""
    folder = shutil.copytree(scored, tmp_path / "clone")
    monkeypatch.chdir(folder)
    return folder


def states(course):
    return [step.state for step in course.steps]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_is_skipped_as_it_stands_and_a_changed_option_runs_what_depends_on_it(path, clone):
    recipe, (setting, again) = f"recipes/{path.name}", CHANGES[path.stem]
    found = curate.run(recipe, run="curated")
    assert states(found) == ["skipped"] + ["done"] * (len(found.steps) - 1)
    exported = next(step for step in found.steps if step.verb == "export")
    assert 0 < exported.result["documents"] == found.funnel["kept"] <= 348
    before = contents(clone)
    assert states(curate.run(recipe, run="curated")) == ["skipped"] * len(found.steps)
    assert contents(clone) == before
    for dry_run, state in ((True, "to do"), (False, "done")):
        changed = curate.run(recipe, run="curated", set=[setting], dry_run=dry_run)
        assert " ".join(step.verb for step in changed.steps if step.state == state) == again


def test_middle_cuts_both_tails_of_every_domain_alike_and_what_repeats_itself(clone):
    curate.run("recipes/middle.yaml", run="curated")
    domains = "SELECT value AS domain FROM 'curated/carried/domain/*.parquet'"
    count = ", ".join(f"count(*) FILTER (reason LIKE '%{one}%')" for one in ("below", "above", "zlib_ratio <"))
    query = f"SELECT domain, {count} FROM 'curated/filter.parquet' POSITIONAL JOIN ({domains}) GROUP BY domain"
    found = {domain: counts for domain, *counts in duckdb.sql(query).fetchall() if domain is not None}
    good = [counts for domain, counts in found.items() if not domain.startswith("junk/")]
    assert len(good) == 17 and all(low >= 1 and high >= 1 and abs(low - high) <= 1 for low, high, _ in good)
    assert found["junk/repeated_lines"][2] >= 10 and not any(repeated for *_, repeated in good)


def test_the_page_of_recipes_names_each_of_them():
    page = (ROOT / "recipes" / "README.md").read_text()
    assert len(RECIPES) == len(CHANGES) and all(f"[{path.name}]({path.name})" in page for path in RECIPES)
