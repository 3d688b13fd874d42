"""Damage of a table is noticed before it is read: one error that names the file and the command that mends it."""

import json
import shlex
import shutil

import pyarrow as pa
import pytest

import curate
from curate.errors import DamageError
from curate.rundir import parquet
from curate.rundir.guards import manifests
from curate.rundir.run import open_run
from curate.stages.score import slices

WORDS = [f"word{number % 37} of{number % 11}" for number in range(4000)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run with every table, of a file in several slices and of one with a row that cannot be read."""
    folder = tmp_path_factory.mktemp("sound")
    rows = [{"id": f"d{n}", "text": " ".join(WORDS[n * 30 : n * 30 + 30]), "domain": "ab"[n % 2]} for n in range(60)]
    (folder / "corpus").mkdir()
    lines = [json.dumps(row) for row in rows]
    (folder / "corpus" / "a.jsonl").write_text("\n".join(lines[:50]) + "\n")
    (folder / "corpus" / "b.jsonl").write_text("\n".join([*lines[50:], lines[0], "{broken"]) + "\n")
    items = [{"id": "e0", "question": rows[3]["text"], "answer": "x"}]
    (folder / "evals.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    run = str(folder / "run")
    curate.score(str(folder / "corpus"), model="none", run=run, slice_bytes=3000)
    curate.decontaminate(str(folder / "evals.jsonl"), run=run, canaries=3)
    curate.dedup(run=run)
    curate.filter(run=run, where="bytes > 0")
    curate.bucket(run=run, by="bytes")
    curate.order(run=run, by="bytes")
    return folder


@pytest.fixture
def run(sound, tmp_path):
    shutil.copytree(sound / "run", tmp_path / "run")
    return tmp_path / "run"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def make_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "is missing": lambda path: path.unlink(),
    "is truncated: it has 0 bytes": lambda path: path.write_bytes(b""),
    "is truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "is altered: it has other bytes": flip,
    "is altered: it has": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "is a folder": make_folder,
}
READERS = {
    "scores/00000-000001.parquet": ("filter", "status", "explain", "order", "dedup", "decontaminate", "export"),
    "scores/00001-000000.parquet": ("bucket", "report"),
    "hits/00000-000001.parquet": ("filter", "status", "explain", "order", "dedup", "export", "report"),
    "duplicates.parquet": ("filter", "status", "explain", "bucket", "export", "report"),
    "filter.parquet": ("status", "explain", "bucket", "order", "export", "report"),
    "buckets.parquet": ("status", "explain", "export", "report"),
    "order.parquet": ("status", "explain", "export", "report"),
    "carried/domain/00000-000001.parquet": ("filter", "report"),
}


def read(verb, run, sound):
    calls = {
        "filter": lambda: curate.filter(run=str(run), where="bytes > 0"),
        "status": lambda: curate.status(run=str(run)),
        "explain": lambda: curate.explain("d7", run=str(run)),
        "bucket": lambda: curate.bucket(run=str(run), by="bytes"),
        "order": lambda: curate.order(run=str(run), by="bytes"),
        "export": lambda: curate.export(str(run.parent / "out"), run=str(run)),
        "report": lambda: curate.report(run=str(run)),
        "dedup": lambda: curate.dedup(run=str(run)),
        "decontaminate": lambda: curate.decontaminate(str(sound / "evals.jsonl"), run=str(run), canaries=3),
    }
    return calls[verb]()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", READERS)
def test_every_reader_names_the_file_that_is_damaged(run, sound, file, damage):
    DAMAGES[damage](run / file)
    for verb in READERS[file][len(damage) % 2 :: 2]:
        with pytest.raises(DamageError) as caught:
            read(verb, run, sound)
        assert caught.value.message.startswith(f"{run / file} {damage}"), verb
        assert caught.value.hint.startswith("mv " if damage == "is a folder" else "curate "), verb


@pytest.mark.parametrize("file", READERS)
def test_the_command_of_the_hint_ends_with_the_same_bytes(run, sound, file):
    before = hash_all(run)
    flip(run / file)
    with pytest.raises(DamageError) as caught:
        read(READERS[file][0], run, sound)
    verb, *rest = shlex.split(caught.value.hint)[1:]
    assert f"--run {run}" in caught.value.hint and "…" not in caught.value.hint
    from typer.testing import CliRunner

    from curate.cli import app

    result = CliRunner().invoke(app, [verb, *rest])
    assert result.exit_code in (0, 3), result.output
    after = hash_all(run)
    changed = {name for name in before if before[name] != after.get(name)} - UNREAD
    assert not changed and after.keys() == before.keys()


UNREAD = {"canaries.jsonl", "contamination.html"}


def hash_all(folder):
    return {
        path.relative_to(folder).as_posix(): manifests.hash_file(path) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["is missing", "is truncated", "is altered: it has other bytes"])
def test_score_makes_the_damaged_part_alone_again_also_in_the_middle_of_a_file(run, sound, monkeypatch, number, damage):
    before = hash_all(run)
    written = []
    real = slices.ScoreWork.write

    def write(work, path, processed):
        written.append(path.name)
        real(work, path, processed)

    monkeypatch.setattr(slices.ScoreWork, "write", write)
    DAMAGES[damage](run / "scores" / f"00000-{number:06d}.parquet")
    curate.score(str(sound / "corpus"), model="none", run=str(run))
    assert written == [f"00000-{number:06d}.parquet"]
    after = hash_all(run)
    assert {name for name in before if after.get(name) != before[name]} == set()


def test_a_file_that_belongs_to_no_table_is_to_be_moved_away(run, sound):
    shutil.copy(run / "scores" / "00000-000000.parquet", run / "scores" / "00009-000000.parquet")
    with pytest.raises(DamageError, match=r"00009-000000\.parquet is no part of this table") as caught:
        read("filter", run, sound)
    assert caught.value.hint == f"mv {run}/scores/00009-000000.parquet {run}/scores/00009-000000.parquet.stray"


def test_a_manifest_that_is_damaged_is_named_and_made_again(run, sound):
    path = run / "manifests" / "scores.json"
    content = path.read_bytes()
    for damaged in (b"", content[:-20], content.replace(b'"rows": ', b'"rows": 1')):
        path.write_bytes(damaged)
        with pytest.raises(DamageError, match=r"manifests/scores\.json"):
            read("order", run, sound)
        curate.score(str(sound / "corpus"), model="none", run=str(run))
        assert path.read_bytes() == content
        read("status", run, sound)


def test_a_run_of_an_earlier_version_has_no_manifests_and_is_read(run, sound):
    shutil.rmtree(run / "manifests")
    record = {
        stage: {name: value for name, value in one.items() if name != "manifest"} if isinstance(one, dict) else one
        for stage, one in json.loads((run / "run.json").read_text()).items()
    }
    for column in record["carried"]["columns"].values():
        del column["manifest"]
    (run / "run.json").write_text(json.dumps(record))
    for verb in ("status", "explain", "filter", "bucket", "order", "export"):
        read(verb, run, sound)
    assert (run / "manifests" / "filter.parquet.json").exists() and not (run / "manifests" / "scores.json").exists()
    curate.score(str(sound / "corpus"), model="none", run=str(run))
    assert open_run(run).stage("score")["manifest"] and (run / "manifests" / "scores.json").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete"])
def test_a_damaged_run_json_is_an_error_of_one_line_for_every_verb(run, sound, damage):
    path = run / "run.json"
    content = path.read_bytes()
    at = content.index(b'"read": ') + 8
    changed = {"flip": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], "truncate": content[:-50]}
    path.unlink() if damage == "delete" else path.write_bytes(changed.get(damage, b""))
    for verb in ("status", "explain", "filter", "dedup"):
        with pytest.raises(DamageError, match=r"run\.json (is altered|cannot be read|is missing)") as caught:
            read(verb, run, sound)
        assert "restore it from a copy" in caught.value.hint


def test_a_run_json_that_another_program_wrote_is_taken_as_it_is(run, sound):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record))
    read("status", run, sound)


def test_pages_have_checksums_by_which_a_part_is_read_again(tmp_path):
    path = tmp_path / "00000-000000.parquet"
    values = [hash_number(number) for number in range(20_000)]
    parquet.write_part(path, pa.table({"value": pa.array(values, pa.uint64())}), {})
    assert parquet.check_part(path) is None
    content = path.read_bytes()
    tried = range(1000, len(content) - 1000, 4001)
    for at in tried:
        path.write_bytes(content[:at] + bytes([content[at] ^ 8]) + content[at + 1 :])
        assert parquet.check_part(path) is not None
    assert len(tried) > 20


def hash_number(number):
    return number * 0x9E3779B97F4A7C15 % 2**64
