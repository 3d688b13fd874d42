"""Recipes: every mistake is told with its line before any work; a step is run exactly when something changed for it."""

import functools
import inspect
import json
import re
import shlex

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs_helper import numbered, numbered_run, write_lines
from typer.testing import CliRunner

import curate
from curate import runs
from curate.dependence import Step, reads
from curate.errors import GateError, TableError, UsageError
from curate.recipe import fill_in, read_recipe
from curate.running import read_signatures
from curate.signatures import write_command

VERBS = read_signatures()
FORMATS = ", ".join(VERBS["export"]["format"].choices)
FOUR = [{"perplexity": 10.0 * (n + 1), "tokens": 5} for n in range(8)]


def written(folder, text):
    path = folder / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(folder, text, *settings):
    return read_recipe(written(folder, text), VERBS, settings)


def mistakes(folder, text, *settings):
    with pytest.raises(UsageError) as caught:
        read(folder, text, *settings)
    assert caught.value.exit_code == 2 and caught.value.hint
    return caught.value.message


# What a recipe says.


def test_names_are_those_of_the_command_line_with_dashes_or_underscores(tmp_path):
    one = read(tmp_path, "- filter: {max-ppl: 50, dry_run: yes}\n").steps[0]
    assert one.values["max_ppl"] == 50 and one.values["dry_run"] is True
    assert one.values["min_ppl"] is None and "run" not in one.values and one.line == 1


def test_an_argument_stands_alone_or_by_its_name_as_one_or_as_a_list(tmp_path):
    forms = ["- score: a", "- score: [a]", "- score: {corpus: a}", "- score: {corpus: [a]}"]
    assert [read(tmp_path, form).steps[0].values["corpus"] for form in forms] == [["a"]] * 4


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("keep: 10:60", "keep", "10:60"),  # 660 in YAML 1.1
        ("where: yes", "where", "yes"),  # true
        ("memory-limit: 2_0", "memory_limit", "2_0"),  # 20
        ("max-ppl: 1e-3", "max_ppl", 0.001),  # a text
        ("seed: 010", "seed", 10),  # 8
        ("max-ppl: null", "max_ppl", None),
        ("max-ppl: .inf", "max_ppl", float("inf")),
        ("where: 'null'", "where", "null"),
    ],
)
def test_a_value_is_read_from_its_own_letters_and_not_as_yaml_has_it(tmp_path, text, name, value):
    assert read(tmp_path, f"- filter: {{{text}}}").steps[0].values[name] == value


@pytest.mark.parametrize("text", ["20,30", "'20, 30'", "[20, 30]", "\n    - 20\n    - 3e1"])
def test_a_bound_may_have_several_values_and_they_are_typed_with_commas(tmp_path, text):
    step = read(tmp_path, f"- filter:\n    dry-run: true\n    max-ppl: {text}").steps[0]
    assert step.values["max_ppl"] == (20.0, 30.0)
    assert write_command("filter", VERBS["filter"], step.values) == "curate filter --max-ppl 20,30 --dry-run"
    assert read(tmp_path, "- filter: {max-ppl: [20]}").steps[0].values["max_ppl"] == 20.0


def test_a_list_may_stand_under_steps_beside_a_run_and_a_description(tmp_path):
    found = read(tmp_path, "description: why\nrun: there\nsteps:\n  - dedup\n")
    assert (found.run, found.description, found.steps[0].line) == ("there", "why", 4)


