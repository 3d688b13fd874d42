"""``load_dataset`` gives the documents of an export, though its one cache for all has others of the same name."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import datasets
import pytest
from helpers.exports import FORMATS, plain_run, read_in_order, shards_of, shuffled
from helpers.runs import numbered_run, write_buckets, write_order

from curate.errors import UsageError
from curate.exports import dataset_folder
from curate.verbs.export import export
from curate.verbs.filter import filter as choose
from curate.verbs.verify import verify

KEY = ("curate_file", "curate_row", "text")


def keys_of(rows):
    return [tuple(row[name] for name in KEY) for row in rows]


def written(out, folder=""):
    """The documents in the shards, read without datasets."""
    return keys_of(row for name, rows in shards_of(out).items() if name.startswith(folder) for row in rows)


def assert_loads(out):
    """Hold what is loaded, in each way, equal to what stands in the shards; verify agrees."""
    configs = json.loads((out / "manifest.json").read_text()).get("buckets", {}).get("folders") or {}
    for name, folder in [("default", ""), *((name, f"data/{name}/") for name in configs.values())]:
        for streaming in (False, True):
            rows = datasets.load_dataset(str(out), name, split="train", streaming=streaming)
            assert keys_of(rows) == written(out, folder)
    assert keys_of(datasets.load_dataset(str(out), split="train")) == written(out)
    if (out / "dataset_dict.json").exists():
        assert keys_of(datasets.load_from_disk(str(out))["train"]) == written(out)
    found = verify(str(out), loader="none")
    (detail,) = [finding.detail for finding in found.findings if finding.check == "load_dataset"]
    assert found.whole and "in the cache of datasets are these documents" in detail
    return written(out)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_export_to_one_folder_loads_as_what_was_written_last(tmp_path, kind):
    run, _ = plain_run(tmp_path / "one", 40)
    other, _ = plain_run(tmp_path / "two", 50)
    out, loaded = tmp_path / "out", []

    def write(run, **options):
        export(str(out), str(run.path), format=kind, shard_size="4kB", overwrite=True, **options)
        loaded.append(assert_loads(out))

    write(run)
    write(other)
    choose(str(run.path), where="row < 20")
    write(run)
    choose(str(run.path), where="row >= 20")  # as many documents
    write(run)
    write(run, rejected=True)
    choose(str(run.path), where="row >= 0")
    for seed in (0, 1):
        shuffled(run, list(range(40)), 40, seed)
        write(run)
    write(run, no_order=True)
    for names in (("head", "tail"), ("tail", "head")):
        write_buckets(run, [names[n % 2] for n in range(40)])
        write(run, by_bucket=True)
    assert loaded[2] == loaded[4] and loaded[0] == loaded[7]
    assert len({tuple(rows) for rows in loaded}) == len(loaded) - 2
    assert verify(str(out), loader="dataloader").exit_code == 0


def test_one_folder_in_each_format_loads_as_what_was_written_last(tmp_path):
    run, _ = plain_run(tmp_path, 30)
    for number, kind in enumerate((*FORMATS, *FORMATS)):
        write_order(run, [(n * 7 + number) % 30 for n in range(30)])
        export(str(tmp_path / "out"), str(run.path), format=kind, overwrite=True)
        assert_loads(tmp_path / "out")


@pytest.mark.parametrize("kind", FORMATS)
def test_projects_that_export_to_one_name_load_their_own_though_all_loads_run_at_once(tmp_path, kind):
    outs = []
    for name in "abcd":
        run = numbered_run(tmp_path / name, [{"perplexity": float(ord(name) + n)} for n in range(9)])
        outs.append(tmp_path / name / "out")
        export(str(outs[-1]), str(run.path), format=kind)

    def load(out):
        return datasets.load_dataset(str(out), split="train")["curate_perplexity"][:]

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(load, [*outs, *outs]))
    assert got == [[row["curate_perplexity"] for row in read_in_order(out)] for out in [*outs, *outs]]


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_data_have_one_fingerprint_whatever_the_folder_and_the_run_are_called(tmp_path, kind):
    marks, heads = set(), set()
    for name in ("one", "two"):
        run, _ = plain_run(tmp_path / name, 20)
        export(str(tmp_path / name / f"out-{name}"), str(run.path), format=kind, by_bucket=False)
        marks.add(json.loads((tmp_path / name / f"out-{name}" / "manifest.json").read_text())["fingerprint"])
        heads.add((tmp_path / name / f"out-{name}" / "README.md").read_text().split("---")[1])
    assert len(marks) == len(heads) == 1 and marks.pop() in heads.pop()
    copy = tmp_path / "copied" / "out-one"
    shutil.copytree(tmp_path / "one" / "out-one", copy)
    assert_loads(tmp_path / "one" / "out-one")
    assert_loads(copy)
    shutil.move(copy, tmp_path / "moved")
    assert_loads(tmp_path / "moved")


def test_a_column_more_or_another_value_changes_the_fingerprint(tmp_path):
    marks = []
    for name, values in {
        "first": {}, "same": {}, "perplexity": {"perplexity": 3.0}, "tokens": {"tokens": 5}
    }.items():  # fmt: skip
        run = numbered_run(tmp_path / name, [values, {}])
        export(str(tmp_path / name / "out"), str(run.path), format="parquet")
        assert_loads(tmp_path / name / "out")
        marks.append(json.loads((tmp_path / name / "out" / "manifest.json").read_text())["fingerprint"])
    assert marks[0] == marks[1] and len(set(marks)) == len(marks) - 1


def test_probes_of_two_runs_with_one_name_load_their_own_sides(tmp_path):
    for name, start in (("one", 2), ("two", 500)):
        run = numbered_run(tmp_path / name, [{"perplexity": float(start + n), "tokens": 3} for n in range(60)])
        choose(str(run.path), probe=str(tmp_path / name / "probe"))
        out = tmp_path / name / "probe"
        for side in ("low", "middle", "high"):
            rows = read_in_order(out / side)
            assert rows and min(row["curate_perplexity"] for row in rows) >= start
            for streaming in (False, True):
                got = datasets.load_dataset(str(out), side, split="train", streaming=streaming)
                assert keys_of(got) == keys_of(rows)
            assert keys_of(datasets.load_dataset(str(out / side), split="train")) == keys_of(rows)
            assert verify(str(out / side), loader="none").whole


def make_old_card(out):
    """Take the fingerprint out of a card, as exports of earlier versions have it."""
    head = (out / "README.md").read_text().splitlines()
    (out / "README.md").write_text("\n".join(line for line in head if "description:" not in line) + "\n")


@pytest.mark.parametrize("kind", FORMATS)
def test_verify_finds_an_old_card_by_which_another_export_would_be_loaded(tmp_path, kind):
    for name, count in (("one", 12), ("two", 13)):
        run, _ = plain_run(tmp_path / name, count)
        export(str(tmp_path / name / "out"), str(run.path), format=kind)
        make_old_card(tmp_path / name / "out")
    stale = tmp_path / "two" / "out"
    (only,) = [one for one in verify(str(stale), loader="none").findings if not one.ok]
    assert only.check == "load_dataset" and "does not name the data" in only.detail
    assert len(datasets.load_dataset(str(tmp_path / "one" / "out"), split="train")) == 12
    assert len(datasets.load_dataset(str(stale), split="train")) == 12  # what happened before
    (only,) = [one for one in verify(str(stale), loader="none").findings if not one.ok]
    assert "gives other documents, from row 12" in only.detail and "--overwrite" in only.detail
    assert verify(str(stale), loader="none").exit_code == 4
    export(str(stale), str(tmp_path / "two" / "run"), format=kind, overwrite=True)
    assert_loads(stale)


def test_verify_finds_a_card_that_datasets_cannot_read(tmp_path):
    run, _ = plain_run(tmp_path, 5)
    export(str(tmp_path / "out"), str(run.path))
    (tmp_path / "out" / "README.md").write_text("---\nconfigs: nonsense\n---\n")
    (only,) = [one for one in verify(str(tmp_path / "out"), loader="none").findings if not one.ok]
    assert "cannot read the card" in only.detail


def test_what_map_keeps_next_to_the_shards_is_not_loaded_as_more_documents(tmp_path):
    run, _ = plain_run(tmp_path, 12)
    out = tmp_path / "out"
    export(str(out), str(run.path))
    datasets.load_from_disk(str(out))["train"].map(lambda row: {"length": len(row["text"])})
    assert list((out / "train").glob("cache-*.arrow"))
    assert len(datasets.load_dataset(str(out), split="train")) == 12
    assert verify(str(out), loader="none").whole


def test_the_state_files_of_buckets_name_different_data(tmp_path):
    run, _ = plain_run(tmp_path, 12)
    write_buckets(run, [("head", "tail")[n % 2] for n in range(12)])
    export(str(tmp_path / "out"), str(run.path), by_bucket=True)
    loaded = [datasets.load_from_disk(str(tmp_path / "out" / "data" / name)) for name in ("head", "tail")]
    assert len({one._fingerprint for one in loaded}) == 2


@pytest.mark.parametrize("name", ["a*b", "a?b", "o[1]", "a::b", "$HOME", "${X}", "x[1]/out"])
def test_a_path_that_load_dataset_reads_as_a_pattern_is_refused(tmp_path, monkeypatch, name):
    run, _ = plain_run(tmp_path, 5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="as a pattern"):
        export(name, str(run.path))
    with pytest.raises(UsageError, match="as a pattern"):
        choose(str(run.path), probe=name)


def test_a_folder_above_that_load_dataset_reads_as_a_pattern_is_warned_of(tmp_path, monkeypatch, capsys):
    run, _ = plain_run(tmp_path, 5)
    (tmp_path / "run[1]").mkdir()
    monkeypatch.chdir(tmp_path / "run[1]")
    monkeypatch.setattr(dataset_folder.console, "_enabled", True)
    export("out", str(run.path))
    assert "as a pattern" in capsys.readouterr().err
    assert verify("out", loader="none").exit_code == 4


@pytest.mark.parametrize("name", ["parquet", "json", "a b", "it's", "%2F", "-x", "ünï", "trail ", "#h", "{x}", "a,b"])
def test_the_line_that_export_prints_loads_the_export(tmp_path, monkeypatch, name):
    run, _ = plain_run(tmp_path, 5)
    monkeypatch.chdir(tmp_path)
    shown = export(name, str(run.path), format="jsonl").render()
    (line,) = [line.removeprefix(">>> ") for line in shown.splitlines() if line.startswith(">>> ")]
    assert eval(line, {"datasets": datasets})["train"].num_rows == 5
