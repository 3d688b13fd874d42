"""``curate compare``: pairs and samples, groups, gates, baselines, exports, and what is refused."""

import json
import math

import numpy as np
import pytest
from helpers.compared_runs import DOMAINS, make_numbers, make_side, read_json, write_corpus
from helpers.runs import make_run
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import TableError, UsageError
from curate.rundir.run import compute_fingerprint


def noise(number):
    return 0.001 * math.sin(7 * number)


def worse_code(number):
    return noise(number) + (0.05 if number % 3 == 0 else 0.0)


def run_cli(*words):
    done = CliRunner().invoke(app, ["compare", *words])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    corpus = write_corpus(folder / "corpus.jsonl")
    make_side(folder, "before", corpus)
    make_side(folder, "same", corpus, noise)
    make_side(folder, "worse", corpus, worse_code)
    make_side(folder, "other", write_corpus(folder / "other.jsonl", first=1000))
    return folder


def test_a_run_against_itself_differs_by_exactly_nothing(folder):
    found = curate.compare([folder / "before", folder / "before"], within="domain", tolerance="0.0001%")
    assert found.exit_code == 0 and found.verdict == "within"
    for row in found.pairs[0].rows:
        assert (row.difference, row.low, row.high) == (0, 0, 0)
    assert found.pairs[0].paired and found.pairs[0].num_pairs == 90


def test_the_gate_names_the_domain_that_crossed_first(folder):
    code, screen = run_cli(str(folder / "before"), str(folder / "worse"), "--within", "domain", "--tolerance", "1%")
    assert code == 4
    assert "verdict     beyond 1%: all, code" in screen
    rows = curate.compare([folder / "before", folder / "worse"], within="domain", tolerance="1%").pairs[0].groups
    assert rows[0].name == "code" and [row.verdict for row in rows] == ["beyond", "within", "within"]
    assert rows[0].change == pytest.approx(math.expm1(0.05), abs=0.002)
    assert run_cli(str(folder / "before"), str(folder / "same"), "--within", "domain", "--tolerance", "1%")[0] == 0


def test_only_worse_lets_numbers_fall(folder):
    sides = [folder / "worse", folder / "before"]
    assert curate.compare(sides, tolerance="1%").exit_code == 4
    assert curate.compare(sides, tolerance="1%", only_worse=True).exit_code == 0


def test_swapped_sides_change_the_sign_alone(folder):
    there = curate.compare([folder / "before", folder / "worse"], within="domain").pairs[0]
    back = curate.compare([folder / "worse", folder / "before"], within="domain").pairs[0]
    for first, second in zip(sorted(there.rows, key=by_name), sorted(back.rows, key=by_name), strict=True):
        assert first.difference == -second.difference
        assert (first.low, first.high) == pytest.approx((-second.high, -second.low), rel=1e-9)


def by_name(row):
    return row.name


def test_the_difference_is_that_of_the_sums_of_the_tables(folder):
    found = curate.compare([folder / "before", folder / "worse"])
    sides = found.sides
    assert found.pairs[0].all.before == pytest.approx(sides[0].perplexity)
    expected = math.log(sides[1].perplexity / sides[0].perplexity)
    assert found.pairs[0].all.difference == pytest.approx(expected)


def test_sides_that_share_no_text_are_two_samples_and_too_few_to_tell(folder):
    code, screen = run_cli(str(folder / "before"), str(folder / "other"), "--tolerance", "0.5%")
    assert code == 5 and "as two samples of 90 and 90 documents" in screen
    assert "cannot tell (needs" in screen and "verdict     cannot tell: all" in screen
    assert run_cli(str(folder / "before"), str(folder / "other"), "--tolerance", "0.5%", "--unsure", "pass")[0] == 0
    assert run_cli(str(folder / "before"), str(folder / "other"), "--tolerance", "0.5%", "--unsure", "fail")[0] == 4


