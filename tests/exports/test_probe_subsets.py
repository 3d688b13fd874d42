"""``curate filter --probe``: three exports of equal tokens that share no document, and nothing decided."""

import json

import datasets
import numpy as np
import pytest
from helpers.runs import count_scored_tokens_alone, make_run, numbered, numbered_run, write_hits, write_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import curate
from curate.errors import GateError, UsageError
from curate.exports import probe_subsets
from curate.rundir.document_blocks import BlockReader
from curate.rundir.run import open_run
from curate.rundir.verdicts import rejections
from curate.stages.filter.criteria import FilterOptions
from curate.verbs.filter import filter as choose
from curate.verbs.verify import verify

SIDES = probe_subsets.SIDES


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def drawn(count, seed=0, longest=40):
    """Documents with a few ties among their perplexities, of 1 to ``longest`` tokens."""
    random = np.random.default_rng(seed)
    return [
        {"perplexity": float(value), "tokens": int(tokens)}
        for value, tokens in zip(random.integers(2, 30, count), random.integers(1, longest + 1, count), strict=True)
    ]


def rows_of(out):
    return {side: list(datasets.load_dataset(str(out), side, split="train")) for side in SIDES}


def test_three_exports_of_equal_tokens_share_no_document_and_replace_no_decision(tmp_path):
    values = drawn(300)
    run = numbered_run(tmp_path, values)
    choose(str(run.path), max_ppl=20)
    before = (run.filter.read_bytes(), (run.path / "run.json").read_bytes())
    found = choose(str(run.path), probe=str(tmp_path / "out"), max_ppl=25)
    assert (run.filter.read_bytes(), (run.path / "run.json").read_bytes()) == before
    held, kept = rows_of(tmp_path / "out"), [one for one in values if one["perplexity"] <= 25]
    assert (found.documents, found.tokens) == (len(kept), sum(one["tokens"] for one in kept))
    assert found.budget == found.tokens // 10
    told = {one["side"]: one for one in json.loads((tmp_path / "out" / "probe.json").read_text())["subsets"]}
    for side, rows in held.items():
        numbers = [values[row["curate_row"]]["perplexity"] for row in rows]
        tokens = sum(row["curate_tokens"] for row in rows)
        assert found.budget - 40 < tokens <= found.budget
        assert (told[side]["documents"], told[side]["tokens"]) == (len(rows), tokens)
        expected = (min(numbers), float(np.median(numbers)), max(numbers))
        assert (told[side]["lowest"], told[side]["median"], told[side]["highest"]) == expected
        manifest = json.loads((tmp_path / "out" / side / "manifest.json").read_text())
        assert manifest["rows"] == len(rows) and manifest["made_from"]["filter"]["parameters"]["probe"] == side
        assert verify(str(tmp_path / "out" / side)).whole
        assert len(datasets.load_from_disk(str(tmp_path / "out" / side))["train"]) == len(rows)
    places = [row["curate_row"] for rows in held.values() for row in rows]
    assert len(set(places)) == len(places)
    shown = found.render()
    assert max(map(len, shown.replace(str(tmp_path), "").splitlines())) <= 100
    assert all(side in (tmp_path / "out" / "README.md").read_text() for side in SIDES)


def test_what_a_probe_was_made_of_and_how_is_told_to_programs_and_to_people(tmp_path):
    rows = [{"text": f"document {n} word", "domain": "ab"[n % 2]} for n in range(60)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    choose(str(run.path), probe=str(tmp_path / "out"), within="domain")
    told, scores = json.loads((tmp_path / "out" / "probe.json").read_text()), run.finished_scores()
    assert told["made_by"] == "curate filter --probe" and told["made_from"]["scores"] == scores["fingerprint"]
    assert not {"run", "out"} & told.keys()
    page = (tmp_path / "out" / "README.md").read_text()
    assert "tags:\n- curate\nconfigs:\n" in page and "each group of `domain` by itself" in page
    for side in SIDES:
        manifest = json.loads((tmp_path / "out" / side / "manifest.json").read_text())
        counts = manifest["made_from"]["filter"]["counts"]
        assert (counts["read"], counts["kept"]) == (60, manifest["rows"]) and sum(
            counts["rejected"].values()
        ) == 60 - counts["kept"]


def chosen(run, **options):
    """The rows of each side, without an export."""
    given = FilterOptions(**options)
    asked = probe_subsets.build_side_criteria("low", given, 1)
    columns = tuple(dict.fromkeys(["row", "perplexity", *asked.columns()]))
    opened = open_run(run.path)
    within = list(asked.band.within)
    source = BlockReader(opened, rejections.open_rejections(opened), columns, [], within)
    source.load()
    budget, _, sieves = probe_subsets.choose_subsets(source, given)
    found = {}
    for side in SIDES:
        judge = sieves[side].restart()
        found[side] = [int(row) for block in source.blocks() for row in block.rows[judge.judge(block) == 0]]
    return budget, found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([1, 3, 40]), st.floats(0.01, 0.33), st.booleans())