# What it must not say.


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- filtre: {max-ppl: 5}", 1, 'unknown verb "filtre"; did you mean "filter"?'),
        ("- dedup\n- filter: {max-pl: 5}", 2, 'filter has no option "max-pl"; did you mean "max-ppl"?'),
        ("- filter:\n    max-ppl: fifty", 2, 'max-ppl: expected a number, found "fifty"'),
        ("- dedup:\n    seed: 1.5", 2, 'seed: expected a whole number, found "1.5"'),
        ("- filter:\n    dry-run: maybe", 2, 'dry-run: expected true or false, found "maybe"'),
        ("- filter:\n    rate: [1, 2]", 2, "rate: expected a number, found a list"),
        ("- filter:\n    max-ppl: []", 2, "max-ppl: expected a number, found a list"),
        ("- filter:\n    max-ppl:\n    - 20\n    - fifty", 4, 'max-ppl: expected a number, found "fifty"'),
        ("- filter:\n    max-ppl: ['2,3', 4]", 2, 'max-ppl: expected a number, found "2,3"'),
        ("- filter: {max-ppl: '20,,30'}", 1, 'max-ppl: expected a number, found "20,,30"'),
        ("- filter:\n    max-ppl: {a: 1}", 2, "max-ppl: expected a number, found options of its own"),
        ("- filter:\n    max-ppl:", 2, "max-ppl: expected a number, found nothing"),
        ("- export: {out: a, format: hff}", 1, f'format: expected one of {FORMATS}, found "hff"'),
        ("- dedup\n- score:", 2, "score: corpus is missing, as in - score: CORPUS"),
        ("- score: []", 1, "score: corpus is missing"),
        ("- filter: {threshold: 1}", 1, 'filter has no option "threshold"; dedup has'),
        ("- filter: {run: x}", 1, "the run directory is the recipe's"),
        ("- filter: {max-ppl:50}", 1, "a space belongs behind the colon"),
        ("- filter: {max-ppl: 1,\n   max_ppl: 2}", 2, "max-ppl is given twice, here and in line 1"),
        ("- filter:\n  max-ppl: 5", 2, "max-ppl stands beside filter, not below it"),
        ("- score: a\n  dedup:", 2, "dedup is a step of its own"),
        ("- filter --max-ppl 5", 1, "options stand behind a colon"),
        ("- filter: 5", 1, "filter: expected options"),
        ("- 5: 6\n", 1, 'unknown verb "5"'),
        ("- [dedup]", 1, "expected a verb with its options"),
        ("- ? [a]\n  : b", 1, "expected a verb with its options"),
        ("steps:\n  dedup:", 2, "steps is a list"),
        ("dedup:\n  seed: 1", 1, "dedup is a verb and belongs below steps:"),
        ("stesp: []", 1, 'a recipe has no "stesp"; did you mean "steps"?'),
        ("run: [a]\nsteps: [dedup]", 1, "run: expected a text, found a list"),
        ("steps: []", 1, "there are no steps"),
        ("just words", 1, "a recipe is a list of steps"),
        ("- filter: {where: !!python/name:os.system x}", 1, "the tag tag:yaml.org,2002:python/name:os.system"),
        ("a: &a {b: 1}\n<<: *a\nsteps: [dedup]", 2, 'a recipe has no "<<"'),
        ("- filter: {max-ppl: 1}\n- dedup", 1, "filter stands above dedup (line 2)"),
        ("- filter: {max-ppl: 1}\n- score: a", 1, "filter stands above score (line 2)"),
        ("- export: a\n- filter: {max-ppl: 1}", 1, "export stands above filter (line 2)"),
        ("- dedup\n- decontaminate: {evals: a, corpus: b}", 1, "dedup stands above decontaminate (line 2)"),
        ("- decontaminate: a\n- score: b", 1, "decontaminate stands above score (line 2)"),
        ("- dedup: {corpus: a, keep: lowest-ppl}\n- score: a", 1, "dedup stands above score (line 2)"),
        ("- decontaminate: {evals: a, verify: b}\n- export: b", 1, "decontaminate stands above export (line 2)"),
        ("- dedup\n- dedup: {seed: 2}", 2, "dedup is named twice, here and in line 1"),
        ("- export: a\n- export: {out: a, format: jsonl}", 2, "export writes a as line 1 does"),
        ("- export: a\n- export: a/", 2, "export writes a/ as line 1 does"),
        ("- report\n- report", 2, "report is named twice, here and in line 1: it would replace its own page"),
        ("- report: {out: p.html}\n- report: {out: ./p.html}", 2, "report writes ./p.html as line 1 does"),
        ("- verify: a\n- verify: {out: a/}", 2, "verify is named twice, here and in line 1, with the same options"),
        ("- verify: a\n- export: a", 1, "verify stands above export (line 2)"),
        ("- export: a\n- bucket", 1, "export stands above bucket (line 2)"),
        ("- order\n- filter: {max-ppl: 1}", 1, "order stands above filter (line 2)"),
        ("- report\n- order", 1, "report stands above order (line 2)"),
        ("- dedup\n- run: other.yaml", 2, "a recipe runs no recipe, so that none can loop"),
        ("- dedup:\n\t- x", 2, "a tab; YAML is indented with spaces"),
        ("- dedup\n---\n- dedup", 2, "a second document begins"),
        ("- filter: {max-ppl: 1", 1, "not YAML"),
        ("- filter: *gone", 1, "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_meant(tmp_path, text, line, said):
    found = mistakes(tmp_path, text)
    assert said in re.sub(r"\s+", " ", found) and re.search(rf"line {line}\b", found), found


def test_every_mistake_is_told_at_once_ten_of_them_by_line(tmp_path):
    found = mistakes(tmp_path, "".join(f"- verb{n}\n" for n in range(12)))
    assert "has 12 mistakes; nothing was started" in found and "and 2 more" in found
    assert re.findall(r"line (\d+) ", found) == [str(n) for n in range(1, 11)]
    assert max(map(len, found.splitlines()[1:])) <= 100  # the first names a path of any length


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        (b"\xff\xfe-", "is not UTF-8"),
        (b"- dedup\x00", "is not YAML"),
        ("- dedup # " + "x" * 100_000, "no recipe is as long"),
        ("[" * 5_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path, content, said):
    assert said in mistakes(tmp_path, content)


def test_a_file_that_is_not_there_names_one_that_is(tmp_path):
    written(tmp_path, "- dedup")
    for name, said in {"q.yaml": "r.yaml", ".": "r.yaml"}.items():
        with pytest.raises(UsageError) as caught:
            read_recipe(str(tmp_path / name), VERBS)
        assert said in caught.value.hint


def test_names_that_stand_for_a_million_others_are_looked_at_once_each(tmp_path):
    bomb = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "mistakes" in mistakes(tmp_path, "\n".join([*bomb, "steps: *a29"]))
    assert "found a list" in mistakes(tmp_path, "- filter: {where: &a [*a]}")


def test_an_alias_repeats_a_value(tmp_path):
    found = read(tmp_path, "- score: &c [a, b]\n- dedup: {corpus: *c}")
    assert found.steps[1].values["corpus"] == ["a", "b"]


# Values from the command line.


def test_a_setting_replaces_one_value_by_verb_or_by_number_and_is_checked_alike(tmp_path):
    text = "- score:\n- dedup: {against: [x]}\n- export: a\n- export: b\n"
    settings = ["score.corpus=a", "score.corpus=b", "dedup.against=y", "4.format=jsonl", "dedup.keep=a=b.c"]
    steps = read(tmp_path, text, *settings).steps
    assert steps[0].values["corpus"] == ["a", "b"] and steps[1].values["against"] == ["y"]
    assert steps[3].values["format"] == "jsonl" and steps[1].values["keep"] == "a=b.c"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("filter", "expected STEP.OPTION=VALUE"),
        ("filtre.max-ppl=1", 'no step filtre; did you mean "filter"?'),
        ("filter.max-pl=1", 'did you mean "max-ppl"?'),
        ("filter.max-ppl=x", 'expected a number, found "x"'),
        ("9.max-ppl=1", "there is no step 9"),
        ("export.format=hf", "export is step 2 and 3"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_its_own_text(tmp_path, setting, said):
    found = mistakes(tmp_path, "- filter: {max-ppl: 1}\n- export: a\n- export: b", setting)
    assert said in found and f"--set {setting}" in found


# Commands and the recipe that is kept.


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


def parsed(command):
    """What the command line makes of a command: the verb, and what it would be called with."""
    from curate import cli

    caught = {}
    words = shlex.split(command)
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
        assert seen == value or (value is None and not seen), name


@settings(deadline=None)
@given(steps())
def test_the_kept_recipe_reads_back_as_the_same_steps(step):
    import tempfile
    from pathlib import Path

    from curate.dependence import Step
    from curate.recipe import Recipe

    verb, values = step
    text = fill_in(Recipe("r", None, None, (Step(verb, values, 1),)), VERBS, "there")
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), text)
    assert found.run == "there" and found.steps[0].verb == verb and found.steps[0].values == values


