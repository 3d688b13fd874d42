"""How many near copies are found, how fast and in how much memory: ours beside datasketch, rensa, text-dedup's way and
datatrove's MinHash pipeline.

    python benchmarks/dedup.py                             # about two minutes
    python benchmarks/dedup.py --pairs pairs.jsonl.zst     # recall and precision on pairs of known similarity, too
    python benchmarks/dedup.py --documents 1000000 --only scale

Three parts. ``pairs``: JSON lines with text_a, text_b, jaccard_w5 (of the sets of word 5-grams); both texts of all
pairs are one corpus. ``signatures``: MinHash signatures of the same sets, one core, the same values. ``scale``: a whole
run on a made-up corpus with planted copies, each side in a process of its own: seconds, seconds of the processor, and
the peak memory, of it and of all that it starts; datatrove beside what ``curate dedup`` removes of the same documents.
"""

import argparse
import io
import json
import os
import platform
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import datatrove_side
import numpy as np
import xxhash
from datatrove_side import compare_removed, list_removed, read_our_members
from process_tree import measure_command

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample" / "documents.jsonl"
THRESHOLD, PERMUTATIONS, SHINGLE = 0.8, 128, 5
SURE = 0.85  # pairs from here on must be found
Pair = tuple[int, int]


# ---- the sides: texts to pairs that are called copies ---------------------------------------------------------------


def word_shingles(text: str) -> set[str]:
    """Word 5-grams as the pairs' own jaccard_w5 has them; a shorter text is one shingle."""
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))} if words else set()


def datasketch_pairs(texts: Sequence[str]) -> set[Pair]:
    """MinHashLSH as its documentation shows it, with update_batch: what a query gives is a copy."""
    from datasketch import MinHash, MinHashLSH

    index, found = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), set()
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=PERMUTATIONS, scheme="affine32", hashfunc=xxhash.xxh32_intdigest)
        signature.update_batch([shingle.encode() for shingle in word_shingles(text)])
        found |= {(other, number) for other in index.query(signature)}
        index.insert(number, signature)
    return found


def rensa_pairs(texts: Sequence[str]) -> set[Pair]:
    """RMinHash and RMinHashLSH with the bands that its documentation advises (16 of 128)."""
    from rensa import RMinHash, RMinHashLSH

    index, found = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=16), set()
    for number, text in enumerate(texts):
        signature = RMinHash(num_perm=PERMUTATIONS, seed=1)
        signature.update(list(word_shingles(text)))
        found |= {(other, number) for other in index.query(signature)}
        index.insert(number, signature)
    return found


