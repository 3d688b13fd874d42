"""A call that is killed while parts of a changed corpus are moved loses nothing: the next one ends as if it had not."""

import os
import shutil
from pathlib import Path

import pytest
from helpers.growing import (
    assert_same_scores,
    given,
    lines,
    list_bytes,
    make_row,
    read_carried,
    score_again,
    tiny_model,
)

from curate.rundir import parquet

__all__ = ["given", "tiny_model"]


class Killed(BaseException):
    """As a SIGKILL would end the process: nothing is caught."""


class Killer:
    """Ends the process, so to speak, at the ``moment``-th change of the disk."""

    def __init__(self, monkeypatch, moment):
        self.left, self.changes = moment, 0
        for owner, name in ((os, "replace"), (Path, "unlink")):
            monkeypatch.setattr(owner, name, self.watch(getattr(owner, name)))

    def watch(self, real):
        def change(*arguments, **options):
            if str(arguments[0]).endswith(".tmp") and real.__name__ == "unlink":
                return real(*arguments, **options)
            self.changes += 1
            if self.left == 0:
                raise Killed
            self.left -= 1
            return real(*arguments, **options)

        return change


def build(root):
    root.mkdir()
    for name, first in (("a", 0), ("c", 20), ("e", 40)):
        (root / f"{name}.jsonl").write_text(lines(first, first + 12))
    return root


def change(root):
    (root / "0.jsonl").write_text(lines(60, 63))
    (root / "a.jsonl").rename(root / "z.jsonl")
    (root / "c.jsonl").write_text(lines(20, 35))
    (root / "e.jsonl").unlink()


def test_a_kill_at_any_change_of_the_disk_ends_in_the_bytes_of_a_call_that_was_not_killed(tmp_path):
    corpus, run, whole = build(tmp_path / "corpus"), tmp_path / "run", tmp_path / "whole"
    score_again(corpus, whole, "none")
    shutil.copytree(whole, tmp_path / "before")
    change(corpus)
    score_again(corpus, whole, "none")
    expected, moment, kills = list_bytes(whole), 0, 0
    while True:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(tmp_path / "before", run)
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, moment)
            try:
                score_again(corpus, run, "none")
            except Killed:
                kills += 1
        if killer.left:
            break
        score_again(corpus, run, "none")
        assert list_bytes(run).keys() == expected.keys() and list_bytes(run) == expected, moment
        moment += 1
    assert kills > 20


@pytest.mark.parametrize("moment", [1, 3, 5, 8, 11, 14])
def test_killed_again_and_again_no_text_that_has_a_part_is_given_to_the_model(tmp_path, tiny_model, given, moment):
    corpus, run = build(tmp_path / "corpus"), tmp_path / "run"
    score_again(corpus, run, tiny_model)
    change(corpus)
    kept = {make_row(number)["text"] for number in (*range(12), *range(20, 32))}
    given.clear()
    for later in (0, 1, 2):
        with pytest.MonkeyPatch.context() as patch:
            Killer(patch, moment + later)
            try:
                score_again(corpus, run, tiny_model)
            except Killed:
                continue
    score_again(corpus, run, tiny_model)
    assert not kept & set(given)
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")
    assert read_carried(run) == read_carried(tmp_path / "fresh")
    assert len(parquet.list_parts(run / "aside")) > 0, "the scores of e.jsonl, which may come back"
