"""Parts of an export: the sizes that tasks are dealt by, and what a part says."""

from types import SimpleNamespace as Made

from curate.exports.ordered import tasks
from curate.exports.parts.summary import ExportPartSummary


def test_the_size_of_a_task_is_that_of_its_slices_in_the_file_as_it_is_stored():
    job = Made(corpus=Made(sources=[Made(size=900), Made(size=None)]))
    parts = [Made(mark=Made(documents=documents)) for documents in (1, 2, 4)]
    groups = [[(0, None, None, parts[0])], [(0, None, None, parts[1]), (1, None, None, parts[2])]]
    assert tasks.measure_groups(job, groups) == [300, 604]


def show(**changed):
    known = {"documents": 5, "resumed": 0, "tasks": 2, "tasks_finished": 3, "tasks_in_all": 7, "seconds": 1.0}
    named = {"out": "out", "parts": ".out.parts", "part": "1/4", "completing": "curate export out"}
    shards = {"shards_finished": None, "shards_in_all": None}
    return ExportPartSummary(**{**known, **named, **shards, **changed}).render()


def test_the_summary_says_what_is_left_to_do():
    assert "3 of 7 tasks read; what is done is in .out.parts" in show() and "go on with the shards" in show()
    assert "next: curate export out     completes it" in show()
    half, done = ({"tasks_finished": 7, "shards_finished": number, "shards_in_all": 4} for number in (3, 4))
    assert "7 of 7 tasks read, 3 of 4 shards written" in show(**half) and "go on with the shards" in show(**half)
    assert "go on with the shards" not in show(**done)
    assert "2 of 4 parts get any of the corpus" in show(tasks_in_all=2)
    assert "5 documents read, 2 of them before" in show(resumed=2)
