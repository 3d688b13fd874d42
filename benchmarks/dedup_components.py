"""What the driver of ``curate dedup`` costs from verified pairs to clusters: seconds and bytes a document.

    python benchmarks/dedup_components.py                         # 50 M documents, about two minutes, 600 MB of disk
    python benchmarks/dedup_components.py --documents 10000000 --shares 0.1,0.3,1

Pairs are made up and written as the units that verify them do, in ranges; a process of its own then marks, joins and
links the documents, with numba where it is installed. Each cluster is a chain of documents at random places, the worst
for union-find, and some pairs more. What is said for a billion documents is the slope, not a measurement.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from process_tree import read_memory

from curate.matching.numba_kernels import is_numba_available
from curate.stages.dedup.pairs import candidates
from curate.stages.dedup.pairs.near_copies import PairSearch, gather_near_copies
from curate.stages.dedup.pairs.units import start_threads
from curate.stages.dedup.pairs.verification import VerifiedPairs

LARGEST = 1_000_000_000
MORE = 0.5  # pairs beside those of the chains, for each of them


def make_pairs(folder: Path, documents: int, share: float, seed: int = 0) -> int:
    """Write pairs of documents of which ``share`` have a copy, and return the number of clusters."""
    chance = np.random.default_rng(seed)
    members = chance.permutation(np.arange(documents, dtype=np.uint32))[: int(share * documents)]
    starts = np.flatnonzero(chance.random(len(members)) < 0.3)  # clusters of 3.3 documents on average
    starts = starts[np.diff(starts, append=len(members)) > 1]
    cluster = np.searchsorted(starts, np.arange(len(members)), side="right")
    first, second = members[:-1], members[1:]
    linked = (cluster[1:] == cluster[:-1]) & (cluster[1:] > 0)
    pairs = candidates.pack_pairs(np.maximum(first, second)[linked], np.minimum(first, second)[linked])
    skips = linked[1:] & linked[:-1] & (chance.random(len(linked) - 1) < MORE)
    far, near = members[2:][skips], members[:-2][skips]
    pairs = np.unique(np.concatenate([pairs, candidates.pack_pairs(np.maximum(far, near), np.minimum(far, near))]))
    for number, begin in enumerate(range(0, len(pairs), candidates.RANGE_PAIRS)):
        of_range = pairs[begin : begin + candidates.RANGE_PAIRS]
        with open(folder / f"{number:06d}-{len(of_range)}", "wb") as out:
            out.write(of_range.tobytes() + chance.uniform(0.8, 1, len(of_range)).tobytes())
    return len(np.unique(cluster[1:][linked]))


def join_pairs(folder: Path, documents: int) -> dict[str, float]:
    """Return what it takes to find the components of the pairs in a folder; for a process of its own."""
    verified = [
        VerifiedPairs(path, int(path.name.split("-")[1]), int(path.name.split("-")[1]))
        for path in sorted(folder.iterdir())
    ]
    quiet = PairSearch(folder, [], 0.8, start_threads, 1, is_numba_available(), lambda *_: None, lambda *_: None)
    gather_near_copies(quiet, [], 2, 2, [], [], None)  # so that everything is loaded
    before, began, used = read_memory(os.getpid())[1], time.perf_counter(), time.process_time()
    found = gather_near_copies(quiet, [], documents, documents, [], verified, None)
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    peak = read_memory(os.getpid())[0] - before
    clusters = int(np.count_nonzero(found.roots == np.arange(len(found.roots))))
    return {**spent, "bytes": peak, "near": len(found.documents), "pairs": found.agreed, "clusters": clusters}


def measure(documents: int, share: float) -> str:
    """Return a line of the table. Raises SystemExit where the clusters are not those that were made."""
    with tempfile.TemporaryDirectory() as name:
        clusters = make_pairs(Path(name), documents, share)
        words = [sys.executable, __file__, "--child", name, "--documents", str(documents)]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    if found["clusters"] != clusters:
        raise SystemExit(f"error: {found['clusters']:,} clusters were found, {clusters:,} were made")
    each = found["bytes"] / documents
    cells = [
        f"{documents:,}", f"{found['near']:,}", f"{found['pairs']:,}", f"{found['clusters']:,}",
        f"{found['seconds']:.1f} ({found['cpu_seconds']:.1f})", f"{found['bytes'] / 1e6:,.0f} MB", f"{each:.1f}",
        f"{LARGEST * each / 1e9:.1f} GB",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000_000)
    parser.add_argument("--shares", default="0.1,0.3", help="of the documents that have a near copy, with commas")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(join_pairs(options.child, options.documents)))
        return
    heads = ["documents", "with near copies", "pairs", "clusters", "seconds (CPU)", "memory", "bytes a document"]
    print(f"| {' | '.join([*heads, 'for a billion'])} |\n|{8 * ' --: |'}")
    for share in map(float, options.shares.split(",")):
        print(measure(options.documents, share), flush=True)


if __name__ == "__main__":
    main()