def text_dedup_pairs(texts: Sequence[str]) -> set[Pair]:
    """The recipe of text-dedup 0.4.0 (minhash.py), written anew: documents that share a bucket are joined, unverified.

    Its defaults, but for the threshold: 250 permutations modulo 2^61 − 1, sha1, 5-grams of the pieces between non-word
    characters, texts of fewer than 5 pieces left out, bands of the least error after datasketch.
    """
    import hashlib

    from datasketch.lsh import _optimal_param

    count, prime = 250, np.uint64((1 << 61) - 1)
    bands, rows = _optimal_param(THRESHOLD, count, 0.5, 0.5)
    generator = np.random.RandomState(42)
    factors = generator.randint(1, int(prime), count, dtype=np.uint64)
    addends = generator.randint(0, int(prime), count, dtype=np.uint64)
    parents = list(range(len(texts)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    buckets: list[dict[bytes, int]] = [{} for _ in range(bands)]
    for number, text in enumerate(texts):
        pieces = re.split(r"\W", text.lower())
        if len(pieces) < SHINGLE:
            continue
        tokens = {" ".join(pieces[at : at + SHINGLE]) for at in range(len(pieces) - SHINGLE + 1)}
        hashes = [int.from_bytes(hashlib.sha1(token.encode()).digest()[:4], "little") for token in tokens]
        mixed = (np.array(hashes, np.uint64)[:, None] * factors + addends) % prime & np.uint64(0xFFFFFFFF)
        signature = mixed.min(axis=0)
        for band, known in enumerate(buckets):
            first = known.setdefault(signature[band * rows : (band + 1) * rows].tobytes(), number)
            parents[root(number)] = root(first)
    return {(root(number), number) for number in range(len(texts)) if root(number) != number}


def curate_pairs(texts: Sequence[str]) -> set[Pair]:
    """``curate dedup``: each document that has a copy, and the one that is kept in its place."""
    import pyarrow.parquet as pq

    from curate.verbs.dedup import dedup

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "corpus.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        dedup(run=f"{name}/run", corpus=[str(path)], keeper="first")
        rows = pq.read_table(f"{name}/run/duplicates.parquet").to_pylist()
    return {(row["keeper_row"], row["row"]) for row in rows if not row["keeper"]}


SIDES: dict[str, Callable[[Sequence[str]], set[Pair]]] = {
    "curate": curate_pairs,
    "datasketch": datasketch_pairs,
    "rensa": rensa_pairs,
    "text-dedup's way": text_dedup_pairs,
}
PACKAGES = {"datasketch": "datasketch", "rensa": "rensa"}


def installed(side: str) -> bool:
    try:
        return bool(version(PACKAGES.get(side, "curate")))
    except PackageNotFoundError:
        return False


# ---- pairs of known similarity --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quality:
    """How a side did on the pairs."""

    side: str
    sure: int
    """Pairs with a true similarity of at least SURE."""
    recall: float
    """The share of those whose texts came out as copies of each other, or of one third text."""
    near_recall: float
    """The same for pairs from the threshold on."""
    claimed: int
    """Pairs of texts called copies, over the whole corpus."""
    precision: float
    """The share of those with a true similarity of at least the threshold."""
    worst: float
    """The lowest true similarity among them."""
    seconds: float


def read_pairs(path: Path) -> list[dict[str, Any]]:
    import zstandard

    with path.open("rb") as raw:
        stream: Any = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


def judge(side: str, pairs: Sequence[dict[str, Any]]) -> Quality:
    """Run a side over both texts of all pairs, and hold what it claims against the truth."""
    texts = [text for pair in pairs for text in (pair["text_a"], pair["text_b"])]
    began = time.perf_counter()
    claimed = SIDES[side](texts)
    seconds = time.perf_counter() - began
    shingles = [word_shingles(text) for text in texts]
    true = [jaccard(shingles[first], shingles[second]) for first, second in claimed]
    groups = components(len(texts), claimed)
    found = [groups[2 * at] == groups[2 * at + 1] for at in range(len(pairs))]

    def recall(least: float) -> float:
        wanted = [hit for hit, pair in zip(found, pairs, strict=True) if pair["jaccard_w5"] >= least]
        return sum(wanted) / len(wanted)

    sure = sum(pair["jaccard_w5"] >= SURE for pair in pairs)
    right = sum(value >= THRESHOLD for value in true)
    return Quality(
        side, sure, recall(SURE), recall(THRESHOLD), len(true), right / len(true), min(true), seconds
    )  # fmt: skip


def jaccard(first: set[str], second: set[str]) -> float:
    return len(first & second) / len(first | second) if first or second else 1.0


def components(count: int, pairs: Iterable[Pair]) -> list[int]:
    """The first document of each document's group."""
    near = defaultdict(list)
    for first, second in pairs:
        near[first].append(second)
        near[second].append(first)
    groups = [-1] * count
    for start in range(count):
        waiting = [start] if groups[start] < 0 else []
        while waiting:
            one = waiting.pop()
            if groups[one] < 0:
                groups[one] = start
                waiting += near[one]
    return groups


# ---- signatures -----------------------------------------------------------------------------------------------------


def measure_signatures(texts: Sequence[str], repeats: int) -> dict[str, float]:
    """Signatures a second by each way, on the same sets of 32-bit hashes; the values must be the same."""
    from datasketch import MinHash

    from curate.matching import minhash, numba_kernels, words
    from curate.matching.shingles import make_shingle_sets

    hashes, offsets = make_shingle_sets(words.split_words(texts), SHINGLE)
    sets = [np.unique(hashes[begin:end].astype(np.uint32)) for begin, end in pairwise(offsets)]
    flat, bounds = np.concatenate(sets), np.cumsum([0, *map(len, sets)])
    table = minhash.make_permutations(PERMUTATIONS, minhash.SEED)
    elements = [one.tolist() for one in sets]

    def theirs(update: str) -> np.ndarray:
        found = []
        for one in elements:
            signature = MinHash(num_perm=PERMUTATIONS, seed=minhash.SEED, scheme="affine32", hashfunc=int)
            if update == "batch":
                signature.update_batch(one)
            else:
                for element in one:
                    signature.update(element)
            found.append(signature.hashvalues)
        return np.array(found)

    def numpy_alone() -> np.ndarray:
        compiled, numba_kernels.is_numba_available = numba_kernels.is_numba_available, lambda: False  # type: ignore[assignment]
        try:
            return minhash.compute_signatures(flat, bounds, table)
        finally:
            numba_kernels.is_numba_available = compiled

    ways: dict[str, Callable[[], np.ndarray]] = {
        "curate, NumPy alone": numpy_alone,
        "datasketch, update_batch": lambda: theirs("batch"),
        "datasketch, update": lambda: theirs("one"),
    }
    if numba_kernels.is_numba_available():
        ways = {"curate, with numba": lambda: minhash.compute_signatures(flat, bounds, table)} | ways
    rates, expected = {}, theirs("batch")
    for name, way in ways.items():
        assert np.array_equal(way(), expected), f"{name} gives other values"
        times = []
        for _ in range(repeats if name != "datasketch, update" else 1):
            began = time.perf_counter()
            way()
            times.append(time.perf_counter() - began)
        rates[name] = len(sets) / sorted(times)[len(times) // 2]
    return rates


# ---- a large corpus -------------------------------------------------------------------------------------------------


def read_sentences(path: Path) -> list[str]:
    """Sentences of 30 to 300 characters of a JSON Lines file or a folder of them (plain or .zst), each once."""
    import zstandard

    found: dict[str, None] = {}
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if ".jsonl" not in file.name:
            continue
        with file.open("rb") as raw:
            stream: Any = zstandard.ZstdDecompressor().stream_reader(raw) if file.suffix == ".zst" else raw
            for line in io.TextIOWrapper(stream, encoding="utf-8"):
                pieces = re.split(r"(?<=[.!?])\s+|\n+", json.loads(line)["text"])
                found.update((piece, None) for piece in pieces if 30 <= len(piece) <= 300)
    return list(found)


def edit(text: str, words: int, chance: random.Random) -> str:
    """The text with some single words replaced, far apart, so that each takes five shingles with it."""
    pieces = text.split(" ")
    step = len(pieces) // max(1, words)
    for number in range(words):
        pieces[min(number * step + chance.randrange(max(1, step // 2)), len(pieces) - 1)] = (
            f"zq{chance.randrange(10**9)}"
        )
    return " ".join(pieces)


def make_corpus(folder: Path, documents: int, octets: int, sentences: Sequence[str], seed: int = 0) -> dict[str, int]:
    """Documents of recombined sentences in eight files; one in twenty an exact copy, one in twenty a near copy.

    The id of a copy begins with that of its original. Near copies have 1 to 9 words replaced (similarity .85 and more
    in a document of 3 kB), exact ones another case and other white space.
    """
    chance, waiting, counts = random.Random(seed), [], {"exact": 0, "near": 0}
    with ExitStack() as opened:
        paths = [folder / f"part-{number}.jsonl" for number in range(8)]
        files = [opened.enter_context(path.open("w", encoding="utf-8")) for path in paths]
        for number in range(documents):
            kind = chance.random()
            if waiting and kind < 0.1:
                original, text = waiting.pop(chance.randrange(len(waiting)))
                exact = kind < 0.05
                name = f"{original}/{'e' if exact else 'n'}{number}"
                text = text.upper().replace(" ", "\n", 5) if exact else edit(text, chance.randint(1, 9), chance)
                counts["exact" if exact else "near"] += 1
            else:
                name, text = f"d{number}", recombine(sentences, octets, chance)
                if len(waiting) < 1000:
                    waiting.append((name, text))
                elif chance.random() < 0.2:
                    waiting[chance.randrange(1000)] = (name, text)
            files[number * 8 // documents].write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
    return counts


def recombine(sentences: Sequence[str], octets: int, chance: random.Random) -> str:
    """Sentences drawn at random until they are long enough."""
    pieces, size = [], 0
    while size < octets:
        pieces.append(sentences[chance.randrange(len(sentences))])
        size += len(pieces[-1]) + 1
    return " ".join(pieces)


def read_corpus(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield row["id"], row["text"]


def run_child(side: str, folder: str, run: str) -> None:
    """In a process of its own: one side over a corpus. Writes what came out to ``run``.json."""
    result: dict[str, Any]
    if side == "curate":
        from curate.runtime import console
        from curate.verbs.dedup import dedup

        console.enable()
        result = dedup(run=run, corpus=[folder]).as_dict()
    else:
        names, texts = zip(*read_corpus(Path(folder)), strict=True)
        pairs = SIDES[side](texts)
        origins = [name.split("/")[0] for name in names]
        hits = {second for first, second in pairs if origins[first] == origins[second]}
        result = {"found": len({at for at in hits if "/" in names[at]}), "pairs": len(pairs)}
    Path(f"{run}.json").write_text(json.dumps(result))


def check_planted(run: Path, planted: dict[str, int]) -> dict[str, Any]:
    """How many of the planted copies share a cluster with their original, and how many clusters mix originals."""
    import pyarrow.parquet as pq

    table = pq.read_table(run / "duplicates.parquet", columns=["id", "cluster", "keeper"])
    clusters: dict[int, list[str]] = defaultdict(list)
    for name, cluster in zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True):
        clusters[cluster].append(name)
    found, mixed = {"exact": 0, "near": 0}, 0
    for names in clusters.values():
        origins = {name.split("/")[0] for name in names}
        mixed += len(origins) > 1
        for name in names:
            origin, _, copy = name.partition("/")
            if copy and origin in names:
                found["exact" if copy[0] == "e" else "near"] += 1
    return {"planted": planted, "found": found, "mixed_clusters": mixed}


def measure_scale(
    side: str, documents: int, octets: int, sentences: Sequence[str], scratch: Path, datatrove_python: str
) -> dict[str, Any]:
    """One side over a made-up corpus. ``removed`` has the file and row of what it drops, where it says so."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder, run = Path(name) / "corpus", Path(name) / "run"
        folder.mkdir()
        planted = make_corpus(folder, documents, octets, sentences)
        files = sorted(path.name for path in folder.iterdir())
        size = sum((folder / file).stat().st_size for file in files)
        words = [sys.executable, __file__, "--child", side, str(folder), str(run)]
        if side in datatrove_side.DIVISIONS:
            words = [datatrove_python, datatrove_side.__file__, side, str(folder), str(run)]
        cost = measure_command(words)
        found: dict[str, Any] = {"result": json.loads(Path(f"{run}.json").read_text()), **asdict(cost)}
        if side == "curate":
            found["check"] = check_planted(run, planted)
            found["removed"] = list_removed(read_our_members(run / "duplicates.parquet", files))
        elif side in datatrove_side.DIVISIONS:
            found["removed"] = list_removed(datatrove_side.read_members(run))
            copies = set(list_copies(folder, files))
            found["check"] = {"planted": planted, "found": {"both": len(copies & found["removed"])}}
        else:
            found["check"] = {"planted": planted, "found": {"both": found["result"]["found"]}}
    return {"side": side, "documents": documents, "bytes": size, **found}


def list_copies(folder: Path, files: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield file and row of each planted copy."""
    for number, file in enumerate(files):
        with (folder / file).open(encoding="utf-8") as lines:
            yield from ((number, row) for row, line in enumerate(lines) if "/" in json.loads(line)["id"])


def compare_sides(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take ``removed`` out of the measurements and return, of each side beside curate, what both remove."""
    removed = {(row["side"], row["documents"]): row.pop("removed") for row in found if "removed" in row}
    return [
        {"side": side, "documents": count, "removed": len(theirs), "curate": len(removed["curate", count])}
        | compare_removed(removed["curate", count], theirs)
        for (side, count), theirs in removed.items()
        if side != "curate" and ("curate", count) in removed
    ]


# ---- the report -----------------------------------------------------------------------------------------------------


def render(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    shown = {"pairs": render_pairs, "signatures": render_signatures, "scale": render_scale, "removed": render_removed}
    parts = [show(results[name]) for name, show in shown.items() if name in results]
    return "\n\n".join([f"{results['machine']}.", *parts]) + "\n"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    lines = [names, ["---", *(["--:"] * (len(names) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def render_pairs(found: Sequence[dict[str, Any]]) -> str:
    names = ("side", f"recall from {SURE:g}", f"recall from {THRESHOLD:g}", "called copies", "precision", "lowest true")
    rows = [
        (
            row["side"],
            f"{row['recall']:.4f}",
            f"{row['near_recall']:.4f}",
            f"{row['claimed']:,}",
            f"{row['precision']:.4f}",
            f"{row['worst']:.3f}",
            f"{row['seconds']:.1f}",
        )
        for row in found
    ]
    return (
        f"### Pairs of known similarity\n\nThreshold {THRESHOLD:g}, {PERMUTATIONS} permutations (text-dedup 250), word "
        f"{SHINGLE}-grams; {found[0]['sure']} pairs of true similarity {SURE:g} and more. Precision: the share of the "
        f"pairs called copies whose true similarity is {THRESHOLD:g} and more.\n\n{table([*names, 'seconds'], rows)}"
    )


def render_signatures(rates: dict[str, float]) -> str:
    best, loop = max(rates.values()), rates["datasketch, update"]
    rows = [(name, f"{rate:,.0f}", f"{rate / loop:.0f} ×", f"{best / rate:.1f} ×") for name, rate in rates.items()]
    return (
        f"### Signatures\n\n{PERMUTATIONS} permutations, one core, from 32-bit hashes; the values are the same.\n\n"
        + table(("way", "signatures/s", "against update", "the fastest is"), rows)
    )


def render_scale(found: Sequence[dict[str, Any]]) -> str:
    rows = []
    for row in found:
        planted, hits = row["check"]["planted"], row["check"]["found"]
        copies = [f"{hit:,} of {planted.get(kind, sum(planted.values())):,} {kind}" for kind, hit in hits.items()]
        sizes = (
            f"{row['bytes'] / 1e6:,.0f} MB", f"{row['seconds']:.0f}", f"{row['cpu_seconds']:.0f}",
            f"{row['bytes'] / 1e6 / row['seconds']:.1f}", f"{row['bytes'] / 1e6 / row['cpu_seconds']:.1f}",
            f"{row['peak_bytes'] / 1e6:,.0f} MB", f"{row['load']:.1f}",
        )  # fmt: skip
        rows.append((row["side"], f"{row['documents']:,}", *sizes, ", ".join(copies)))
    names = (
        "side", "documents", "text", "seconds", "CPU s", "MB/s", "MB/CPU s", "peak memory", "load", "planted found"
    )  # fmt: skip
    text = "Reading, words, signatures, candidates; curate also reads the candidates again and compares them exactly."
    return f"### A whole run\n\n{text}\n\n{table(names, rows)}"


def render_removed(found: Sequence[dict[str, Any]]) -> str:
    names = ("side", "documents", "removed", "by curate", "by both", "by curate alone", "by the side alone")
    keys = ("documents", "removed", "curate", "both", "ours alone", "theirs alone")
    rows = [(row["side"], *(f"{row[key]:,}" for key in keys)) for row in found]
    text = "The same documents, with the first one of each cluster kept on both sides."
    return f"### What is removed\n\n{text}\n\n{table(names, rows)}"


def describe_machine() -> str:
    names = ["datasketch", "rensa", "numba", "numpy", "duckdb"]
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores; {', '.join(found)}; {time.strftime('%Y-%m-%d')}"
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--pairs", type=Path, help="JSON Lines (plain or .zst) with text_a, text_b, jaccard_w5")
    add("--only", choices=("pairs", "signatures", "scale"), help="one part alone")
    add("--documents", type=int, default=20_000, help="of the made-up corpus, for curate (20,000)")
    add("--peer-documents", type=int, default=5_000, help="for the others, which hold all in memory (5,000; 0: none)")
    add("--bytes", type=int, default=3_000, help="of a made-up document (3,000)")
    add("--corpus", type=Path, default=SAMPLE, help="where its sentences come from: JSON Lines, or a folder of them")
    add("--scratch", type=Path, help="folder for the made-up corpus (the system's)")
    add("--datatrove-python", help="a Python with datatrove, spacy and xxhash<4: its pipeline is a side, too")
    add("--sides", nargs="*", default=[], help="of the whole run, these sides alone (all that are installed)")
    add("--repeats", type=int, default=3)
    add("--out", type=Path, default=HERE / "results", help="folder for dedup.json and dedup.md (benchmarks/results)")
    add("--child", nargs=3, metavar=("SIDE", "FOLDER", "RUN"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = read_options()
    if options.child:
        run_child(*options.child)
        return
    sides = [side for side in SIDES if installed(side)]
    results: dict[str, Any] = {"machine": describe_machine()}
    if options.datatrove_python:
        results["machine"] += f". datatrove's Python: {datatrove_side.read_versions(options.datatrove_python)}"
    if options.pairs and options.only in (None, "pairs"):
        pairs = read_pairs(options.pairs)
        results["pairs"] = [asdict(judge(side, pairs)) for side in sides]
    sentences = read_sentences(options.corpus) if options.only != "pairs" else []
    if options.only in (None, "signatures"):
        chance = random.Random(0)
        texts = [" ".join(chance.choices(sentences, k=25)) for _ in range(2_000)]
        results["signatures"] = measure_signatures(texts, options.repeats)
    if options.only in (None, "scale"):
        sized = [("curate", options.documents)]
        peers = [*sides, *(datatrove_side.DIVISIONS if options.datatrove_python else ())]
        sized += [(side, options.peer_documents) for side in peers if options.peer_documents]
        results["scale"] = [
            measure_scale(side, count, options.bytes, sentences, options.scratch, options.datatrove_python)
            for side, count in dict.fromkeys(sized)
            if not options.sides or side in options.sides
        ]
        results["removed"] = compare_sides(results["scale"])
    print(render(results))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dedup.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.out / "dedup.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
