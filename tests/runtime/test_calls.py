"""A hint repeats the command that is under way, changed only where it must be."""

import shlex
from typing import Annotated, Literal

import typer

from curate.runtime.calls import find_call, repeat_command, typed_with
from curate.runtime.options import COMMAS, verb_function

CHANGED: dict[str, object] = {}


@verb_function(amount="count")
def sift(
    data: Annotated[list[str] | str, typer.Argument(help="Data.")],
    count: Annotated[int, typer.Option(help="How many.")] = 3,
    words: Annotated[str | None, typer.Option(help="Words."), COMMAS] = None,
    kind: Annotated[Literal["old", "new"], typer.Option(help="Kind.")] = "old",
    more: Annotated[bool, typer.Option("--more/--no-more", help="More.")] = True,
) -> str:
    """Return the command with what is changed."""
    return repeat_command("sift", **CHANGED)


def sift_with(changed, *data, **options):
    CHANGED.clear()
    CHANGED.update(changed)
    return sift(list(data), **options)


def test_every_argument_and_option_is_repeated_but_those_at_their_defaults():
    assert sift_with({}, "a", "b") == "curate sift a b"
    found = sift_with({"kind": "new"}, "a b", "c", count=3, words=["x", "y z"], more=False)
    assert shlex.split(found) == ["curate", "sift", "a b", "c", "--words", "x,y z", "--kind", "new", "--no-more"]


def test_old_names_are_repeated_as_the_new_ones_and_none_takes_an_option_out():
    assert sift_with({}, "a", amount=5, kind="new") == "curate sift a --count 5 --kind new"
    assert sift_with({"kind": None, "words": "z"}, "a", amount=5, kind="new") == "curate sift a --count 5 --words z"


def test_what_begins_with_a_dash_stays_an_argument_or_a_value():
    assert sift_with({"count": -1}, "-a") == "curate sift --count=-1 -- -a"


def test_flags_of_the_command_line_are_kept():
    with typed_with("--json"):
        assert sift_with({}, "a") == "curate sift a --json"


def test_without_a_call_the_command_has_what_is_changed_alone():
    assert find_call("sift") is None
    assert repeat_command("rank_sft", data=["a"], template="plain") == "curate rank-sft a --template plain"
