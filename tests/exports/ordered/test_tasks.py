"""What a task says of its rows, and how much of it is sent to a worker."""

import pickle

from helpers.exports import plain_run, shuffled

from curate.exports.job import ExportJob, Placements, open_choice
from curate.exports.leaked_passages import LeakTreatment
from curate.exports.ordered import tasks
from curate.rundir import placements
from curate.rundir.run import open_run
from curate.rundir.verdicts import rejections


def test_a_task_is_sent_with_its_own_rows_alone(tmp_path):
    """A slice of a table has the memory of the whole table, which was sent with each slice."""
    run, _ = plain_run(tmp_path, 3000)
    shuffled(run, list(range(3000)), 3000)
    run = open_run(run.path)
    placed = Placements(placements.open_order(run))
    with open_choice(run, rejections.open_rejections(run), tmp_path) as choice:
        job = ExportJob(run, run.corpus(), choice, LeakTreatment(), False, "jsonl", 1000, "curate_", placed)
        listed = list(tasks.list_tasks(job, 30_000))
    assert len(listed) > 5
    for task in listed:
        sent = pickle.dumps(task)
        rows = sum(len(part.choice) for part in task.slices)
        assert len(sent) < 30 * rows + 3000 * len(task.slices)
        found = pickle.loads(sent)
        assert found == task and all(part.choice.num_columns == 4 for part in found.slices)
