"""Make curate/stages/decontaminate/english.npz: counts of common English words, pairs and triples (see surprisal.py).

    python recipes/count-english.py CORPUS… [--without IDS]

IDS is a file of document ids, one a line, that are left out: those that detection is measured on.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from curate.corpus import open_corpus
from curate.stages.decontaminate import surprisal

LEAST = (8, 20, 20)  # uses from which a run of one, two, three words is kept
BATCH = 64_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--without", type=Path)
    parser.add_argument("--out", type=Path, default=surprisal.TABLE)
    options = parser.parse_args()
    left_out = set(options.without.read_text().splitlines()) if options.without else set()
    runs, total, documents = [[], [], []], 0, 0
    for batch in batches(options.corpus, left_out):
        found, words = surprisal.count_runs(batch)
        total += words
        documents += len(batch)
        for one, more in zip(runs, found, strict=True):
            one.append(more.astype(np.uint32))
    packed = surprisal.pack_counts([np.concatenate(one) for one in runs], total, LEAST)
    options.out.parent.mkdir(exist_ok=True)
    np.savez_compressed(options.out, **packed)
    sizes = [len(packed[f"logs{order}"]) for order in (1, 2, 3)]
    print(
        f"{documents:,} documents, {total:,} words; kept {sizes}; {options.out.stat().st_size:,} bytes", file=sys.stderr
    )


def batches(paths, left_out):
    """Texts of about BATCH characters at a time."""
    held, size = [], 0
    for documents in open_corpus(paths).slices():
        for name, text, status in zip(documents.ids, documents.texts, documents.statuses, strict=True):
            if status == "ok" and name not in left_out:
                held.append(text)
                size += len(text)
                if size > BATCH:
                    yield held
                    held, size = [], 0
    if held:
        yield held


if __name__ == "__main__":
    main()
