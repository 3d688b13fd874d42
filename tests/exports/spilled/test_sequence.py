"""An export in the order of the corpus by way of a spill has the bytes of the streamed one."""

import pytest
from helpers import elsewhere
from helpers.exports import FORMATS, files_of
from helpers.random_exports import draw_run

from curate.errors import GateError
from curate.exports.ordered import tasks
from curate.exports.spilled import sequence
from curate.verbs.export import export

SEEDS = 5


@pytest.mark.parametrize("kind", FORMATS)
def test_a_spilled_export_has_the_bytes_of_the_streamed_one(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(sequence, "MEASURED_BYTES", 3000)
    compared = shards = 0
    for seed in range(SEEDS):
        run = draw_run(tmp_path / str(seed), f"{kind} {seed}")
        options = {"format": kind, "shard_size": f"{(1, 3, 9, 500)[seed % 4]}kB", "rejected": seed % 5 == 4}
        streamed, spilled = tmp_path / str(seed) / "streamed", tmp_path / str(seed) / "spilled"
        try:
            export(str(streamed), str(run.path), **options)
        except GateError:
            continue
        with monkeypatch.context() as patch:
            elsewhere.export_elsewhere(patch)
            patch.setattr(tasks, "TASK_BYTES", (1, 4000, 10**8)[seed % 3])
            export(str(spilled), str(run.path), **options)
        assert files_of(spilled) == files_of(streamed), seed
        compared, shards = compared + 1, shards + len(list(streamed.rglob("*-of-*")))
    assert compared > SEEDS // 2 and shards > 3 * compared