def test_texts_in_another_order_and_with_copies_are_paired_by_their_hashes(folder, tmp_path):
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    chosen = [rows[number] for number in np.random.default_rng(0).permutation(90)[:80]]
    path = tmp_path / "shuffled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*chosen, *chosen[:5]]))
    side = make_side(tmp_path, "shuffled", path, worse_code)
    pair = curate.compare([folder / "before", side], within="domain").pairs[0]
    assert pair.paired and pair.num_pairs == 80 and pair.left_out == (10, 5)
    alone = make_side(tmp_path, "alone", write_subset(tmp_path, chosen))
    whole = make_side(tmp_path, "whole", tmp_path / "subset.jsonl", worse_code)
    expected = curate.compare([alone, whole], within="domain").pairs[0]
    assert {row.name: row.difference for row in pair.rows} == pytest.approx(
        {row.name: row.difference for row in expected.rows}
    )


def write_subset(folder, rows):
    path = folder / "subset.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_domain_that_is_missing_now_is_never_green(folder, tmp_path):
    corpus = write_corpus(tmp_path / "less.jsonl", domains=("code", "law", "law"))
    side = make_side(tmp_path, "less", corpus)
    for pairs in ("auto", "never"):
        found = curate.compare([folder / "before", side], within="domain", tolerance="99%", pairs=pairs)
        verdicts = {row.name: row.verdict for row in found.pairs[0].groups}
        assert verdicts["news"] == "unmeasured" and verdicts["code"] == "within"
        assert found.exit_code == 5 and found.verdict == "unmeasured"
        again = curate.compare([folder / "before", side], within="domain", tolerance="99%", pairs=pairs, unsure="pass")
        assert again.exit_code == 4
    new = curate.compare([side, folder / "before"], within="domain", tolerance="99%", pairs="never")
    assert {row.name: row.verdict for row in new.pairs[0].groups}["news"] is None
    assert new.exit_code == 0


def test_other_tokenizers_are_compared_in_bits_per_byte_and_perplexity_is_refused(folder, tmp_path):
    numbers = make_numbers(lambda number: -1.2, tokens=lambda text: 2 * len(text.split()))
    make_run(tmp_path / "fine", [folder / "corpus.jsonl"], numbers, identity={"tokenizer": "another"})
    sides = [str(folder / "before"), str(tmp_path / "fine")]
    found = curate.compare(sides, within="domain")
    assert found.metric == "bits_per_byte" and "tokenizers differ" in found.metric_reason
    assert found.pairs[0].paired
    row = found.pairs[0].all
    assert (row.before, row.after) == pytest.approx([side.bits_per_byte for side in found.sides])
    assert row.difference == pytest.approx(row.after - row.before)
    for options in ({"by": "ppl"}, {"tolerance": "0.5%"}):
        with pytest.raises(UsageError, match="tokenizers differ"):
            curate.compare(sides, **options)


@pytest.mark.parametrize(
    ("identity", "option"),
    [
        ({"prefix": None}, "--prefix"),
        ({"convention": "lm-eval"}, "--convention"),
        ({"max_tokens": 512}, "--truncate"),
        ({"template": "a1b2"}, "template"),
    ],
)
def test_other_ways_of_reading_are_refused_by_name(folder, tmp_path, identity, option):
    base = {"prefix": 0, "convention": "curate", "max_tokens": None}
    first, second = tmp_path / "first", tmp_path / "second"
    make_run(first, [folder / "corpus.jsonl"], make_numbers(), identity=base)
    make_run(second, [folder / "corpus.jsonl"], make_numbers(), identity={**base, **identity})
    with pytest.raises(UsageError, match="read differently") as caught:
        curate.compare([first, second])
    assert option in caught.value.message and "--anyway" in caught.value.hint
    found = curate.compare([first, second], anyway=True)
    assert option in found.ignored[0] and found.ignored[0] in found.render().replace("\n            ", " ")


