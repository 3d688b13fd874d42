"""What reads what: exactly the steps run again that read what has changed."""

import pytest
from helpers.recipes import states, written

import curate
from curate.errors import GateError
from curate.recipes.stage_graph import Step, list_stages_read

LONG = """run: run
steps:
- dedup
- filter: {max-ppl: 70}
- bucket: {quantiles: 2, save-cutoffs: cuts.json}
- order: {schedule: shuffle}
- report
- export: {out: plain, format: jsonl, no-order: true}
- export: {out: out, format: jsonl}
- verify: {out: plain, loader: none}
- verify: {out: out, loader: none}
- verify: {out: out/, loader: dataloader}
"""
NAMES = ["dedup", "filter", "bucket", "order", "report", "plain", "out", "plain?", "out?", "out??"]


@pytest.fixture
def long(made):
    """A recipe with every verb that reads what another one leaves, done once."""
    written(made, LONG)
    assert set(states(curate.run("r.yaml"))) == {"done"}
    return made


def again(*settings):
    """Which steps run, as a dry run says it and as it is."""
    planned = states(curate.run("r.yaml", set=list(settings), dry_run=True))
    done = states(curate.run("r.yaml", set=list(settings)))
    assert planned == [{"done": "to do", "skipped": "unchanged"}[one] for one in done]
    return " ".join(name for name, state in zip(NAMES, done, strict=True) if state == "done")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, ""),
        ("dedup.seed=2", " ".join(NAMES)),
        ("filter.max-ppl=60", "filter bucket order report plain out plain? out? out??"),
        ("bucket.quantiles=3", "bucket report plain out plain? out? out??"),
        ("order.seed=1", "order report out out? out??"),
        ("report.percentiles=5,95", "report"),
        ("6.rejected=true", "plain plain?"),
        ("7.format=parquet", "out out? out??"),
        ("10.batch-size=2", "out??"),
    ],
)
def test_exactly_the_steps_run_again_that_read_what_has_changed(long, setting, expected):
    assert again(*([setting] if setting else [])) == expected


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("run/report.html", "report"),
        ("run/report.json", "report"),
        ("cuts.json", "bucket"),
        ("run/order.parquet", "order"),
    ],
)
def test_what_a_step_left_and_is_gone_is_made_again_as_it_was(long, gone, expected):
    (long / gone).unlink()
    assert states(curate.run("r.yaml")).count("done") == 1 and (long / gone).exists()


def test_an_export_is_verified_again_when_any_of_its_bytes_has_changed(long):
    shard = next((long / "out" / "data").iterdir())
    octets = bytearray(shard.read_bytes())
    octets[len(octets) // 2] ^= 1
    shard.write_bytes(octets)
    with pytest.raises(GateError, match="step 9 of 10, verify: a gate is not met"):
        curate.run("r.yaml")


def test_an_export_of_what_was_rejected_reads_neither_buckets_nor_the_order():
    assert {"bucket", "order"} & set(list_stages_read(Step("export", {"out": "a"}, 1))) == {"bucket", "order"}
    assert not {"bucket", "order"} & set(list_stages_read(Step("export", {"out": "a", "rejected": True}, 1)))
