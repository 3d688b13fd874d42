"""What is said of a replay, of loaders that are made up: what each step had, and why nothing was proven."""

import numpy as np
import pytest
from helpers.ordered_exports import an_export

from curate.exports.verify import replays
from curate.exports.verify.loaders import LoaderCase
from curate.exports.verify.reader import open_export


def replay_steps(tmp_path, batches, steps=None, loader="mine"):
    """The replay of a loader that gives these batches, and what its maker saw of the stage."""
    seen = []

    def build(stage, rank):
        seen.append((rank, stage.ranks, len(stage.tokens)))
        yield from (np.array(batch, np.int64) for batch in batches)

    case = LoaderCase(loader, "any", "shown so", build)
    [found] = replays.replay_cases(open_export(an_export(tmp_path)), [case], 4, 1, 0, steps)
    return found, seen


ALL = list(range(60))


@pytest.mark.parametrize(
    ("batches", "note"),
    [
        ([ALL], "one step has all documents, which proves nothing (lower --batch-size)"),
        ([ALL[:40], ALL[40:]], None),
        ([ALL[:40], [*ALL[40:], 0, 1]], "the last step is filled with 2 documents of the beginning"),
    ],
)
def test_a_replay_says_what_its_steps_had(tmp_path, batches, note):
    found, seen = replay_steps(tmp_path, batches)
    assert (found.note, found.kept, found.steps, found.total) == (note, True, len(batches), 60)
    assert (found.loader, found.settings, found.shown) == ("mine", "any", "shown so")
    assert found.proves is (len(batches) > 1) and seen == [(0, 1, 60)]


@pytest.mark.parametrize(("count", "note"), [(59, "the first 59 documents"), (60, None), (61, None)])
def test_a_replay_of_fewer_documents_than_the_order_has_says_how_many_it_is_of(tmp_path, monkeypatch, count, note):
    monkeypatch.setattr(replays, "count_trl", lambda tokens: count)
    found, _ = replay_steps(tmp_path, [ALL[:40], ALL[40 : min(count, 60)]], loader="trl SFTTrainer")
    assert (found.note, found.kept, found.documents, found.total) == (note, True, min(count, 60), min(count, 60))


def test_a_loader_whose_library_is_too_old_is_not_replayed_and_says_why(tmp_path):
    def refuse(stage, rank):
        raise ImportError("needs  mine>=2\nand more")
        yield

    case = LoaderCase("mine", "any", "shown so", refuse)
    [found] = replays.replay_cases(open_export(an_export(tmp_path)), [case], 4, 1, 0, None)
    assert (found.kept, found.steps, found.documents, found.total) == (None, 0, 0, 60)
    assert found.note == "needs mine>=2" and found.proves is False
