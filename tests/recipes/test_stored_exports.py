"""Recipes that export to an object store: skipped when nothing changed, refused before any step."""

import pytest
from helpers.recipes import FOUR, states, written
from helpers.runs import numbered_run
from helpers.s3 import memory_store
from helpers.stores import Killed, bury_process, fail_writes, read_store, write_object

from curate.errors import CurateError
from curate.runtime.disk.object_store import ObjectStore
from curate.verbs.export import export
from curate.verbs.run import run as run_recipe

__all__ = ["memory_store"]


@pytest.fixture
def recipe(made, memory_store):
    """A recipe that exports to a URL and verifies what it exported, and the URL."""
    url = f"{memory_store}/b/out"
    return written(made, f"run: run\nsteps:\n- export: {url}\n- verify: {{out: '{url}', loader: none}}\n"), url


def test_an_export_in_a_store_is_skipped_until_it_has_changed_or_gone(made, recipe):
    path, url = recipe
    assert states(run_recipe(path)) == ["done", "done"]
    first = read_store(url)
    assert "manifest.json" in first
    assert states(run_recipe(path)) == ["skipped", "skipped"]
    ObjectStore(url).remove([next(name for name in first if name.endswith(".arrow"))])
    with pytest.raises(CurateError, match="holds an earlier export"):
        run_recipe(path)
    ObjectStore(url).remove(read_store(url))
    assert states(run_recipe(path)) == ["done", "done"]
    assert read_store(url) == first
    numbered_run(made, FOUR[:5])  # another corpus: what the recipe wrote is replaced
    assert states(run_recipe(path)) == ["done", "done"]
    assert read_store(url) != first


def test_an_export_is_verified_again_once_it_is_another(made, memory_store):
    url = f"{memory_store}/b/out"
    path = written(made, f"run: run\nsteps:\n- verify: {{out: '{url}', loader: none}}\n")
    with pytest.raises(CurateError, match=f"there is no export {url}, and no step writes it"):
        run_recipe(path)
    export(url, "run")
    assert states(run_recipe(path)) == ["done"] and states(run_recipe(path)) == ["skipped"]
    export(url, "run", format="parquet", overwrite=True)
    assert states(run_recipe(path)) == ["done"]


def test_what_others_have_at_the_url_is_refused_before_the_first_step(recipe):
    path, url = recipe
    write_object(f"{url}/mine.txt", b"mine")
    with pytest.raises(CurateError, match=r"curate export did not write: mine\.txt"):
        run_recipe(path)
    assert read_store(url) == {"mine.txt": b"mine"}


def test_a_recipe_that_was_killed_while_it_exported_goes_on(recipe):
    path, url = recipe
    with pytest.MonkeyPatch.context() as patch:
        fail_writes(patch, 1, Killed(), lambda name: name == "manifest.json")  # the first removes an earlier one
        with pytest.raises(Killed):
            run_recipe(path)
    bury_process(url)
    left = read_store(url)
    assert left and "manifest.json" not in left
    assert states(run_recipe(path)) == ["done", "done"]
    assert left.items() < read_store(url).items()
