"""datatrove's own MinHash pipeline as a side of ``dedup.py``: its four stages, each a LocalPipelineExecutor.

    python datatrove_side.py SIDE CORPUS SCRATCH       # → the seconds of each stage, in SCRATCH.json

Signatures, buckets, clusters, and the filter, which reads the corpus again and drops; it writes no corpus here. Runs
under a Python of its own (``dedup.py --datatrove-python``), in which datatrove is installed and nothing of ours: its
default hashes (0.10.1) fail beside xxhash 4.
"""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMBER = struct.Struct("<2I")  # a document of a file, and its cluster


@dataclass(frozen=True, slots=True)
class Division:
    """How a signature is divided into buckets."""

    buckets: int
    hashes: int


DIVISIONS = {"datatrove": Division(14, 8), "datatrove, our bands": Division(18, 7)}
"""datatrove's default, and the bands of ``curate dedup`` at its own."""


def read_versions(python: str) -> str:
    """Return the versions of what matters in the Python of datatrove."""
    names = "('datatrove', 'spacy', 'xxhash', 'numpy')"
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def run_stages(side: str, corpus: Path, scratch: Path, workers: int) -> dict[str, float]:
    """Run the four stages over a folder of JSON Lines, a task a file, and return the seconds of each."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader

    division = DIVISIONS[side]
    config = MinhashConfig(num_buckets=division.buckets, hashes_per_bucket=division.hashes)
    signatures, buckets, clusters = (str(scratch / name) for name in ("signatures", "buckets", "clusters"))
    reader, files = JsonlReader(str(corpus)), len(list(corpus.glob("*.jsonl")))
    stages: dict[str, tuple[int, list[Any]]] = {
        "signatures": (files, [reader, MinhashDedupSignature(signatures, config=config)]),
        "buckets": (division.buckets, [MinhashDedupBuckets(signatures, buckets, config=config)]),
        "clusters": (1, [MinhashDedupCluster(buckets, clusters, config=config, save_cluster_id=True)]),
        "filter": (files, [reader, MinhashDedupFilter(clusters)]),
    }
    seconds = {}
    for name, (tasks, pipeline) in stages.items():
        began = time.perf_counter()
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=workers, logging_dir=str(scratch / "logs" / name), start_method="fork"
        ).run()
        seconds[name] = time.perf_counter() - began
    return seconds


def read_members(scratch: Path) -> Iterator[tuple[int, int, int]]:
    """Yield the file, the row and the cluster of each document in a cluster; files are counted in sorted order."""
    for path in sorted((scratch / "clusters").glob("*.clusters")):
        for row, cluster in MEMBER.iter_unpack(path.read_bytes()):
            yield int(path.stem), row, cluster


def list_removed(members: Iterable[tuple[int, int, int]]) -> set[tuple[int, int]]:
    """Return the file and row of each document in a cluster but the first: what goes where the first is kept."""
    found, seen = set(), set()
    for file, row, cluster in sorted(members):
        if cluster in seen:
            found.add((file, row))
        seen.add(cluster)
    return found


def compare_removed(ours: set[tuple[int, int]], theirs: set[tuple[int, int]]) -> dict[str, int]:
    """Return how many documents both sides remove, and each alone."""
    return {"both": len(ours & theirs), "ours alone": len(ours - theirs), "theirs alone": len(theirs - ours)}


def read_our_members(table: Path, files: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Yield what ``read_members`` does of the duplicates table of a run; ``files`` are sorted."""
    import pyarrow.parquet as pq

    numbers = {name: number for number, name in enumerate(files)}
    columns = pq.read_table(table, columns=["file", "row", "cluster"]).to_pydict()
    for file, row, cluster in zip(columns["file"], columns["row"], columns["cluster"], strict=True):
        yield numbers[file], row, cluster


if __name__ == "__main__":
    named, read, work = sys.argv[1:]
    took = run_stages(named, Path(read), Path(work), len(os.sched_getaffinity(0)))
    Path(f"{work}.json").write_text(json.dumps(took))