def test_no_verb_has_a_parameter_that_a_recipe_could_not_give():
    assert set(VERBS) == set(curate.VERBS) - {"run"}
    assert all(parameter.option for verb in VERBS.values() for parameter in verb.values())


# Running.


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A scored run of eight documents in ``run``, and a recipe over it; the working directory is their folder."""
    monkeypatch.chdir(tmp_path)
    numbered_run(tmp_path, FOUR)
    written(tmp_path, "run: run\nsteps:\n- dedup\n- filter: {max-ppl: 50}\n- export: out\n- status\n")
    return tmp_path


def states(course):
    return [step.state for step in course.steps]


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
        (lambda: runs.Path("run/filter.parquet").unlink(), "skipped done skipped"),
        (lambda: runs.Path("out/manifest.json").unlink(), None),
        (lambda: runs.Path("run/recipe.json").write_text("{"), None),
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
    from curate import selection
    from curate.errors import Interrupted

    @functools.wraps(selection.filter)
    def stop(**options):
        if options["run"] == "run":
            raise KeyboardInterrupt
        raise TableError("no run")

    with monkeypatch.context() as patched:
        patched.setattr(selection, "filter", stop)
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


# What reads what.


LONG = """run: run
steps:
- dedup
- filter: {max-ppl: 70}
- bucket: {quantiles: 2, save-cutoffs: cuts.json}
- order: {schedule: shuffle}
- report
- export: {out: plain, format: jsonl, no-order: true}
- export: {out: out, format: jsonl}
- verify: {out: plain, loader: none}
- verify: {out: out, loader: none}
- verify: {out: out/, loader: dataloader}
"""
NAMES = ["dedup", "filter", "bucket", "order", "report", "plain", "out", "plain?", "out?", "out??"]


@pytest.fixture
def long(made):
    """A recipe with every verb that reads what another one leaves, done once."""
    written(made, LONG)
    assert set(states(curate.run("r.yaml"))) == {"done"}
    return made


def again(*settings):
    """Which steps run, as a dry run says it and as it is."""
    planned = states(curate.run("r.yaml", set=list(settings), dry_run=True))
    done = states(curate.run("r.yaml", set=list(settings)))
    assert planned == [{"done": "to do", "skipped": "unchanged"}[one] for one in done]
    return " ".join(name for name, state in zip(NAMES, done, strict=True) if state == "done")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, ""),
        ("dedup.seed=2", " ".join(NAMES)),
        ("filter.max-ppl=60", "filter bucket order report plain out plain? out? out??"),
        ("bucket.quantiles=3", "bucket report plain out plain? out? out??"),
        ("order.seed=1", "order report out out? out??"),
        ("report.percentiles=5,95", "report"),
        ("6.rejected=true", "plain plain?"),
        ("7.format=parquet", "out out? out??"),
        ("10.batch-size=2", "out??"),
    ],
)
def test_exactly_the_steps_run_again_that_read_what_has_changed(long, setting, expected):
    assert again(*([setting] if setting else [])) == expected


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("run/report.html", "report"),
        ("run/report.json", "report"),
        ("cuts.json", "bucket"),
        ("run/order.parquet", "order"),
    ],
)
def test_what_a_step_left_and_is_gone_is_made_again_as_it_was(long, gone, expected):
    (long / gone).unlink()
    assert states(curate.run("r.yaml")).count("done") == 1 and (long / gone).exists()


def test_an_export_is_verified_again_when_any_of_its_bytes_has_changed(long):
    shard = next((long / "out" / "data").iterdir())
    octets = bytearray(shard.read_bytes())
    octets[len(octets) // 2] ^= 1
    shard.write_bytes(octets)
    with pytest.raises(GateError, match="step 9 of 10, verify: a gate is not met"):
        curate.run("r.yaml")


def test_an_export_of_what_was_rejected_reads_neither_buckets_nor_the_order():
    assert {"bucket", "order"} & set(reads(Step("export", {"out": "a"}, 1))) == {"bucket", "order"}
    assert not {"bucket", "order"} & set(reads(Step("export", {"out": "a", "rejected": True}, 1)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- export: out\n- verify: outt", "line 2: verify: there is no export outt, and no step writes it"),
        ("- dedup: {against: corpsu}", 'line 1: dedup: against: there is no corpsu; did you mean "corpus"?'),
        ("- bucket: {cutoffs: c.json}", "line 1: bucket: cutoffs: there is no c.json"),
        ("- decontaminate: gsm9k", "line 1: decontaminate: gsm9k is no file"),
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
    from curate import console

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
    from tests.runs_helper import make_run

    from curate import scoring

    real = scoring.score
    calls = []

    def score(corpus, run, restart, limit, **options):
        place = runs.open_run(run, create=True)
        before = place.stage("score")
        calls.append(restart)
        from curate.corpus import open_corpus

        if (
            before
            and not restart
            and before["made_from"]["corpus"] != open_corpus(corpus, slice_bytes=4_000_000, limit=limit).fingerprint()
        ):
            raise TableError("made otherwise", "start over (--restart)")
        make_run(place.path, [runs.Path(one) for one in corpus], numbered([*FOUR, *FOUR]), limit=limit)
        return curate.status(run)

    score.__signature__ = inspect.signature(real)
    score.__annotations__ = real.__annotations__
    monkeypatch.setattr(scoring, "score", score)
    written(made, "run: fresh\nsteps:\n- score: corpus\n- dedup\n- filter: {max-ppl: 50}\n")
    return calls


def test_a_corpus_that_changed_is_scored_again_and_all_that_follows_is_made_again(made, scoring):
    assert states(curate.run("r.yaml")) == ["done"] * 3 and states(curate.run("r.yaml")) == ["skipped"] * 3
    write_lines(made / "corpus" / "a.jsonl", ({"id": f"d{n}", "text": f"document {n} word"} for n in range(9)))
    assert states(curate.run("r.yaml")) == ["done"] * 3
    assert scoring == [False, True] and curate.status("fresh").read == 9
    assert states(curate.run("r.yaml")) == ["skipped"] * 3


def test_scores_made_otherwise_are_thrown_away_only_when_asked_to(made, scoring):
    curate.run("r.yaml")
    with pytest.raises(TableError, match="step 1 of 3, score") as caught:
        curate.run("r.yaml", set=["score.limit=4"])
    assert "--restart" in caught.value.hint and curate.status("fresh").read == 8
    assert states(curate.run("r.yaml", set=["score.limit=4"], restart=True)) == ["done"] * 3
    assert curate.status("fresh").read == 4
