"""The options of all verbs: lists take one string, choices are checked, old names work, one word has one meaning."""

import ast
import inspect
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import typer
from helpers.paths import ROOT
from helpers.recipes import VERBS as RECIPE_VERBS
from helpers.recipes import mistakes, read
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import CurateError, UsageError
from curate.recipes.parameters import read_parameters
from curate.runtime.options import (
    as_list,
    choices_of,
    on_command_line,
    renamed_options,
    signature_of,
    takes_commas,
    verb_function,
)

FUNCTIONS = {name: getattr(curate, name) for name in curate.VERBS}
PARAMETERS = [
    (verb, name, parameter)
    for verb, function in FUNCTIONS.items()
    for name, parameter in signature_of(function).parameters.items()
]


def members_of(annotation):
    """The members of an annotation's union, None among them, without what ``Annotated`` adds."""
    if get_origin(annotation) is Annotated:
        return members_of(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


LISTS = [(verb, name) for verb, name, one in PARAMETERS if list[str] in members_of(one.annotation)]
CHOICES = [(verb, name, choices_of(one.annotation)) for verb, name, one in PARAMETERS if choices_of(one.annotation)]
RENAMED = [(verb, old, new) for verb, function in FUNCTIONS.items() for old, new in renamed_options(function).items()]


def required_of(function):
    """A value for each parameter without a default."""
    found = signature_of(function).parameters.items()
    return {name: "nowhere" for name, one in found if one.default is inspect.Parameter.empty}


# Lists.


def test_no_list_parameter_is_missed():
    """``set`` of run, and nothing that holds several words in another type."""
    kinds = {get_origin(one) or one for _, _, parameter in PARAMETERS for one in members_of(parameter.annotation)}
    assert kinds <= {list, str, int, float, bool, tuple, Literal, type(None)}
    assert {"decontaminate evals", "dedup against", "run set", "rank_sft data"} <= {" ".join(one) for one in LISTS}


@pytest.mark.parametrize(("verb", "name"), LISTS)
def test_a_list_parameter_takes_one_string_and_is_read_as_a_list(verb, name):
    """The annotation says so, and the body reads the parameter nowhere but in ``as_list(name)``."""
    assert str in members_of(signature_of(FUNCTIONS[verb]).parameters[name].annotation)
    module = ast.parse((ROOT / "curate" / "verbs" / f"{verb}.py").read_text())
    body = next(node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == verb)
    read_ = [node for node in ast.walk(body) if isinstance(node, ast.Name) and node.id == name]
    calls = [node for node in ast.walk(body) if isinstance(node, ast.Call) and ast.unparse(node.func) == "as_list"]
    assert read_ and {id(node) for node in read_} <= {id(argument) for call in calls for argument in call.args}


def test_one_string_is_a_list_of_one_and_none_is_empty():
    assert (
        as_list("x.jsonl") == as_list(Path("x.jsonl")) == ["x.jsonl"]
        and as_list(("a", "b")) == ["a", "b"]
        and as_list(None) == []
    )


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("score", {"corpus": "nowhere.jsonl"}),
        ("decontaminate", {"evals": "nowhere.jsonl", "corpus": "here.jsonl"}),
        ("decontaminate", {"evals": "here.jsonl", "corpus": "nowhere.jsonl"}),
        ("dedup", {"corpus": "nowhere.jsonl"}),
        ("dedup", {"corpus": "here.jsonl", "against": "nowhere.jsonl"}),
        ("rank_sft", {"data": "nowhere.jsonl"}),
        ("train_reference", {"corpus": "nowhere.jsonl", "out": "model"}),
    ],
)
def test_a_string_that_names_nothing_is_named_in_full(tmp_path, monkeypatch, verb, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.jsonl").write_text('{"text": "Some words."}\n')
    with pytest.raises(CurateError, match=r"nowhere\.jsonl"):
        FUNCTIONS[verb](**options)


TEXTS = [
    (verb, name, one)
    for verb, name, one in PARAMETERS
    if str in members_of(one.annotation) and list[str] not in members_of(one.annotation)
]
COMMA_LISTS = {
    "bucket within", "compare within", "decontaminate eval_fields", "filter within", "rank_sft models",
    "rank_sft template",
    "report percentiles", "score carry", "score devices", "score signals",
    "rank_sft prompt_field", "rank_sft response_field", "rank_sft messages_field", "rank_sft role",
    "rank_sft role_field", "rank_sft content_field",
}  # fmt: skip


def read_by(verb, name, value):
    """What the body of a verb is given for a value of one parameter."""
    parameter = signature_of(FUNCTIONS[verb]).parameters[name]

    def body(value):
        return value

    body.__signature__ = inspect.Signature([parameter.replace(name="value", default=None)])
    return verb_function()(body)(value=value)


@pytest.mark.parametrize(("verb", "name", "parameter"), TEXTS)
def test_a_text_may_be_a_path_and_one_with_commas_a_list(verb, name, parameter):
    assert read_by(verb, name, Path("some/where")) == "some/where" and read_by(verb, name, "a,b") == "a,b"
    assert read_by(verb, name, None) is None
    if takes_commas(parameter.annotation):
        assert read_by(verb, name, ["a", 50, Path("b")]) == "a,50,b" and read_by(verb, name, ("a",)) == "a"
    else:
        with pytest.raises(UsageError, match="--value takes one value, not a list of 2"):
            read_by(verb, name, ["a", "b"])


def test_the_texts_with_commas_are_these():
    assert {f"{verb} {name}" for verb, name, one in PARAMETERS if takes_commas(one.annotation)} == COMMA_LISTS
    assert inspect.signature(curate.bucket).parameters["within"].annotation == str | None | list[str]


def test_lists_and_paths_reach_the_work_of_a_verb(tmp_path):
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"text": "one two three", "domain": "a"}\n{"text": "four five", "domain": "b"}\n')
    curate.score(corpus, model="none", run=tmp_path / "run", signals=["zlib_ratio", "repeated_lines"], carry=["domain"])
    options = {"by": "tokens", "keep": "low", "within": ["domain"]}
    found = curate.filter(tmp_path / "run", min_zlib=[0.1, 0.2], dry_run=True, **options)
    assert "--min-zlib 0.2" in found.render()
    curate.report(tmp_path / "run", out=tmp_path / "page.html", percentiles=[1, 50])
    assert (tmp_path / "page.json").exists()


