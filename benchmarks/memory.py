"""Peak memory of `curate score` on a corpus and on one a hundred times as large; it must not grow with the corpus.

    python benchmarks/memory.py [--times 100]

Scores the sample corpus and as many copies of it with a tiny random model (the first 256 tokens of each document),
each in a process of its own, and prints the largest resident size that the operating system saw. The tiny model makes
the reading, tokenising and writing the bulk of the work, so that a leak in them would show.
"""

import argparse
import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample"
sys.path.insert(0, str(HERE.parent / "tests"))


def score(corpus: str, model: str, run: str) -> None:
    """In a process of its own: score, then print documents and peak memory in MB."""
    import curate

    summary = curate.score([corpus], model=model, run=run, slice_bytes=1_000_000, truncate=256)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    print(summary.documents, round(peak))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--child", nargs=3, metavar=("CORPUS", "MODEL", "RUN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        score(*options.child)
        return
    from helpers import models

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = models.save(folder / "model", "llama", max_position_embeddings=512)
        text = (SAMPLE / "documents.jsonl").read_bytes() + gzip.decompress((SAMPLE / "junk.jsonl.gz").read_bytes())
        print("| corpus | documents | text | peak memory | seconds |\n|---|---:|---:|---:|---:|")
        for times in (1, options.times):
            corpus = folder / f"{times}.jsonl"
            with open(corpus, "wb") as handle:
                for _ in range(times):
                    handle.write(text)
            began = time.perf_counter()
            words = ["--child", str(corpus), str(model), str(folder / f"run-{times}")]
            done = subprocess.run(
                [sys.executable, "-W", "ignore", __file__, *words], check=True, capture_output=True, text=True
            )
            documents, peak = map(int, done.stdout.split()[-2:])
            seconds = time.perf_counter() - began
            size = corpus.stat().st_size / 1e6
            print(f"| {times} × sample | {documents:,} | {size:,.1f} MB | {peak:,} MB | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
