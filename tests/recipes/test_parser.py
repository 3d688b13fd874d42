"""What a recipe says, and every mistake in it told with its line before any work."""

import re

import pytest
from helpers.recipes import VERBS, mistakes, read, written

from curate.errors import UsageError
from curate.recipes.parameters import write_command
from curate.recipes.recipe import read_recipe

FORMATS = ", ".join(VERBS["export"]["format"].choices)


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


@pytest.mark.parametrize(
    ("top", "values"),
    [
        ("engine: ray", {"engine": "ray", "workers": None, "address": None}),
        ("engine: local", {"engine": "local", "workers": None}),
        (
            "engine: {address: auto, workers: 8, gpus_per_worker: 0.5}",
            {"engine": "ray", "address": "auto", "workers": 8, "gpus_per_worker": 0.5},
        ),
    ],
)
def test_an_engine_at_the_top_is_that_of_every_step_that_has_one(tmp_path, top, values):
    score, status = read(tmp_path, f"{top}\nsteps:\n  - score: a\n  - status\n").steps
    assert values.items() <= score.values.items() and "engine" not in status.values
    (own,) = read(tmp_path, f"{top}\nsteps:\n  - score: {{corpus: b, engine: local}}\n").steps
    assert own.values["engine"] == "local" and own.values["workers"] is None


@pytest.mark.parametrize(
    ("top", "value"), [("default", "default"), ("email,ip", "email,ip"), ("yes", "yes"), ("null", None)]
)
def test_what_is_redacted_at_the_top_is_redacted_in_every_step_that_shows_or_writes_text(tmp_path, top, value):
    text = f"redact: {top}\nsteps:\n  - score: a\n  - report\n  - export: {{out: o, redact: none}}\n"
    score, report, export = read(tmp_path, text).steps
    assert "redact" not in score.values and report.values["redact"] == value and export.values["redact"] == "none"


@pytest.mark.parametrize("top", ["emails", "[email]", "{default: yes}"])
def test_what_cannot_be_redacted_is_named_with_its_line(tmp_path, top):
    found = mistakes(tmp_path, f"redact: {top}\nsteps:\n  - report\n")
    assert "line 1: redact" in found and "default" in found


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ("engine: spark", "engine: expected ray"),
        ("engine: {worker: 8}", 'engine has no "worker"; did you mean "workers"'),
        ("engine: {workers: many}", "score: workers: expected a whole number"),
        ("engine: [ray]", "engine: expected ray"),
    ],
)
def test_an_engine_that_there_is_not_is_named_with_its_line(tmp_path, top, message):
    assert message in mistakes(tmp_path, f"{top}\nsteps:\n  - score: a\n")


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
        ("- filter: {max-ppl:50}", 1, "put a space after the colon"),
        ("- filter: {max-ppl: 1,\n   max_ppl: 2}", 2, "max-ppl is given twice, here and in line 1"),
        ("- filter:\n  max-ppl: 5", 2, "max-ppl is not below filter: indent it deeper than filter"),
        ("- score: a\n  dedup:", 2, "dedup is a step: begin its line with a dash"),
        ("- filter --max-ppl 5", 1, "options come after a colon"),
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
        ("- filter: {max-ppl: 1}\n- dedup", 1, "filter comes before dedup (line 2)"),
        ("- filter: {max-ppl: 1}\n- score: a", 1, "filter comes before score (line 2)"),
        ("- export: a\n- filter: {max-ppl: 1}", 1, "export comes before filter (line 2)"),
        ("- dedup\n- decontaminate: {evals: a, corpus: b}", 1, "dedup comes before decontaminate (line 2)"),
        ("- decontaminate: a\n- score: b", 1, "decontaminate comes before score (line 2)"),
        ("- dedup: {corpus: a, keep: lowest-ppl}\n- score: a", 1, "dedup comes before score (line 2)"),
        ("- decontaminate: {evals: a, verify: b}\n- export: b", 1, "decontaminate comes before export (line 2)"),
        ("- dedup\n- dedup: {seed: 2}", 2, "dedup is named twice, here and in line 1"),
        ("- export: a\n- export: {out: a, format: jsonl}", 2, "export writes a as line 1 does"),
        ("- export: a\n- export: a/", 2, "export writes a/ as line 1 does"),
        (
            "- report\n- report",
            2,
            "report is named twice, here and in line 1: the second would replace the page",
        ),
        ("- report: {out: p.html}\n- report: {out: ./p.html}", 2, "report writes ./p.html as line 1 does"),
        ("- verify: a\n- verify: {out: a/}", 2, "verify is named twice, here and in line 1, with the same options"),
        ("- verify: a\n- export: a", 1, "verify comes before export (line 2)"),
        ("- export: a\n- bucket", 1, "export comes before bucket (line 2)"),
        ("- order\n- filter: {max-ppl: 1}", 1, "order comes before filter (line 2)"),
        ("- report\n- order", 1, "report comes before order (line 2)"),
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
        ("- dedup # " + "x" * 100_000, "a recipe has at most 100,000"),
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
    settings = ["score.corpus=a", "score.corpus=b", "dedup.against=y", "4.format=jsonl", "dedup.id-field=a=b.c"]
    steps = read(tmp_path, text, *settings).steps
    assert steps[0].values["corpus"] == ["a", "b"] and steps[1].values["against"] == ["y"]
    assert steps[3].values["format"] == "jsonl" and steps[1].values["id_field"] == "a=b.c"


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
