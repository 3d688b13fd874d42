"""Files that change while they are scored are named and read again; edits that nothing else shows, by every reader."""

import functools
import json
import os

import pytest
from helpers.growing import given, lines, read, tiny_model
from typer.testing import CliRunner

from curate.cli import app
from curate.reference import causal

__all__ = ["given", "tiny_model"]


def cli(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    for number, name in enumerate("abc"):
        (folder / f"{name}.jsonl").write_text(lines(100 * number, 100 * number + 40))
    return folder


def edit_middle(path):
    """Change a word in the middle of a file: its size, and both ends, stay."""
    content = bytearray(path.read_bytes())
    at = content.index(b'"text": "', len(content) // 2) + len(b'"text": "')
    content[at] ^= 0x20
    path.write_bytes(content)


def replace_file(path):
    other = path.with_name("other")
    other.write_text(lines(500, 540))
    os.replace(other, path)


CHANGES = {
    "edited": edit_middle,
    "grown": lambda path: path.write_text(path.read_text() + lines(900, 903)),
    "shrunk": lambda path: path.write_text(lines(100, 120)),
    "replaced": replace_file,
    "gone": lambda path: path.unlink(),
}


def score(corpus, model, run, *options):
    return cli("score", corpus, "--model", model, "--run", run, "--slice-bytes", 800, *options)


def change_while_reading(monkeypatch, corpus, model, run, change):
    """Score a corpus of which something changes once b.jsonl has been read for the most part."""
    real, passes = causal.CausalModel.start, []  # not nats, which the self-check calls as well

    def watch(self, pack):
        passes.append(1)
        if len(passes) == 17:
            change()
        return real(self, pack)

    with monkeypatch.context() as patch:
        patch.setattr(causal.CausalModel, "start", watch)
        found = score(corpus, model, run)
    assert len(passes) >= 17
    return found


def small_edges(monkeypatch):
    """Let both ends of a file be a few bytes, as they are of a large one."""
    from curate.runtime.disk import files

    monkeypatch.setattr(files, "EDGE_BYTES", 64)


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_named_and_only_it_is_read_again(
    name, corpus, tiny_model, tmp_path, monkeypatch, given
):
    small_edges(monkeypatch)
    run, path = tmp_path / "run", corpus / "b.jsonl"
    found = change_while_reading(monkeypatch, corpus, tiny_model, run, lambda: CHANGES[name](path))
    assert found.exit_code == 3 and "changed     while they were read: b.jsonl" in found.stdout, found.stderr
    refused = cli("dedup", "--run", run)
    assert refused.exit_code == 1 and "b.jsonl" in refused.stderr and "curate score " in refused.stderr
    assert "--restart" not in refused.stderr
    given.clear()
    again = score(corpus, tiny_model, run)
    assert again.exit_code == 0, again.stderr
    now = {json.loads(line)["text"] for line in path.read_text().splitlines()} if path.exists() else set()
    assert set(given) <= now and (name == "grown" or set(given) == now)
    given.clear()
    assert score(corpus, tiny_model, run).exit_code == 0 and not given
    assert score(corpus, tiny_model, tmp_path / "fresh").exit_code == 0
    columns = ["file", "row", "hash", "status"]
    assert read(run).select(columns).equals(read(tmp_path / "fresh").select(columns))
    assert cli("dedup", "--run", run).exit_code == 0


def test_a_file_that_is_only_touched_stays(corpus, tiny_model, tmp_path, monkeypatch):
    touch = functools.partial(os.utime, corpus / "b.jsonl")
    found = change_while_reading(monkeypatch, corpus, tiny_model, tmp_path / "run", touch)
    assert found.exit_code == 0 and "changed" not in found.stdout


def test_an_edit_between_a_kill_and_the_next_call_is_seen(corpus, tiny_model, tmp_path, monkeypatch, given):
    small_edges(monkeypatch)

    def stop():
        raise KeyboardInterrupt

    run = tmp_path / "run"
    assert change_while_reading(monkeypatch, corpus, tiny_model, run, stop).exit_code == 130
    assert (run / "reading.json").exists()
    edit_middle(corpus / "a.jsonl")
    given.clear()
    again = score(corpus, tiny_model, run)
    assert again.exit_code == 0 and "changed     a.jsonl: read again" in again.stderr
    texts = {json.loads(line)["text"] for line in (corpus / "a.jsonl").read_text().splitlines()}
    assert texts <= set(given) and not (run / "reading.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["dedup"],
        ["decontaminate", "{evals}"],
        ["filter", "--where", "domain != 'k9'", "--dry-run"],
        ["score", "{corpus}", "--signals", "all", "--model", "none"],
    ],
)
def test_a_text_that_was_edited_after_scoring_is_refused_by_row_and_the_hint_mends_it(
    words, corpus, tmp_path, monkeypatch
):
    small_edges(monkeypatch)
    evals = tmp_path / "evals.jsonl"
    evals.write_text(json.dumps({"question": "What is the capital of the old kingdom of the north and its isles?"}))
    run = tmp_path / "run"
    assert cli("score", corpus, "--model", "none", "--run", run, "--carry", "none").exit_code == 0
    edit_middle(corpus / "b.jsonl")
    words = [word.format(evals=evals, corpus=corpus) for word in words]
    refused = cli(*words, "--run", run)
    assert refused.exit_code == 1 and "b.jsonl, " in refused.stderr and "row " in refused.stderr, refused.stderr
    (hint,) = [line for line in refused.stderr.splitlines() if line.startswith("hint:")]
    command = hint.removeprefix("hint:").split(" reads ")[0].split()
    assert "--restart" not in command and cli(*command[1:]).exit_code == 0
    assert cli(*words, "--run", run).exit_code == 0
