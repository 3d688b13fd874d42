"""The recipes that come with curate run on the sample corpus, which is scored once for all of them."""

import shutil
from pathlib import Path

import pytest

import curate

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A run directory whose only step was to score the sample corpus, as every recipe begins."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "score.yaml").write_text("- score: recipes/sample\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        curate.run(str(folder / "score.yaml"), run=str(folder / "run"))
    return folder / "run"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_on_the_sample_without_scoring_it_again(path, scored, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    shutil.copytree(scored, tmp_path / "run")
    options = {"run": str(tmp_path / "run"), "set": [f"export.out={tmp_path / 'out'}"]}
    if any("verify" in line for line in path.read_text().splitlines()):
        options["set"].append(f"verify.out={tmp_path / 'out'}")
    found = curate.run(str(path), **options)
    assert [step.state for step in found.steps] == ["skipped"] + ["done"] * (len(found.steps) - 1)
    exported = next(step for step in found.steps if step.verb == "export")
    assert 0 < exported.result["documents"] == found.funnel["kept"] < 348
    assert {step.state for step in curate.run(str(path), **options).steps} == {"skipped"}


def test_the_page_of_recipes_names_each_of_them():
    page = (ROOT / "recipes" / "README.md").read_text()
    assert len(RECIPES) >= 2 and all(f"[{path.name}]({path.name})" in page for path in RECIPES)
