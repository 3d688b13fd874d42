"""``import curate`` and ``curate --help`` load nothing heavy, and the pure modules touch no disk, no GPU, no clock."""

import ast
import subprocess
import sys

import pytest
from helpers.paths import ROOT
from helpers.runs import make_run, write_lines

from curate.rundir.document_columns import carry_columns

HEAVY = {"torch", "transformers", "duckdb", "datasets", "numpy", "pyarrow", "tokenizers", "scipy", "ray"}
PURE = (
    "errors",
    "matching/numba_kernels",
    "matching/words",
    "matching/minhash",
    "matching/shingles",
    "reference/likelihood",
    "reference/packing",
    "runtime/histogram",
    "rundir/quantiles",
    "rundir/quantile_samples",
    "corpus/chat/types",
    "corpus/chat/messages",
    "corpus/chat/pairs",
    "corpus/chat/trees",
    "corpus/chat/schemas",
    "corpus/chat/detect",
    "stages/decontaminate/thresholds",
    "stages/order/permutations",
    "exports/verify/order_check",
    "sft/ranking/measures",
)
ALLOWED = {"numpy", "curate", "collections", "dataclasses", "bisect", "zlib", "typing", "math", "json", "sys"} | {
    "unicodedata", "functools", "itertools", "numba", "datasketch",  # Unicode's tables; compiled loops; permutations
}  # fmt: skip


@pytest.mark.parametrize("code", ["import curate; dir(curate)", "from curate.cli import app"])
def test_help_is_instant_and_imports_nothing_heavy(code):
    code = f"import sys; {code}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()


def test_ray_is_loaded_for_its_engine_alone(tmp_path):
    write_lines(tmp_path / "corpus.jsonl", [{"text": f"word {row}"} for row in range(4)])
    words = f"{str(tmp_path / 'corpus.jsonl')!r}, run={str(tmp_path / 'run')!r}, model='none'"
    code = f"import sys, curate; curate.score({words}); print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("criteria", ["max_ppl=60", "keep='middle', within='domain', min_zlib=0.2"])
def test_filtering_loads_no_pandas(tmp_path, criteria):
    """Much of pyarrow loads it where it is installed, which takes as long as filtering a small run."""
    rows = [{"text": f"word {row}", "domain": f"d{row % 2}"} for row in range(40)]
    write_lines(tmp_path / "corpus.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "corpus.jsonl"])
    carry_columns(run, ["domain"])
    code = f"import sys, curate; curate.filter({str(run.path)!r}, {criteria}); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_touches_no_disk_no_gpu_and_no_clock(module):
    for node in ast.walk(ast.parse((ROOT / "curate" / f"{module}.py").read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert all(name.split(".")[0] in ALLOWED for name in names), names