def test_a_recipe_takes_one_setting_as_a_string(tmp_path):
    (tmp_path / "r.yaml").write_text("- export: out\n")
    with pytest.raises(UsageError, match=r"--set a\.b=1"):
        curate.run(str(tmp_path / "r.yaml"), run=str(tmp_path / "run"), set="a.b=1")


# Choices.


@pytest.mark.parametrize(("verb", "name", "choices"), CHOICES)
def test_a_wrong_choice_is_refused_with_what_is_allowed(verb, name, choices):
    with pytest.raises(UsageError) as caught:
        FUNCTIONS[verb](**{**required_of(FUNCTIONS[verb]), name: "wrong"})
    option = f"--{name.replace('_', '-')}"
    assert caught.value.message == f"{option} must be one of {', '.join(choices)}, not wrong"
    assert caught.value.hint == f"{option} {choices[0]}"


@pytest.mark.parametrize(("verb", "name", "choices"), CHOICES)
def test_help_shows_the_choices_and_the_command_refuses_others(verb, name, choices):
    command = verb.replace("_", "-")
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
    assert all(re.search(rf"\b{re.escape(choice)}\b", shown) for choice in choices) and "|".join(choices) in shown
    required = [one for one in read_parameters(FUNCTIONS[verb]).values() if one.required]
    words = ["x" if one.argument else f"--{one.option}=x" for one in required]
    found = CliRunner().invoke(app, [command, *words, f"--{name.replace('_', '-')}", "wrong"])
    option = f"--{name.replace('_', '-')}"
    assert found.exit_code == 2 and f"error: {option} must be one of {', '.join(choices)}, not wrong\n" in found.output


