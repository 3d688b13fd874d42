"""A step is written as a command and as a recipe that give the verb the very same values."""

import subprocess

import pytest
import typer
from helpers.recipes import VERBS, read
from hypothesis import given, settings
from hypothesis import strategies as st

import curate
from curate.recipes.parameters import write_command
from curate.recipes.recipe import dump_recipe


def value_of(parameter):
    one = {
        str: st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8),
        int: st.integers(-999, 999),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
    }[parameter.kind]
    one = st.sampled_from(parameter.choices) if parameter.choices else one
    one = one | st.lists(one, min_size=2, max_size=3).map(tuple) if parameter.several else one
    return st.lists(one, min_size=1, max_size=3) if parameter.many else one


@st.composite
def steps(draw):
    verb = draw(st.sampled_from(sorted(VERBS)))
    values = {}
    for name, parameter in VERBS[verb].items():
        if name == "run":
            continue
        given_ = draw(value_of(parameter)) if parameter.required or draw(st.integers(0, 3)) == 0 else parameter.default
        values[name] = given_
    return verb, values


def split_words(command):
    """The words that a shell makes of a command: ``shlex`` knows no ``$'…'``."""
    shown = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, text=True)
    return shown.stdout.split("\0")[:-1]


def parsed(command):
    """What the command line makes of a command: the verb, and what it would be called with."""
    from curate import cli

    caught = {}
    words = split_words(command)
    group = typer.main.get_command(cli.app)
    one = group.commands[words[1]]
    context = one.make_context(words[1], words[2:])
    caught.update(context.params)
    return words[1].replace("-", "_"), caught


@settings(deadline=None)
@given(steps())
def test_a_command_gives_the_verb_the_very_values_of_the_step(step):
    verb, values = step
    found, given_ = parsed(write_command(verb, VERBS[verb], values))
    assert found == verb
    for name, value in values.items():
        seen = list(given_[name]) if isinstance(value, list) and given_[name] is not None else given_[name]
        if isinstance(seen, list) and isinstance(value, str):  # words that may be typed again, which the verb joins
            seen = ",".join(seen)
        assert seen == value or (value is None and not seen), name


@settings(deadline=None)
@given(steps())
def test_the_kept_recipe_reads_back_as_the_same_steps(step):
    import tempfile
    from pathlib import Path

    from curate.recipes.recipe import Recipe
    from curate.recipes.stage_graph import Step

    verb, values = step
    text = dump_recipe(Recipe("r", None, None, (Step(verb, values, 1),)), VERBS, "there")
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), text)
    assert found.run == "there" and found.steps[0].verb == verb and found.steps[0].values == values


def test_no_verb_has_a_parameter_that_a_recipe_could_not_give():
    assert set(VERBS) == set(curate.VERBS) - {"run"}
    assert all(parameter.option for verb in VERBS.values() for parameter in verb.values())


def test_one_number_is_a_float_and_several_are_a_tuple():
    bound = VERBS["filter"]["max_ppl"]
    assert bound.read("50") == 50.0 and bound.read("20,30.5, 50") == (20.0, 30.5, 50.0)
    for text in ("", "x", "1,,2"):
        with pytest.raises(ValueError, match="expected a number"):
            bound.read(text)
