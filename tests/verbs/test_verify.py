"""``curate verify``: damage is named, and what export writes is verified."""

import json
import shutil

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from helpers.exports import FORMATS, plain_run, shuffled
from helpers.ordered_exports import an_export, make_documents, order_table, write_ordered
from helpers.runs import write_buckets
from torch.utils.data import DataLoader

from curate.errors import TableError, UsageError
from curate.exports.verify import loaders, replay
from curate.verbs.export import export
from curate.verbs.verify import verify

pytestmark = pytest.mark.usefixtures("own_cache")


def wrong(out):
    found = verify(str(out), loader="none")
    assert found.exit_code == (0 if found.whole else 4)
    problems = [one for one in found.findings if not one.ok]
    return {
        check: "; ".join(one.detail for one in problems if one.check == check) for check in {p.check for p in problems}
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_byte_a_missing_file_and_swapped_shards_are_named(tmp_path, kind):
    out = an_export(tmp_path, kind, hashed=True)
    assert wrong(out) == {}
    shards = sorted(path for path in (out / ("train" if kind == "hf" else "data")).iterdir() if "-of-" in path.name)
    octets = shards[1].read_bytes()
    shards[1].write_bytes(octets[:-20] + bytes([octets[-20] ^ 1]) + octets[-19:])
    assert "sha256" in wrong(out)["files"] and shards[1].name in wrong(out)["files"]
    shards[1].write_bytes(octets[:-1])
    assert "bytes" in wrong(out)["files"]
    shards[1].unlink()
    assert "missing" in wrong(out)["files"]
    shards[1].write_bytes(shards[0].read_bytes())
    shards[0].write_bytes(octets)
    assert shards[0].name in wrong(out)["files"]


@pytest.mark.parametrize("kind", FORMATS)
def test_documents_that_do_not_stand_where_the_order_says_are_named_though_all_checksums_agree(tmp_path, kind):
    out, documents = an_export(tmp_path, kind), make_documents(60)
    other = documents.take([0, 2, 1, *range(3, 60)])
    shutil.copy(out / "order.parquet", tmp_path / "order.parquet")
    shutil.rmtree(out)
    write_ordered(out, kind, other)
    shutil.copy(tmp_path / "order.parquet", out / "order.parquet")
    found = wrong(out)
    assert set(found) in ({"documents"}, {"tokens"}, {"shards"}) and "position 1" in found.get(
        "documents", "position 1"
    )


def test_a_text_under_the_key_of_another_is_found_by_its_hash(tmp_path):
    documents = make_documents(60)
    texts = documents["text"].to_pylist()
    texts[7] = texts[7].upper()
    out = write_ordered(tmp_path / "out", "parquet", documents.set_column(0, "text", pa.array(texts)), hashed=True)
    manifest = json.loads((out / "manifest.json").read_text())
    files = [argument(file) for file in manifest["files"]]
    pq.write_table(order_table(documents, files, hashed=True), out / "order.parquet")
    assert "position 7" in wrong(out)["documents"] and "text" in wrong(out)["documents"]


def argument(file):
    from curate.exports.formats.shard_writer import WrittenShard

    return WrittenShard(**file)


def change_order(out, change):
    table = pq.read_table(out / "order.parquet")
    columns = {name: table[name].to_pylist() for name in table.column_names}
    change(columns)
    pq.write_table(pa.table(columns, schema=table.schema), out / "order.parquet")


def test_an_order_that_was_permuted_or_damaged_is_told_from_one_that_holds(tmp_path):
    out = an_export(tmp_path)
    keep = (out / "order.parquet").read_bytes()

    def swap(name, one=3, two=4):
        def change(columns):
            values = columns[name]
            values[one], values[two] = values[two], values[one]

        return change

    cases = {"file": "documents", "row": "documents", "shard_row": "shards", "position": "shards"}
    for name, check in cases.items():
        one, two = (0, 1) if name == "file" else (3, 4)
        change_order(out, swap(name, one, two))
        assert check in wrong(out), name
        (out / "order.parquet").write_bytes(keep)
    change_order(out, lambda columns: columns["position"].__setitem__(5, 6))
    assert "permutation" in wrong(out)["order"]
    (out / "order.parquet").write_bytes(keep)
    change_order(out, lambda columns: columns["cumulative_tokens"].__setitem__(5, 1))
    assert "position 5" in wrong(out)["tokens"]
    (out / "order.parquet").write_bytes(b"no parquet")
    assert "order" in wrong(out)
    (out / "order.parquet").unlink()
    assert "order.parquet is not there" in wrong(out)["order"]


def test_an_export_without_an_order_is_checked_for_integrity_alone_and_says_so(tmp_path):
    out = an_export(tmp_path, ordered=False)
    found = verify(str(out))
    assert found.exit_code == 0 and not found.replays and "no order to verify" in found.render()
    with pytest.raises(TableError, match="no order"):
        replay(str(out), [])


def test_a_place_that_is_no_export_and_options_that_mean_nothing_are_answered(tmp_path):
    with pytest.raises(UsageError, match="there is no export"):
        verify(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="not an export of curate"):
        verify(str(tmp_path))
    for name in ("batch_size", "world_size", "steps"):
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}"):
            verify(str(tmp_path), **{name: 0})


def a_written_export(folder, kind, by_bucket):
    run, _ = plain_run(folder, 90)
    shuffled(run, list(range(90)), 90)
    if by_bucket:
        write_buckets(run, [("head", "tail", "other")[n % 3] for n in range(90)])
    export(str(folder / "out"), str(run.path), format=kind, shard_size="4kB", by_bucket=by_bucket)
    return folder / "out"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("by_bucket", [False, True])
def test_what_export_writes_is_verified_and_training_md_loads_it_and_names_what_is_replayed(tmp_path, kind, by_bucket):
    out = a_written_export(tmp_path, kind, by_bucket)
    found = verify(str(out), loader="trainer", batch_size=4)
    assert found.whole and found.exit_code == 0
    assert {one.settings: one.kept for one in found.replays} == {"default": False, "recommended": True}
    assert verify(str(out), loader="dataloader", batch_size=4).replays[0].documents == 90
    notes = (out / "TRAINING.md").read_text()
    for case in loaders.list_cases("all", "recommended", 1):
        assert all(f"{name}=" in notes and str(value) in notes for name, value in case.options.items())
    (load,) = [line for line in notes.splitlines() if line.startswith("documents = ")]
    space = {"datasets": datasets}
    exec(load.replace("OUT", str(out)), space)
    rows = space["documents"]
    assert replay(str(out), DataLoader(rows, batch_size=4)).kept
    torch.manual_seed(1)
    assert not replay(str(out), DataLoader(rows, batch_size=4, shuffle=True)).kept


def test_a_bucket_that_is_not_in_order_and_documents_that_changed_places_are_found(tmp_path):
    out = a_written_export(tmp_path, "parquet", True)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["path"] != "order.parquet"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    keep = (out / "order.parquet").read_bytes()
    for name, check, word in (("position", "order", "not in order"), ("row", "documents", "should be")):

        def swap(columns, name=name):
            columns[name][3], columns[name][4] = columns[name][4], columns[name][3]

        change_order(out, swap)
        assert word in wrong(out)[check]
        (out / "order.parquet").write_bytes(keep)
    assert wrong(out) == {}