@pytest.mark.parametrize(("windows", "refused"), [(1, False), (3, True)])
def test_another_window_matters_where_a_text_is_longer_than_one(folder, tmp_path, windows, refused):
    def numbers(text):
        return {**make_numbers()(text), "windows": windows}

    for name, window in (("short", 1024), ("long", 2048)):
        make_run(tmp_path / name, [folder / "corpus.jsonl"], numbers, identity={"window": window})
    sides = [tmp_path / "short", tmp_path / "long"]
    if refused:
        with pytest.raises(UsageError, match="--window is 1024 in short, 2048 in long"):
            curate.compare(sides)
    else:
        assert curate.compare(sides).pairs[0].paired


def test_a_baseline_is_small_and_stands_for_its_run(folder, tmp_path):
    file = tmp_path / "baseline.json"
    code, screen = run_cli(str(folder / "before"), "--save", str(file), "--within", "domain")
    assert code == 0 and f"baseline    {file}" in screen
    assert file.stat().st_size < 20_000
    for within in (None, "domain"):
        direct = curate.compare([folder / "before", folder / "worse"], within=within, tolerance="1%")
        saved = curate.compare([file, folder / "worse"], within=within, tolerance="1%")
        assert saved.pairs[0].paired and saved.exit_code == direct.exit_code == 4
        assert [(row.name, row.difference, row.verdict) for row in saved.pairs[0].rows] == [
            (row.name, row.difference, row.verdict) for row in direct.pairs[0].rows
        ]
    assert saved.distributions[0].quantiles == pytest.approx(direct.distributions[0].quantiles, rel=1e-3)


def test_a_baseline_without_its_documents_is_a_sample_with_the_same_error(folder, tmp_path):
    file = tmp_path / "baseline.json"
    curate.compare([folder / "before"], save=file, within="domain")
    change_baseline(file, documents=None)
    direct = curate.compare([folder / "before", folder / "worse"], within="domain", pairs="never").pairs[0]
    saved = curate.compare([file, folder / "worse"], within="domain").pairs[0]
    assert not saved.paired
    for first, second in zip(sorted(direct.rows, key=by_name), sorted(saved.rows, key=by_name), strict=True):
        assert first.difference == pytest.approx(second.difference)
        assert first.error == pytest.approx(second.error)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"format": 2}, TableError, "format 2"),
        ({"made_by": "another"}, UsageError, "no baseline"),
        ({"groups": [{"name": "law"}]}, TableError, "damaged"),
        ({"all": None}, TableError, "damaged"),
        ({"documents": {"hash": "AAAA"}}, TableError, "damaged"),
    ],
)
def test_a_baseline_of_another_format_or_damaged_is_refused(folder, tmp_path, change, error, words):
    file = tmp_path / "baseline.json"
    curate.compare([folder / "before"], save=file, within="domain")
    change_baseline(file, **change)
    with pytest.raises(error, match=words):
        curate.compare([file, folder / "worse"])


def change_baseline(file, **changes):
    """Change a baseline as if it had been saved so."""
    known = {**read_json(file), **changes}
    known.pop("checksum")
    file.write_text(json.dumps({**known, "checksum": compute_fingerprint(known)}))


def test_a_baseline_that_was_edited_is_refused(folder, tmp_path):
    file = tmp_path / "baseline.json"
    curate.compare([folder / "before"], save=file, within="domain")
    edits = (('"nats":', '"nats":1'), ('"format": 1,', '"format": 1, "x": 1,'), ('"groups": [', '"groups": [], "g": ['))
    for old, new in edits:
        text = file.read_text()
        assert old in text
        (tmp_path / "edited.json").write_text(text.replace(old, new, 1))
        with pytest.raises(TableError, match="was changed since it was saved"):
            curate.compare([tmp_path / "edited.json", folder / "worse"])