def test_the_sides_are_apart_within_the_budget_and_in_the_order_of_the_column(
    tmp_path_factory, seed, count, longest, share, sliced
):
    values = drawn(count, seed, longest)
    run = numbered_run(tmp_path_factory.mktemp("run"), values, slice_bytes=200 if sliced else 10**6)
    total, most = sum(one["tokens"] for one in values), max(one["tokens"] for one in values)
    wanted = max(1, int(share * total))
    if 3 * wanted > total:
        return
    budget, found = chosen(run, tokens=wanted)
    sums = {side: sum(values[row]["tokens"] for row in rows) for side, rows in found.items()}
    assert budget == wanted and all(held <= budget for held in sums.values())
    ranks = sorted(range(count), key=lambda row: (values[row]["perplexity"], row))
    places = {side: [ranks.index(row) for row in rows] for side, rows in found.items()}
    flat = [place for side in SIDES for place in sorted(places[side])]
    assert flat == sorted(set(flat))  # apart, and low below middle below high, ties in the order of the corpus
    for held in places.values():
        assert sorted(held) == list(range(min(held, default=0), min(held, default=0) + len(held)))
    assert not places["low"] or min(places["low"]) == 0
    assert not places["high"] or max(places["high"]) == count - 1
    assert all(sums[side] > budget - most for side in ("low", "high"))
    if 3 * budget + 2 * most <= total:  # else the high begins before the middle has all its tokens
        assert sums["middle"] > budget - most


def test_each_group_gives_its_share(tmp_path):
    values = drawn(400, 3)
    rows = [{"text": f"document {n} word", "domain": "ab"[n % 4 == 0]} for n in range(400)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"], numbered(values))
    found = choose(str(run.path), probe=str(tmp_path / "out"), within="domain")
    held = rows_of(tmp_path / "out")
    for name in "ab":
        whole = sum(one["tokens"] for one, row in zip(values, rows, strict=True) if row["domain"] == name)
        for side in SIDES:
            part = sum(row["curate_tokens"] for row in held[side] if row["domain"] == name)
            assert whole // 10 - 42 < part <= whole // 10 + 1
    assert found.within == ("domain",) and "within domain" in found.render()


def test_contaminated_documents_and_those_without_a_number_are_in_none(tmp_path):
    values = [*drawn(60), {"perplexity": None, "tokens": 30}]
    run = numbered_run(tmp_path, values)
    write_hits(run, [{"row": row} for row in range(0, 60, 3)])
    found = choose(str(run.path), probe=str(tmp_path / "out"), tokens="100")
    assert found.budget == 100 and found.documents == 40
    rows = {row["curate_row"] for rows in rows_of(tmp_path / "out").values() for row in rows}
    assert rows and not rows & {*range(0, 60, 3), 60}


def test_the_same_command_gives_the_same_bytes(tmp_path):
    run = numbered_run(tmp_path, drawn(80))
    taken = []
    for name in ("one", "two"):
        choose(str(run.path), probe=str(tmp_path / name))
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        taken.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert taken[0] == taken[1]


@pytest.mark.parametrize(
    "asked",
    [
        {"keep": "low"}, {"rate": 0.5}, {"temperature": 1.0}, {"seed": 3}, {"show": True}, {"dry_run": True},
        {"ledger": "domain"}, {"tokens": "1B"}, {"tokens": "none"}, {"by": "nothing"}, {"within": "nothing"},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_with_a_hint_and_writes_nothing(tmp_path, asked):
    run = numbered_run(tmp_path, drawn(30))
    with pytest.raises(UsageError) as caught:
        choose(str(run.path), probe=str(tmp_path / "out"), **asked)
    assert caught.value.hint and sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "run"]


def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path):
    run = numbered_run(tmp_path, drawn(30))
    (tmp_path / "out").mkdir()
    choose(str(run.path), probe=str(tmp_path / "out"))  # an empty one is taken
    before = sorted(path for path in (tmp_path / "out").rglob("*"))
    with pytest.raises(UsageError, match="is not an empty folder"):
        choose(str(run.path), probe=str(tmp_path / "out"))
    assert sorted(path for path in (tmp_path / "out").rglob("*")) == before


def test_nothing_kept_and_too_few_tokens_are_errors_and_leave_nothing(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": float(n), "tokens": 50} for n in range(1, 9)])
    with pytest.raises(GateError, match="nothing to probe"):
        choose(str(run.path), probe=str(tmp_path / "out"), max_ppl=0.5)
    with pytest.raises(GateError, match="short enough"):
        choose(str(run.path), probe=str(tmp_path / "out"))  # a tenth of 400 tokens
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "run"]


def test_a_middle_that_begins_late_leaves_the_high_its_tokens(tmp_path):
    tokens = [20, 40, *[1] * 40]  # the long document lies where the middle would begin
    run = numbered_run(tmp_path, [{"perplexity": 2.0 + n, "tokens": many} for n, many in enumerate(tokens)])
    budget, found = chosen(run, tokens=33)
    assert (budget, found["low"], found["middle"]) == (33, [0], list(range(2, 9)))
    assert found["high"] == list(range(9, 42))


def test_a_recipe_with_a_probe_is_refused_before_any_work(tmp_path):
    run = numbered_run(tmp_path, drawn(30))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"run: {run.path}\nsteps:\n  - filter: {{probe: {tmp_path / 'out'}}}\n")
    with pytest.raises(UsageError, match="line 3: filter: probe writes nothing"):
        curate.run(str(recipe))
    assert not (tmp_path / "out").exists()


def test_scores_of_the_first_tokens_alone_are_said_to_be_that(tmp_path):
    run = numbered_run(tmp_path, drawn(80))
    record = json.loads((run.path / "run.json").read_text())
    record["score"]["made_from"]["model"]["max_tokens"] = 256
    (run.path / "run.json").write_text(json.dumps(record))
    count_scored_tokens_alone(run.path)
    found = choose(str(run.path), probe=str(tmp_path / "out"))
    assert "first 256 tokens" in found.render()
    assert "first 256 tokens" in (tmp_path / "out" / "README.md").read_text()