def test_the_choices_of_a_verb_are_those_of_its_machinery():
    from curate.reference.checkpoints import checkpoint
    from curate.sft.ranking.measures import RANKABLE, SHORT_NAMES
    from curate.stages.decontaminate.report.wording import METHODS
    from curate.stages.dedup.summary import RULES
    from curate.stages.order.schedules import SCHEDULES

    known = {(verb, name): set(choices) for verb, name, choices in CHOICES}
    assert known["score", "dtype"] == {"auto", *checkpoint.DTYPES}
    assert known["dedup", "keeper"] == set(RULES)
    assert known["decontaminate", "method"] == set(METHODS)
    assert known["order", "schedule"] == set(SCHEDULES)
    assert known["rank_sft", "by"] == {*RANKABLE, *SHORT_NAMES}


# Old names.


def test_the_old_names_are_these():
    assert {(verb, old): new for verb, old, new in RENAMED} == {
        ("score", "max_tokens"): "truncate",
        ("rank_sft", "sample"): "sample_size",
        ("dedup", "keep"): "keeper",
        ("verify", "workers"): "loader_workers",
    }


@verb_function(old="new")
def probe(new: Annotated[Literal["a", "b"], typer.Option(help="x")] = "a", other: int = 0) -> tuple[Any, int]:
    return new, other


def test_an_old_name_is_the_new_one_and_both_are_refused():
    assert probe(old="b") == ("b", 0) and probe(old=None) == ("a", 0) and probe("b", 3) == ("b", 3)
    for arguments, options in (((), {"new": "a", "old": "b"}), (("a",), {"old": "b"})):
        with pytest.raises(UsageError, match="--old is the old name of --new, and both are given"):
            probe(*arguments, **options)
    with pytest.raises(UsageError, match="--new must be one of a, b, not c"):
        probe(old="c")
    with pytest.raises(UsageError, match="not None"):
        probe(None)
    with pytest.raises(TypeError, match="unexpected keyword"):
        probe(older="b")


VALUES = {"max_tokens": "7", "sample": "7", "keep": "first", "workers": "7"}


@pytest.mark.parametrize(("verb", "old", "new"), RENAMED)
def test_an_old_name_works_as_a_hidden_option_and_in_recipes(tmp_path, verb, old, new):
    command, value = verb.replace("_", "-"), VALUES[old]
    typed, renamed = f"--{old.replace('_', '-')}", f"--{new.replace('_', '-')}"
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
    assert f"  {typed} " not in shown and f"  {renamed} " in shown
    argument = next((one.option for one in RECIPE_VERBS[verb].values() if one.argument), None)
    default = inspect.signature(FUNCTIONS[verb]).parameters[new].default
    words = [typed, value, renamed, value if default is None else str(default)]
    both = CliRunner().invoke(app, [command, *(["x"] if argument else []), *words])
    assert both.exit_code == 2 and f"{typed} is the old name of {renamed}, and both are given" in both.output
    text = f"- {command}: {{{f'{argument}: y, ' if argument else ''}{old}: {value}}}"
    values = read(tmp_path, text).steps[0].values
    assert str(values[new]) == value and old not in values
    assert "both are given" in mistakes(tmp_path, text.replace("}", f", {new}: {value}}}"))
    assert str(read(tmp_path, text, f"{command}.{old}={value}").steps[0].values[new]) == value


def test_an_old_name_on_the_command_line_reaches_the_verb(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "one two"}\n{"text": "One, two"}\n')
    words = ["dedup", "--corpus", str(tmp_path / "c.jsonl"), "--run", str(tmp_path / "run"), "--json"]
    found = CliRunner().invoke(app, [*words, "--keep", "first"])
    assert found.exit_code == 0 and '"keep": "first"' in found.stdout


