"""The textfile: whole, read by Prometheus' own parser, never over a file of somebody else."""

import os
import shutil
import subprocess

import pytest
from helpers.compared_runs import make_side
from helpers.published import HOSTILE, as_keys, parse_textfile
from helpers.runs import write_lines

import curate
from curate.errors import StorageError, UsageError
from curate.monitoring.publish.measurements import Publication
from curate.monitoring.publish.metrics import METRICS
from curate.runtime import console


def test_prometheus_reads_the_very_numbers(compared, tmp_path):
    path = tmp_path / "new" / "run.prom"
    found = curate.publish(compared.folder / "before", to=f"prometheus:{path}", within="domain")
    assert parse_textfile(path) == as_keys(found)
    assert found.sent[0].message == f"{len(found.publication.measurements)} numbers"
    assert os.listdir(path.parent) == ["run.prom"]


def test_hostile_domains_are_read_as_they_were_published(tmp_path):
    rows = [{"text": f"text {number}", "domain": name} for number, name in enumerate(HOSTILE) if name != "\ud800"]
    write_lines(tmp_path / "c.jsonl", rows)
    path = tmp_path / "h.prom"
    found = curate.publish(
        make_side(tmp_path, "run", tmp_path / "c.jsonl"), to=f"prometheus:{path}", within="domain", name='x"\n#y\\'
    )
    assert parse_textfile(path) == as_keys(found)
    names = {line.split("{")[0] for line in path.read_text().split("\n") if line and not line.startswith("#")}
    assert names <= set(METRICS)


def test_a_comparison_goes_beside_a_run(compared, tmp_path):
    curate.publish(compared.folder / "before", to=f"prometheus:{tmp_path / 'a.prom'}")
    found = curate.publish(compared.gate, to=f"prometheus:{tmp_path / 'b.prom'}")
    both = [parse_textfile(tmp_path / name) for name in ("a.prom", "b.prom")]
    assert both[1] == as_keys(found) and not both[0].keys() & both[1].keys()


def test_a_file_is_replaced_where_curate_wrote_it_alone(compared, tmp_path):
    path = tmp_path / "a.prom"
    for name in ("before", "worse"):
        curate.publish(compared.folder / name, to=f"prometheus:{path}")
    assert 'run="worse"' in path.read_text() and 'run="before"' not in path.read_text()
    path.write_text("# HELP node_load1 1m load average.\n")
    with pytest.raises(UsageError, match="curate did not write"):
        curate.publish(compared.folder / "before", to=f"prometheus:{path}")
    assert path.read_text().startswith("# HELP node_load1")


@pytest.mark.parametrize("name", ["a.txt", "a", "prom"])
def test_a_file_that_no_collector_reads_is_refused(compared, tmp_path, name):
    with pytest.raises(UsageError, match=r"end with \.prom"):
        curate.publish(compared.folder / "before", to=f"prometheus:{tmp_path / name}")
    assert os.listdir(tmp_path) == []


def test_a_place_that_takes_no_file_is_an_error_before_the_work(compared, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.prom").mkdir()
    for place in ("file/a.prom", "folder.prom"):
        with pytest.raises(StorageError, match="could not be written"):
            curate.publish("there is no such run", to=f"prometheus:{tmp_path / place}")


def test_two_files_with_numbers_of_one_run_are_warned_of(compared, tmp_path, capsys):
    console.enable()
    for name in ("a.prom", "b.prom"):
        curate.publish(compared.folder / "before", to=f"prometheus:{tmp_path / name}")
    curate.publish(compared.folder / "before", name="nightly", to=f"prometheus:{tmp_path / 'c.prom'}")
    assert capsys.readouterr().err.count("warning: ") == 1


def test_a_list_without_numbers_is_an_empty_file(tmp_path):
    from curate.monitoring.publish.prometheus import write_textfile

    write_textfile(str(tmp_path / "x.prom"), Publication("run", "r", (), (), "", {}))
    assert (tmp_path / "x.prom").read_bytes() == b""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_finds_no_fault_but_the_unit_that_is_meant(compared, tmp_path):
    curate.publish(compared.folder / "before", to=f"prometheus:{tmp_path / 'a.prom'}", within="domain")
    curate.publish(compared.series, to=f"prometheus:{tmp_path / 'b.prom'}")
    for name in ("a.prom", "b.prom"):
        words = ["promtool", "check", "metrics"]
        done = subprocess.run(words, input=(tmp_path / name).read_text(), capture_output=True, text=True)
        lines = (done.stdout + done.stderr).splitlines()
        assert [line for line in lines if 'use base unit "bytes" instead of "bits"' not in line] == []
