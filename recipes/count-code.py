"""Make curate/stages/decontaminate/solutions/code.npz: counts of runs of tokens, and of names, in public code.

    python recipes/count-code.py --exercises FOLDER… [--programs FOLDER…] [--held-out 4]

Programs are by default Python's standard library and the packages that are installed beside curate, without those of
which the hash of the name is a multiple of --held-out: on them false alarms are measured. Of each package at most MOST
characters count. Runs of fewer files than LEAST are left out. curate/stages/decontaminate/README.md names the
repositories of exercises that the file in the package was counted on.
"""

import argparse
import site
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import xxhash

from curate.matching.code_tokens import split_code
from curate.matching.words import JOIN, mix_bits
from curate.stages.decontaminate.solutions import model
from curate.stages.decontaminate.surprisal import pack_counts

LEAST = {"program": (8, 16, 20, 24, 24, 24, 24, 24), "exercise": (4, 4, 4, 4, 4, 4, 4, 4), "name": (20,)}
"""Files in which a run of one, two, three … tokens must be to be kept."""
MOST = 3_000_000
BATCH = 200_000
ENDINGS = {".py", ".js", ".ts", ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".java", ".go", ".rs"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exercises", nargs="+", type=Path, required=True)
    parser.add_argument("--programs", nargs="+", type=Path)
    parser.add_argument("--held-out", type=int, default=4)
    parser.add_argument("--out", type=Path, default=model.TABLE)
    options = parser.parse_args()
    programs = options.programs or [Path(sysconfig.get_paths()["stdlib"]), *map(Path, site.getsitepackages())]
    packed, names = {}, []
    for kind, files in (
        ("program", list_files(programs, options.held_out)),
        ("exercise", (path for folder in options.exercises for path in sorted(folder.rglob("*")))),
    ):
        *runs, named = count_files(files)
        names.append(named)
        kept = [select_common(*one, least) for one, least in zip(runs, LEAST[kind], strict=True)]
        packed |= pack(kind, kept, len(runs[0][0]))
    occurrences, once = (np.concatenate(each) for each in zip(*names, strict=True))
    packed |= pack("name", [select_common(occurrences, once, LEAST["name"][0])], len(occurrences))
    np.savez_compressed(options.out, **packed)
    sizes = {name: len(value) for name, value in packed.items() if "logs" in name}
    print(f"{sizes}; {options.out.stat().st_size:,} bytes", file=sys.stderr)


def pack(kind, runs, total):
    """Arrays of the model file, from occurrences of each order."""
    return {f"{kind}_{key}": value for key, value in pack_counts(runs, total, [1] * len(runs)).items()}


def select_common(occurrences, once, least):
    """The occurrences of runs that at least so many files have; ``once`` has each run once a file."""
    keys, files = np.unique(once, return_counts=True)
    return occurrences[np.isin(occurrences, keys[files >= least])]


def count_files(paths):
    """The runs of each order, then the names, of all files: every occurrence, and each once a file."""
    counted, files = [([], []) for _ in range(model.ORDERS + 1)], 0
    for batch in read_batches(paths):
        files += len(batch)
        for (every, once), (hashes, documents) in zip(counted, model.list_runs(split_code(batch)), strict=True):
            _, first = np.unique(mix_bits(hashes + documents.astype(np.uint64) * JOIN), return_index=True)
            every.append(hashes.astype(np.uint32))
            once.append(hashes[first].astype(np.uint32))
    print(f"{files:,} files, {sum(map(len, counted[0][0])):,} tokens", file=sys.stderr)
    return [(np.concatenate(every), np.concatenate(once)) for every, once in counted]


def list_files(folders, held_out, inside=False):
    """Files of code of the packages that are counted, or (``inside``) of those that are held out."""
    for folder in folders:
        used = Counter()
        for path in sorted(folder.rglob("*")):
            package = path.relative_to(folder).parts[0].removesuffix(".py")
            held = xxhash.xxh64_intdigest(package.encode()) % held_out == 0
            if held != inside or package in ("site-packages", "curate") or path.suffix not in ENDINGS:
                continue
            size = path.stat().st_size
            if size < 400_000 and used[package] + size <= MOST:
                used[package] += size
                yield path


def read_batches(paths):
    """Texts of about BATCH characters at a time; a text that was seen before is left out."""
    held, size, seen = [], 0, set()
    for path in paths:
        if path.suffix not in ENDINGS or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        key = xxhash.xxh64_intdigest(text.encode("utf-8", "replace"))
        if key in seen or len(text) < 200:
            continue
        seen.add(key)
        held.append(text)
        size += len(text)
        if size > BATCH:
            yield held
            held, size = [], 0
    if held:
        yield held


if __name__ == "__main__":
    main()