# One word, one meaning.

APART = {
    "run": {"run": "a recipe names a run directory too, which this one replaces"},
    "corpus": {
        "score": "may be left out for --text",
        "decontaminate": "an option, since the run knows its corpus",
        "dedup": "an option, since the run knows its corpus",
    },
    "out": {
        "export": "the argument: the folder is what the verb is for",
        "verify": "the argument: it reads the folder",
        "report": "a file, below the run unless named",
        "compare": "a file, and no page unless named",
        "rank_sft": "a folder that is also a cache",
        "train_reference": "required, and resumed from",
    },
    "model": {"rank_sft": "the base model, of which there is always one", "score": "none scores without a model"},
    "by": {
        "filter": "nothing is ordered without --keep",
        "bucket": "--cutoffs names the column too",
        "compare": "the unit of differences",
        "order": "always a column",
        "rank_sft": "a measure",
        "select_sft": "a criterion",
    },
    "within": {"filter": "no groups unless named", "compare": "a row a group", "bucket": "the language unless named"},
    "tokens": {"filter": "of --keep", "select_sft": "of responses", "train_reference": "a budget to train on"},
    "rate": {"filter": "of --keep", "select_sft": "depends on --by"},
    "max_ppl": {"filter": "several values with --dry-run", "select_sft": "of responses"},
    "min_tokens": {"filter": "several values with --dry-run", "select_sft": "of responses"},
    "turns": {"decontaminate": "turns by role", "rank_sft": "turns of the assistant"},
    "overlap": {"score": "0, as perplexity is published", "rank_sft": "half the window: an answer needs its prompt"},
    "device": {"train_reference": "trains on the CPU and CUDA only"},
    "memory_limit": {"filter": "its tables are small, and the default is DuckDB's"},
    "dry_run": {"run": "prints the commands"},
    "restart": {"run": "of the scores only"},
}
"""Parameters of one name that differ between verbs, and why. Verbs that are not named here agree."""


def describe(parameter):
    """Type, help and default of a parameter."""
    kind, info = get_args(parameter.annotation)[:2]
    return kind, type(info), info.help, parameter.default


def verbs_by_parameter():
    found: dict[str, dict[str, Any]] = {}
    for verb, name, parameter in PARAMETERS:
        found.setdefault(name, {})[verb] = describe(parameter)
    return found


def test_every_parameter_of_a_verb_has_a_help_text():
    for verb, name, parameter in PARAMETERS:
        _, _, text, _ = describe(parameter)
        assert text and re.fullmatch(r"[A-Z].*[^ ](\.|…|\.  \[default: .+\])", text), f"{verb} {name}: {text}"


@pytest.mark.parametrize("name", [name for name, verbs in verbs_by_parameter().items() if len(verbs) > 1])
def test_a_parameter_means_the_same_in_every_verb(name):
    agreeing = {verb: found for verb, found in verbs_by_parameter()[name].items() if verb not in APART.get(name, {})}
    assert len(set(agreeing.values())) <= 1, agreeing


def test_every_exception_differs_from_the_verbs_that_agree():
    for name, reasons in APART.items():
        verbs = verbs_by_parameter()[name]
        assert set(reasons) <= set(verbs) and all(reasons.values())
        agreeing = [found for verb, found in verbs.items() if verb not in reasons]
        assert not [verb for verb in reasons if verbs[verb] in agreeing], name


def test_what_the_command_line_reads_is_the_first_of_a_union():
    assert on_command_line(list[str] | str) == list[str] and on_command_line(str | int | None) == str | None
    assert on_command_line(Annotated[list[str] | str | None, 1]) == Annotated[list[str] | None, 1]
    assert on_command_line(Literal["a"] | None) == Literal["a"] | None and on_command_line(int) is int
