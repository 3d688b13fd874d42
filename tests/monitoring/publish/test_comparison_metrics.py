"""The numbers of a comparison are those of its JSON; what is missing now is never green."""

import json

import pytest
from helpers.published import as_keys, find_values, measured, write_comparison

import curate
from curate.errors import TableError, UsageError
from curate.monitoring.publish.comparison_metrics import name_apart

TO_GATE = {"within": 0, "beyond": 1, "cannot tell": 2, "unmeasured": 2}


def read(path):
    return json.loads(path.read_text())


def test_gates_and_changes_are_those_of_compare(compared):
    value, found = read(compared.gate), curate.publish(compared.gate, dry_run=True)
    (pair,) = value["pairs"]
    gates = {row["name"]: TO_GATE[row["verdict"]] for row in pair["groups"]}
    assert gates == {"code": 1, "law": 0, "news": 2}
    assert find_values(found, "curate_domain_gate", "domain") == gates
    assert find_values(found, "curate_gate") == TO_GATE[pair["all"]["verdict"]]
    assert find_values(found, "curate_gate_exit_code") == value["exit_code"] == 4
    assert find_values(found, "curate_tolerance_ratio") == 0.01
    for key, name in (("change", ""), ("change_low", "_low"), ("change_high", "_high")):
        measured_rows = {row["name"]: row[key] for row in pair["groups"] if row[key] is not None}
        assert find_values(found, f"curate_domain_perplexity_change{name}_ratio", "domain") == measured_rows
        assert find_values(found, f"curate_perplexity_change{name}_ratio") == pair["all"][key]
    sides = find_values(found, "curate_side_bits_per_byte", "side")
    assert sides == {side["label"]: side["bits_per_byte"] for side in value["sides"]}
    assert found.publication.evaluator == value["sides"][1]["evaluator"]


def test_a_domain_that_is_missing_now_is_never_green(compared):
    for most in (1, 2, 3):
        found = curate.publish(compared.gate, max_labels=most, dry_run=True)
        gates = find_values(found, "curate_domain_gate", "domain")
        assert len(gates) == most
        assert gates.get("news", gates.get("other")) != 0
    assert gates["news"] == 2
    documents = {one.labels["of"]: one.value for one in measured(found) if one.labels.get("domain") == "news" and
                 one.name == "curate_domain_compared_documents"}  # fmt: skip
    assert documents == {"before": 30, "after": 0}
    assert found.publication.left_out


def test_groups_that_crossed_keep_their_names(compared):
    value = read(compared.gate)
    within = {"name": "big", "documents": [9000, 9000], "verdict": "within"}
    value["pairs"][0]["groups"].append({**value["pairs"][0]["groups"][-1], **within})
    path = compared.folder / "more.json"
    path.write_text(json.dumps(value))
    gates = find_values(curate.publish(path, max_labels=3, dry_run=True), "curate_domain_gate", "domain")
    assert gates["code"] == 1 and gates["news"] == 2 and gates["other"] == 0


def test_a_group_that_is_new_has_no_gate(compared):
    back = curate.compare([compared.folder / "fewer", compared.folder / "before"], within="domain", tolerance="1%")
    found = curate.publish(write_comparison(compared.folder / "back.json", back), dry_run=True)
    assert "news" not in find_values(found, "curate_domain_gate", "domain")


def test_a_series_has_its_slopes_and_its_last_step(compared):
    value, found = read(compared.series), curate.publish(compared.series, dry_run=True)
    series = value["series"]
    slopes = find_values(found, "curate_domain_perplexity_slope_low_ratio", "domain")
    assert slopes == {row["name"]: row["change_low"] for row in series["groups"]}
    assert slopes["code"] > 0.01 > slopes["law"]
    jumps = find_values(found, "curate_domain_perplexity_change_ratio", "domain")
    assert jumps == {row["name"]: row["jumps"][-1]["change"] for row in series["groups"]}
    gates = find_values(found, "curate_domain_series_gate", "domain")
    assert gates == {row["name"]: TO_GATE[row["verdict"]] for row in series["groups"]}
    assert {one.labels["after"] for one in measured(found) if one.name == "curate_gate"} == {series["steps"][-1]}
    assert find_values(found, "curate_series_steps") == 3
    folded = find_values(
        curate.publish(compared.series, max_labels=1, dry_run=True), "curate_domain_series_gate", "domain"
    )
    assert folded == {"other": 1}


def test_bits_per_byte_have_names_of_their_own(compared):
    sides = [compared.folder / "before", compared.folder / "worse"]
    found = curate.compare(sides, tolerance="0.01bpb", within="domain")
    summary = curate.publish(write_comparison(compared.folder / "bits.json", found), dry_run=True)
    names = {one.name for one in measured(summary)}
    assert "curate_bits_per_byte_change" in names and "curate_perplexity_change_ratio" not in names
    assert find_values(summary, "curate_tolerance_bits_per_byte") == 0.01
    assert find_values(summary, "curate_bits_per_byte_change") == found.pairs[0].all.change


def test_several_sides_of_one_name_stay_apart(compared):
    side = compared.folder / "before"
    found = curate.compare([side, side, side])
    summary = curate.publish(write_comparison(compared.folder / "three.json", found), dry_run=True)
    assert len(as_keys(summary)) == len(measured(summary))
    assert set(find_values(summary, "curate_side_documents", "side")) == {"before", "before 2", "before 3"}
    assert name_apart(["a", "a", "a 2", "a"]) == ["a", "a 2", "a 2 2", "a 3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "neither a run directory nor JSON"),
        ("[1]", "is no output of curate compare --json"),
        ('{"made_by": "curate compare"}', "but a baseline"),
        ('{"funnel": {}}', "numbers of a report"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        curate.publish(path, dry_run=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(metric="bleu"),
        lambda value: value["pairs"][0]["all"].update(verdict="fine"),
        lambda value: value["pairs"][0]["all"].update(change="0.1"),
        lambda value: value["pairs"][0].pop("groups"),
        lambda value: value["sides"].pop(),
        lambda value: value.update(tolerance="much"),
        lambda value: value["pairs"][0]["groups"].append(value["pairs"][0]["groups"][0]),
        lambda value: value["pairs"][0]["all"].update(documents=[10**400, 1]),
    ],
)
def test_a_damaged_comparison_is_refused_and_never_misread(compared, tmp_path, change):
    value = read(compared.gate)
    change(value)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(value))
    with pytest.raises(TableError, match="is damaged"):
        curate.publish(path, dry_run=True)


def test_another_format_is_refused(compared, tmp_path):
    path = tmp_path / "later.json"
    path.write_text(json.dumps({**read(compared.gate), "format": 2}))
    with pytest.raises(TableError, match="of format 2"):
        curate.publish(path, dry_run=True)


def test_within_has_no_effect_on_a_comparison(compared):
    with pytest.raises(UsageError, match="--within has no effect"):
        curate.publish(compared.gate, within="domain", dry_run=True)