def test_a_side_that_lost_most_of_its_documents_is_never_green(folder, tmp_path):
    lines = (folder / "corpus.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join(lines[:12]))
    few = make_side(tmp_path, "few", tmp_path / "few.jsonl")
    found = curate.compare([folder / "before", few], within="domain", tolerance="1%")
    assert found.pairs[0].paired and found.pairs[0].left_out == (78, 0)
    assert {row.verdict for row in found.pairs[0].rows} == {"unmeasured"} and found.exit_code == 5
    assert curate.compare([few, folder / "before"], within="domain", tolerance="1%").exit_code == 0, "more is not less"


def test_a_side_without_a_document_with_numbers_passes_no_gate(folder, tmp_path):
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n{"text": ""}\n')
    empty = make_side(tmp_path, "empty", tmp_path / "empty.jsonl", slice_bytes=1000)
    for sides, options in (
        ([folder / "before", empty], {"tolerance": "1%"}),
        ([empty, empty], {"tolerance": "1%"}),
        ([empty], {"save": tmp_path / "saved.json"}),
        ([folder / "before", empty], {"leak": True}),
    ):
        with pytest.raises(TableError, match="no document with numbers"):
            curate.compare(sides, **options)
    assert not (tmp_path / "saved.json").exists()


def test_a_baseline_of_many_documents_says_why_it_is_a_sample(folder, tmp_path):
    file = tmp_path / "baseline.json"
    curate.compare([folder / "before"], save=file)
    change_baseline(file, documents=None)
    pair = curate.compare([file, folder / "before"]).pairs[0]
    assert not pair.paired and "keeps none of its 90 documents" in pair.note


def test_an_export_that_was_edited_is_refused(folder, tmp_path):
    curate.export(tmp_path / "out", run=folder / "before", format="jsonl")
    shard = next((tmp_path / "out").rglob("*.jsonl"))
    shard.write_text(shard.read_text().replace('"curate_nats":', '"curate_nats":1', 1))
    with pytest.raises(TableError, match="not as it was written"):
        curate.compare([tmp_path / "out", folder / "worse"])


def test_of_several_sides_the_verdict_names_the_one_that_crossed(folder):
    found = curate.compare([folder / "before", folder / "same", folder / "worse"], within="domain", tolerance="1%")
    assert "beyond 1%: all (worse), code (worse)" in found.render() and "(same)" not in found.render()


def test_a_baseline_of_other_groups_and_files_of_others_are_refused(folder, tmp_path):
    file = tmp_path / "baseline.json"
    curate.compare([folder / "before"], save=file)
    with pytest.raises(UsageError, match="without --within"):
        curate.compare([file, folder / "worse"], within="domain")
    other = tmp_path / "other.json"
    other.write_text('{"a": 1}')
    with pytest.raises(UsageError, match="something else"):
        curate.compare([folder / "before"], save=other)
    assert other.read_text() == '{"a": 1}'
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(TableError, match="no JSON"):
        curate.compare([broken, folder / "worse"])


def test_exports_stand_for_their_runs(folder, tmp_path):
    for name in ("before", "worse"):
        for kind in ("jsonl", "parquet"):
            curate.export(tmp_path / f"{name}-{kind}", run=folder / name, format=kind)
    direct = curate.compare([folder / "before", folder / "worse"], within="domain").pairs[0]
    for kind in ("jsonl", "parquet"):
        found = curate.compare([tmp_path / f"before-{kind}", tmp_path / f"worse-{kind}"], within="domain")
        assert found.pairs[0].paired and found.sides[0].kind == "export"
        assert {row.name: row.difference for row in found.pairs[0].rows} == pytest.approx(
            {row.name: row.difference for row in direct.rows}
        )
        mixed = curate.compare([tmp_path / f"before-{kind}", folder / "worse"], within="domain").pairs[0]
        assert mixed.paired and mixed.all.difference == pytest.approx(direct.all.difference)
    with pytest.raises(UsageError, match='no column "topic"'):
        curate.compare([tmp_path / "before-jsonl", folder / "worse"], within="topic")


def test_documents_of_one_cluster_are_drawn_together(tmp_path):
    def shift(number):
        return 0.02 * math.sin(number // 6)

    corpus = write_corpus(tmp_path / "corpus.jsonl", count=240, site=lambda number: f"site {number // 6}")
    sides = [make_side(tmp_path, "before", corpus), make_side(tmp_path, "after", corpus, shift)]
    plain, drawn = (curate.compare(sides, cluster=cluster).pairs[0].all for cluster in (None, "site"))
    assert drawn.difference == pytest.approx(plain.difference)
    assert drawn.error > 1.8 * plain.error, "six documents of a site say little more than one"


def test_the_json_is_what_the_screen_shows(folder):
    code, text = run_cli(str(folder / "before"), str(folder / "worse"), "--within", "domain", "--json")
    found = json.loads(text)
    assert code == found["exit_code"] == 0 and found["verdict"] is None
    assert found["pairs"][0]["groups"][0]["name"] == "code"
    assert {side["label"] for side in found["sides"]} == {"before", "worse"}
    assert sorted(row["name"] for row in found["pairs"][0]["groups"]) == sorted(DOMAINS)


def test_the_documents_that_changed_most_are_named(folder, tmp_path):
    corpus = folder / "corpus.jsonl"
    side = make_side(tmp_path, "odd", corpus, lambda number: {7: 0.4, 11: -0.3}.get(number, 0.0))
    found = curate.compare([folder / "before", side], worst=2, within="domain").changed
    assert [(one.direction, one.id, one.group) for one in found] == [("higher", "d7", "law"), ("lower", "d11", "news")]
    assert found[0].change == pytest.approx(math.expm1(0.4))
    with pytest.raises(UsageError, match="share too few"):
        curate.compare([folder / "before", folder / "other"], worst=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["before"], "compared with nothing"),
        (["before", "nowhere"], "nowhere does not exist"),
        (["before", "corpus.jsonl"], "no JSON"),
        (["before", "worse", "--tolerance", "much"], "--tolerance must be"),
        (["before", "worse", "--tolerance", "0.5%", "--by", "bpb"], "not of the measure"),
        (["before", "worse", "--only-worse"], "no effect without --tolerance"),
        (["before", "worse", "--unsure", "pass"], "no effect without --tolerance"),
        (["before", "worse", "--spans"], "no effect without --worst"),
        (["before", "worse", "--draws", "10"], "--draws must be at least"),
        (["before", "worse", "--seed", "-1"], "--seed must be 0 or more"),
        (["before", "worse", "--worst", "2", "--pairs", "never"], "--pairs never makes none"),
        (["before", "worse", "--within", "topic"], "topic"),
        (["before", "worse", "--time"], "at least three"),
        (["before", "worse", "--time-column", "day"], "needs one side"),
        (["before", "--leak", "--save", "x.json"], "needs two sides"),
        (["before", "worse", "--cost", "prices.yaml"], "prices.yaml"),
        (["before", "worse", "--memory-limit", "much"], "--memory-limit"),
    ],
)
def test_mistakes_are_named(folder, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    code, screen = run_cli(*words)
    assert code in (1, 2) and message in screen and "Traceback" not in screen
    assert not (folder / "x.json").exists()


def test_a_run_without_a_model_or_unfinished_is_refused(folder, tmp_path):
    make_run(tmp_path / "plain", [folder / "corpus.jsonl"], make_numbers(), identity={"model": "none"})
    with pytest.raises(TableError, match="without a model"):
        curate.compare([folder / "before", tmp_path / "plain"])
    make_run(tmp_path / "begun", [folder / "corpus.jsonl"], make_numbers(), complete=False)
    with pytest.raises(TableError, match="not complete"):
        curate.compare([folder / "before", tmp_path / "begun"])
