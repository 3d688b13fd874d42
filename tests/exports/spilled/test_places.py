"""The folder of a spill: a task or a shard is there or not, and a second one changes nothing."""

from contextlib import suppress

import pytest
from helpers.exports import files_of

from curate.exports.formats.shard_writer import WrittenShard
from curate.exports.spilled.places import RECORD, SpillFolder


def write_task(spill, number, text):
    with spill.build_task(number) as folder:
        (folder / "0.rows").write_text(text)
        (folder / RECORD).write_text("{}")


def test_of_two_that_do_one_task_at_once_the_first_stays(tmp_path):
    spill = SpillFolder(tmp_path, "curate_")
    with spill.build_task(3) as folder:
        write_task(spill, 3, "first")
        (folder / RECORD).write_text("{}")
        (folder / "1.rows").write_text("second")
    assert files_of(tmp_path) == {"curate_000003/0.rows": b"first", f"curate_000003/{RECORD}": b"{}"}
    assert spill.has_task(3) and not spill.has_task(4) and not SpillFolder(tmp_path, "curate2_").has_task(3)


def test_what_fails_in_the_middle_leaves_nothing(tmp_path):
    spill = SpillFolder(tmp_path, "curate_", keeps=True)
    with suppress(KeyError), spill.build_task(0) as folder:
        (folder / "0.rows").write_text("half")
        raise KeyError
    with suppress(KeyError), spill.build_shard("data/train-0.jsonl") as path:
        path.write_text("half")
        raise KeyError
    assert files_of(tmp_path) == {} and spill.read_shard("data/train-0.jsonl") is None


@pytest.mark.parametrize("keeps", [True, False])
def test_a_shard_is_known_by_its_record_and_its_size_and_a_spill_that_lasts_keeps_it(tmp_path, keeps):
    spill, name = SpillFolder(tmp_path / "spill", "curate_", keeps), "data/train-0.jsonl"
    spill.path.mkdir()
    written = WrittenShard(name, 1, 5, "digest")
    with spill.build_shard(name) as path:
        path.write_text("12345")
    spill.record_shard(written)
    assert spill.read_shard(name) == (written if keeps else None)
    spill.move_shard(name, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "12345"
    assert spill.name_shard(name).exists() == keeps
    with spill.build_shard(name) as path:
        path.write_text("123")
    assert spill.read_shard(name) is None and (tmp_path / "out" / name).read_text() == "12345"


def test_a_writer_that_is_late_does_not_make_the_folder_of_a_complete_export_again(tmp_path):
    spill = SpillFolder(tmp_path / "gone", "curate_", keeps=True)
    for late in (
        lambda: write_task(spill, 0, "late"),
        lambda: spill.build_shard("data/x").__enter__(),
        lambda: spill.record_sizes(0, [1]),
        lambda: spill.record_shard(WrittenShard("data/x", 1, 1, "")),
    ):
        with pytest.raises(FileNotFoundError):
            late()
    assert list(tmp_path.iterdir()) == []
