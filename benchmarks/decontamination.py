"""Which planted eval items are found, what is flagged by mistake, and how fast: ours beside the rules in use today.

    python benchmarks/decontamination.py --small       # made-up items, seconds: does it work?
    python benchmarks/decontamination.py --documents docs.jsonl.zst --truth truth.jsonl.zst --evals evals/ \
        --clean heldout/*.jsonl.zst                     # about ten minutes
    python benchmarks/decontamination.py --labelled --readme    # precision by language and kind, half a minute
    python benchmarks/decontamination.py --signatures --clean heldout/*.jsonl.zst

Documents are JSON Lines (plain or .zst) with id and text; the truth has doc_id, eval_id (null: clean), evalset, way,
start, end. Every side gets the same items and texts, in one process and one thread; the sides take turns where they are
timed. Memory is measured in a process for each side. See benchmarks/README.md for the sides and columns.
"""

import argparse
import io
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample" / "documents.jsonl"
WAYS = {
    "verbatim": "verbatim",
    "question_only": "question only",
    "question_answer": "q + a",
    "web_qa": "web Q&A",
    "whitespace_punct": "white space",
    "case": "case",
    "paraphrase10": "10 % words",
    "truncated60": "first 60 %",
}
WORD = re.compile(r"\w+")
LEAST = 5  # words below which a text names no item
SHOWN = 160  # characters of a passage in a list
OURS = "curate ngram"
PERMUTATIONS, THRESHOLD, SHINGLE = 128, 0.8, 5


@dataclass(frozen=True, slots=True)
class Asked:
    """An eval item, as the sides get it."""

    set: str
    id: str
    questions: tuple[str, ...]
    context: str
    choices: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Plant:
    """What was put into a document."""

    document: int
    set: str
    id: str
    way: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A side says that a document contains an item, or something of a set."""

    document: int
    set: str
    item: int | None
    """Its number, where the side tells."""
    passage: str = ""
    sure: bool = True
    """False: for review."""
    why: str = ""


Scan = Callable[[Sequence[str]], list[Finding]]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is looked through."""

    items: list[Asked]
    texts: list[str]
    plants: list[Plant]
    clean: list[str]


# ---- the sides: items to a function that looks texts through --------------------------------------------------------


def split(text: str) -> list[str]:
    """Words of the peers that do not say what a word is."""
    return WORD.findall(text.lower())


def grams(words: Sequence[str], size: int) -> list[str]:
    return [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]


def open_curate(items: Sequence[Asked], method: Any) -> Scan:
    """``curate decontaminate``, without its reading and writing."""
    from curate.stages.decontaminate.detector import make_detector

    detector = make_detector(items, method)

    def scan(texts: Sequence[str]) -> list[Finding]:
        return [
            Finding(
                match.document,
                items[match.item].set,
                match.item,
                texts[match.document][match.start : match.end],
                match.verdict == "contaminated",
                f"{match.part}, {match.rule}, {match.bits:.0f} bits, coverage {match.coverage:.2f}",
            )
            for match in detector.scan(texts)
        ]

    return scan


def open_any(items: Sequence[Asked], size: int) -> Scan:
    """Any shared n-gram of a question: GPT-3 with 13 words (Brown et al. 2020, appendix C), others with 8."""
    known: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        for gram in {gram for text in item.questions for gram in grams(split(text), size)}:
            known[gram].append(number)

    def scan(texts: Sequence[str]) -> list[Finding]:
        found = []
        for document, text in enumerate(texts):
            named: dict[int, str] = {}
            for gram in grams(split(text), size):
                for number in known.get(gram, ()):
                    named.setdefault(number, gram)
            found += [Finding(document, items[number].set, number, gram) for number, gram in named.items()]
        return found

    return scan


def open_datatrove(items: Sequence[Asked], questions: bool) -> Scan:
    """datatrove's NGramsDecontIndexer.compute_hashes and NGramsDecontFilter.filter, 12-grams, its English tokenizer.

    The loop of the indexer's ``run`` stands here, since that imports lighteval even for documents of one's own.
    """
    import xxhash
    from datatrove.data import Document
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer
    from loguru import logger

    logger.disable("datatrove")
    config = NGramsDecontConfig(find_query_ngrams=questions)
    folder = tempfile.TemporaryDirectory()
    filtering = NGramsDecontFilter(folder.name, config)
    filtering.hash_func = lambda gram: xxhash.xxh64_intdigest(gram.encode())  # as its own, which xxhash 4 refuses
    indexer = SimpleNamespace(config=config, tokenizer=filtering.tokenizer, hash_func=filtering.hash_func)
    hashes: dict[str, set[int]] = defaultdict(set)
    for item in items:
        hashes[item.set].update(NGramsDecontIndexer.compute_hashes(indexer, item.answer, "\n".join(item.questions)))
    for name, found in hashes.items():
        array = np.array(list(found), config.hash_config.np_descr)
        array.tofile(Path(folder.name) / f"{name.replace(' ', '_')}.index.hashes")
    filtering.load_index_hashes()
    folder.cleanup()

    def scan(texts: Sequence[str]) -> list[Finding]:
        found = []
        for number, text in enumerate(texts):
            document = Document(text=text, id=str(number))
            if filtering.filter(document) is not True:
                metadata = document.metadata
                found.append(Finding(number, metadata["contaminated_task"], None, metadata["contaminated_ngram"]))
        return found

    return scan


def open_datasketch(items: Sequence[Asked]) -> Scan:
    """MinHashLSH over whole documents, word 5-grams, as its documentation shows it."""
    from datasketch import MinHash, MinHashLSH

    def sign(text: str) -> Any:
        signature = MinHash(num_perm=PERMUTATIONS)
        words = split(text)
        for shingle in set(grams(words, SHINGLE)) or {" ".join(words)}:
            signature.update(shingle.encode())
        return signature

    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    for number, item in enumerate(items):
        for turn, text in enumerate(item.questions):
            index.insert((number, turn), sign(text))

    def scan(texts: Sequence[str]) -> list[Finding]:
        return [
            Finding(document, items[number].set, number)
            for document, text in enumerate(texts)
            for number, _ in index.query(sign(text))
        ]

    return scan


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    how: str
    open: Callable[[Sequence[Asked]], Scan]
    needs: tuple[str, ...] = ()


SIDES = (
    Side(OURS, "exact index of word triples, verdict in bits", lambda items: open_curate(items, "ngram")),
    Side("curate minhash", "MinHash windows, the same verdict", lambda items: open_curate(items, "minhash")),
    Side(
        "datatrove",
        "its own code, 12-grams of questions too (find_query_ngrams=True), spaCy's English tokenizer; tells the set",
        lambda items: open_datatrove(items, True),
        ("datatrove", "spacy"),
    ),
    Side(
        "datatrove, defaults",
        "the same, 12-grams of the answer and of where question and answer meet",
        lambda items: open_datatrove(items, False),
        ("datatrove", "spacy"),
    ),
    Side("any 13-gram", "GPT-3's rule: a 13-gram of a question; lower-cased \\w+", lambda items: open_any(items, 13)),
    Side("any 8-gram", "an 8-gram of a question; lower-cased \\w+", lambda items: open_any(items, 8)),
    Side(
        "datasketch",
        "MinHashLSH of whole documents, 5-grams, threshold .8, MinHash.update for each shingle",
        open_datasketch,
        ("datasketch",),
    ),
)


def find_side(name: str) -> Side:
    return next(side for side in SIDES if side.name == name)


# ---- what is looked through -----------------------------------------------------------------------------------------


def read_rows(path: Path) -> list[dict[str, Any]]:
    import zstandard

    with path.open("rb") as raw:
        stream: Any = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


def read_corpus(options: argparse.Namespace) -> Corpus:
    """The files of the options; documents that the truth does not tell of are left out."""
    from curate.stages.decontaminate.evalsets import open_evals

    sets = open_evals([str(options.evals)])
    items = [
        Asked(item.set, item.id, item.questions, item.context, item.choices, item.answer)
        for one in sets
        for item in one.items
    ]
    texts = {row["id"]: row["text"] for row in read_rows(options.documents)}
    truth = [row for row in read_rows(options.truth) if row["doc_id"] in texts][: 200 if options.small else None]
    plants = [
        Plant(number, row["evalset"], row["eval_id"], row["way"], texts[row["doc_id"]][row["start"] : row["end"]])
        for number, row in enumerate(truth)
        if row["eval_id"]
    ]
    clean = [row["text"] for path in options.clean for row in read_rows(path)][: 200 if options.small else None]
    return Corpus(items, [texts[row["doc_id"]] for row in truth], plants, clean)


def make_corpus(path: Path, seed: int = 0) -> Corpus:
    """Sentences of the sample as questions and answers, planted in a third of the other documents."""
    chance = random.Random(seed)
    texts = [row["text"] for row in read_rows(path)]
    hosts, sources = texts[::2], texts[1::2]
    sentences = [one.strip() for text in sources for one in re.split(r"(?<=[.!?])\s+|\n+", text)]
    sentences = [one for one in dict.fromkeys(sentences) if 12 <= len(split(one)) <= 40]
    items = [Asked("made-up", str(at), (one,), "", (), two) for at, (one, two) in enumerate(pairs(sentences))]
    plants = []
    for number, way in zip(range(0, len(hosts), 3), list(WAYS) * len(hosts), strict=False):
        item = chance.choice(items)
        passage, at = alter(item, way, chance), hosts[number].find("\n") + 1
        hosts[number] = f"{hosts[number][:at]}\n{passage}\n\n{hosts[number][at:]}"
        plants.append(Plant(number, item.set, item.id, way, passage))
    return Corpus(items, hosts, plants, [])


def pairs(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(texts[::2], texts[1::2], strict=False)


def alter(item: Asked, way: str, chance: random.Random) -> str:
    """What is planted of an item."""
    question = item.questions[0]
    both, words = f"{question}\n{item.answer}", question.split(" ")
    if way == "paraphrase10":
        for at in chance.sample(range(len(words)), max(1, len(words) // 10)):
            words[at] = f"zq{chance.randrange(1000)}"
    return {
        "question_only": question,
        "question_answer": both,
        "web_qa": f"Q: {question}\n\n3 Answers\n\nA: {item.answer}",
        "whitespace_punct": both.replace(" ", "  ").replace(".", " ."),
        "case": both.upper(),
        "paraphrase10": " ".join(words),
        "truncated60": " ".join(words[: int(len(words) * 0.6)]),
    }.get(way, both)


# ---- what was found -------------------------------------------------------------------------------------------------


class Whole:
    """Which texts contain a whole question word for word, whatever any side says of them."""

    def __init__(self, items: Sequence[Asked]):
        self._first: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
        self.sets = [item.set for item in items]
        self.words = [tuple(" ".join(split(text)) for text in item.questions) for item in items]
        for number, texts in enumerate(self.words):
            for words in (text.split(" ") for text in texts):
                if len(words) >= LEAST:
                    self._first[tuple(words[:LEAST])].append((f" {' '.join(words)} ", number))

    def find(self, text: str) -> set[int]:
        """The items of which a question is there."""
        words = split(text)
        starts = zip(*(words[at:] for at in range(LEAST)), strict=False)
        likely = {one for start in starts for one in self._first.get(start, ())}
        joined = f" {' '.join(words)} "
        return {number for wanted, number in likely if wanted in joined}


def judge(findings: Sequence[Finding], corpus: Corpus, whole: Whole) -> dict[str, Any]:
    """Recall at three levels by way and by set, and what was missed."""
    sure: dict[int, list[Finding]] = defaultdict(list)
    for one in findings:
        if one.sure:
            sure[one.document].append(one)
    numbers = {(item.set, item.id): number for number, item in enumerate(corpus.items)}
    levels: dict[str, Counter[str]] = defaultdict(Counter)
    missed = []
    for plant in corpus.plants:
        named = sure.get(plant.document, [])
        asked = whole.words[numbers[plant.set, plant.id]]
        right = {
            "document": bool(named),
            "set": any(one.set == plant.set for one in named),
            "item": any(one.item is not None and whole.words[one.item] == asked for one in named),
        }
        for level, hit in right.items():
            levels[level].update({key: int(hit) for key in (f"way {plant.way}", f"set {plant.set}", "all")})
        if not named:
            missed.append(asdict(plant) | {"question": "\n".join(corpus.items[numbers[plant.set, plant.id]].questions)})
    reviewed = {one.document for one in findings if not one.sure} - set(sure)
    return {
        "found": {level: dict(counts) for level, counts in levels.items()},
        "missed": [row | {"review": row["document"] in reviewed} for row in missed],
        "named": statistics.mean(len(ones) for ones in sure.values()) if sure else 0.0,
    }


def count_false(findings: Sequence[Finding], texts: Sequence[str], whole: Whole, skip: set[int]) -> dict[str, Any]:
    """Documents flagged that carry no plant; those that contain a question named, word for word, apart."""
    found: dict[int, list[Finding]] = defaultdict(list)
    for one in findings:
        if one.document not in skip:
            found[one.document].append(one)
    flagged, review = [], 0
    for document, ones in sorted(found.items()):
        sure = [one for one in ones if one.sure]
        review += not sure
        if sure:
            here = whole.find(texts[document])
            held = [
                n for n in here if any(one.item == n or (one.item is None and one.set == whole.sets[n]) for one in sure)
            ]
            flagged.append(
                {
                    "document": document,
                    "shared": [whole.words[number] for number in held],
                    "findings": [asdict(one) for one in sure],
                }
            )
    return {"documents": len(texts) - len(skip), "flagged": flagged, "review": review}


# ---- what it costs --------------------------------------------------------------------------------------------------


def megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) / 1e6


def thin(texts: Sequence[str], most: float) -> list[str]:
    """Every k-th text, of about that many megabytes."""
    step = max(1, round(megabytes(texts) / most))
    return list(texts[::step])


def time_once(scan: Scan, texts: Sequence[str]) -> tuple[float, float]:
    """Seconds of the wall clock and of the processor."""
    cpu, wall = time.process_time(), time.perf_counter()
    scan(texts)
    return time.perf_counter() - wall, time.process_time() - cpu


def take_turns(scans: dict[str, Scan], texts: Sequence[str], repeats: int) -> dict[str, dict[str, float]]:
    """Medians of the turns, another side first each time."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in scans}
    names = list(scans)
    for repeat in range(repeats):
        first = repeat % len(names)
        for name in names[first:] + names[:first]:
            turns[name].append(time_once(scans[name], texts))
    found = {}
    for name, pairs in turns.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        size = megabytes(texts)
        found[name] = {
            "mb_per_cpu_second": size / cpu,
            "mb_per_second": size / wall,
            "documents_per_cpu_second": len(texts) / cpu,
            "slowest": size / max(cpu for _, cpu in pairs),
            "fastest": size / min(cpu for _, cpu in pairs),
        }
    return found


def measure_memory(name: str, corpus: Corpus, texts: Sequence[str]) -> int:
    """The most resident memory of a process of its own that makes the index and looks some texts through.  → bytes"""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump({"items": [asdict(item) for item in corpus.items], "texts": texts}, file)
        file.flush()
        command = [sys.executable, __file__, "--child", name, file.name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-1])


def run_child(name: str, path: str) -> None:
    """Look through once and print the high-water mark; with the name "nothing", read the file alone."""
    held = json.loads(Path(path).read_text(encoding="utf-8"))
    items = [
        Asked(**row | {"questions": tuple(row["questions"]), "choices": tuple(row["choices"])}) for row in held["items"]
    ]
    if name != "nothing":
        find_side(name).open(items)(held["texts"])
    print(high_water_mark())


def high_water_mark() -> int:
    """The most memory that was resident since this program began, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's number is inherited from the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# ---- the comparison -------------------------------------------------------------------------------------------------


def compare(corpus: Corpus, options: argparse.Namespace) -> dict[str, Any]:
    """All sides over all texts, then over some of them for the time."""
    sides = [side for side in SIDES if side.name in options.sides and installed(side)]
    whole, planted = Whole(corpus.items), {plant.document for plant in corpus.plants}
    rows, scans = {}, {}
    for side in sides:
        cpu = time.process_time()
        scans[side.name] = side.open(corpus.items)
        opened = time.process_time() - cpu
        say(f"{side.name}: index in {opened:.1f} s")
        findings = scans[side.name](corpus.texts)
        rows[side.name] = {
            "how": side.how,
            "index_seconds": opened,
            **judge(findings, corpus, whole),
            "clean": count_false(findings, corpus.texts, whole, planted),
            "heldout": count_false(scans[side.name](corpus.clean), corpus.clean, whole, set()),
        }
    mostly = corpus.clean or corpus.texts
    for part, texts in (
        ("speed", thin(mostly, options.megabytes)),
        ("planted_speed", thin(corpus.texts, options.megabytes)),
    ):
        say(f"turns over {megabytes(texts):.1f} MB")
        for name, found in take_turns(scans, texts, options.repeats).items():
            rows[name][part] = found
    some = thin(mostly, options.megabytes / 2)
    for name in [] if options.no_memory else list(scans):
        say(f"memory of {name}")
        rows[name]["peak_bytes"] = measure_memory(name, corpus, some)
    return {
        "corpus": describe_corpus(corpus, planted),
        "base_bytes": 0 if options.no_memory else measure_memory("nothing", corpus, some),
        "timed_megabytes": megabytes(thin(mostly, options.megabytes)),
        "repeats": options.repeats,
        "sides": rows,
    }


def describe_corpus(corpus: Corpus, planted: set[int]) -> dict[str, Any]:
    items = {(item.set, item.id): item for item in corpus.items}
    short = []
    for plant in corpus.plants:
        words = [len(split(text)) for text in items[plant.set, plant.id].questions]
        if max(words) < LEAST or (plant.way in ("question_only", "truncated60") and len(split(plant.text)) < LEAST):
            short.append(asdict(plant) | {"question_words": max(words)})
    return {
        "items": len(corpus.items),
        "documents": len(corpus.texts),
        "clean_documents": len(corpus.texts) - len(planted),
        "heldout_documents": len(corpus.clean),
        "megabytes": megabytes(corpus.texts),
        "heldout_megabytes": megabytes(corpus.clean),
        "ways": dict(Counter(plant.way for plant in corpus.plants)),
        "sets": dict(Counter(plant.set for plant in corpus.plants)),
        "unmatchable": short,
    }


def installed(side: Side) -> bool:
    for name in side.needs:
        try:
            version(name)
        except PackageNotFoundError:
            say(f"{side.name} is left out: pip install {' '.join(side.needs)}")
            return False
    return True


# ---- signatures -----------------------------------------------------------------------------------------------------


def tokenise(texts: Sequence[str]) -> list[set[bytes]]:
    """Word 5-grams, as one writes it for datasketch."""
    return [{gram.encode() for gram in grams(split(text), SHINGLE)} for text in texts]


def sign(sets: Sequence[set[Any]], batch: bool, hashfunc: Callable[[Any], int] | None = None) -> np.ndarray:
    """datasketch's signatures, an update for each element or one for all; sha1 where no other hash is named."""
    from datasketch import MinHash

    hashing = {"hashfunc": hashfunc} if hashfunc else {}
    signed = []
    for elements in sets:
        signature = MinHash(num_perm=PERMUTATIONS, **hashing)
        if batch:
            signature.update_batch(list(elements))
        else:
            for element in elements:
                signature.update(element)
        signed.append(signature.hashvalues)
    return np.array(signed)


def without_numba(work: Callable[[], Any]) -> Any:
    from curate.matching import numba_kernels

    compiled, numba_kernels.is_numba_available = numba_kernels.is_numba_available, lambda: False  # type: ignore[assignment]
    try:
        return work()
    finally:
        numba_kernels.is_numba_available = compiled


def open_stages(texts: Sequence[str]) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is timed, by stage and side."""
    from curate.matching import minhash, numba_kernels, shingles, words

    found = words.split_words(texts)
    hashes, offsets = shingles.make_shingle_sets(found, SHINGLE)
    bounds, permutations = pairwise(offsets.tolist()), minhash.make_permutations(PERMUTATIONS, minhash.SEED)
    sets = [set(hashes[first:last].astype(np.uint32).tolist()) for first, last in bounds]
    tokens = tokenise(texts)

    def prepare() -> Any:
        return shingles.make_shingle_sets(words.split_words(texts), SHINGLE)

    def alone() -> Any:
        return minhash.compute_signatures(hashes, offsets, permutations)

    def whole() -> Any:
        return minhash.compute_signatures(*prepare(), permutations)

    fast = numba_kernels.is_numba_available()
    return {
        "text to signature": {
            **({"curate, numba": whole} if fast else {}),
            "curate, NumPy": lambda: without_numba(whole),
            "datasketch, update_batch, sha1": lambda: sign(tokenise(texts), True),
            "datasketch, update, sha1": lambda: sign(tokenise(texts), False),
        },
        "words": {"curate": lambda: words.split_words(texts)},
        "shingles of words": {"curate": lambda: shingles.make_shingle_sets(found, SHINGLE)},
        "words and shingles": {"curate": prepare, "re and join": lambda: tokenise(texts)},
        "signatures of bytes": {
            "datasketch, update_batch, sha1": lambda: sign(tokens, True),
            "datasketch, update, sha1": lambda: sign(tokens, False),
        },
        "signatures of 32-bit hashes": {
            **({"curate, numba": alone} if fast else {}),
            "curate, NumPy": lambda: without_numba(alone),
            "datasketch, update_batch": lambda: sign(sets, True, int),
            "datasketch, update": lambda: sign(sets, False, int),
        },
    }


def measure_signatures(texts: Sequence[str], repeats: int) -> dict[str, dict[str, float]]:
    """Documents a CPU-second, from text to signature and of each stage; the same hashes must give the same values."""
    stages = open_stages(texts)
    same = [work() for work in stages["signatures of 32-bit hashes"].values()]
    same += [work() for name, work in stages["text to signature"].items() if name.startswith("curate")]
    if not all(np.array_equal(one, same[0]) for one in same):
        raise SystemExit("error: the same hashes gave other signatures")
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for stage, works in stages.items():
        for name, work in works.items():
            times = [time_once(lambda _, work=work: work(), ())[1] for _ in range(repeats)]
            rates[stage][name] = len(texts) / statistics.median(times)
            say(f"{stage}: {name} {rates[stage][name]:,.0f}/s")
    return dict(rates)


def cut_documents(texts: Sequence[str], count: int, characters: int = 3_000) -> list[str]:
    """Pieces of that length."""
    whole = "\n\n".join(texts)
    pieces = [whole[at : at + characters] for at in range(0, len(whole) - characters, characters)]
    return pieces[:: max(1, len(pieces) // count)][:count]


# ---- the report -----------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def table(rows: Sequence[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---", *["--:"] * (len(rows[0]) - 1)], *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def render(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    parts = [results["machine"] + "."]
    if "signatures" in results:
        parts += render_signatures(results["signatures"])
    else:
        corpus, sides = results["corpus"], results["sides"]
        parts += [tell(results), table([describe_side(name, sides, corpus) for name in sides])]
        parts.append("\n".join(f"- {name}: {row['how']}" for name, row in sides.items()))
        parts.append("### Levels and costs\n\n" + table([describe_levels(name, sides, corpus) for name in sides]))
        parts.append(
            "### A leak found, by eval set\n\n" + table([describe_set(one, sides, corpus) for one in corpus["sets"]])
        )
        parts += render_lists(corpus, sides.get(OURS))
    return "\n\n".join(parts) + "\n"


def tell(results: dict[str, Any]) -> str:
    """What the tables are of."""
    corpus = results["corpus"]
    return (
        f"{corpus['items']:,} eval items; {corpus['documents']:,} documents ({corpus['megabytes']:.1f} MB), "
        f"{sum(corpus['ways'].values()):,} with a plant and {corpus['clean_documents']:,} clean; "
        f"{corpus['heldout_documents']:,} held-out documents ({corpus['heldout_megabytes']:.1f} MB). "
        f"Speed: {results['timed_megabytes']:.1f} MB, medians of {results['repeats']} turns, "
        "a CPU-second of one thread. "
        f"Of the peak memory {results['base_bytes'] / 1e6:,.0f} MB are Python, the items and the texts."
    )


def describe_side(name: str, sides: dict[str, Any], corpus: dict[str, Any]) -> dict[str, str]:
    row, found = sides[name], sides[name]["found"]["document"]
    speed, ours = row["speed"], sides.get(OURS)
    ratio = (
        "" if name == OURS or not ours else f"{ours['speed']['mb_per_cpu_second'] / speed['mb_per_cpu_second']:.1f} ×"
    )
    return {
        "side": name,
        **{WAYS[way]: f"{found[f'way {way}'] / corpus['ways'][way]:.3f}" for way in WAYS if way in corpus["ways"]},
        "clean flagged": show_false(row["clean"]),
        "held-out flagged": show_false(row["heldout"]),
        "MB/s": f"{speed['mb_per_cpu_second']:.2f}",
        "documents/s": f"{speed['documents_per_cpu_second']:,.0f}",
        "peak": f"{row['peak_bytes'] / 1e6:,.0f} MB" if "peak_bytes" in row else "",
        "curate is": ratio,
    }


def show_false(found: dict[str, Any]) -> str:
    shared = sum(bool(one["shared"]) for one in found["flagged"])
    return f"{len(found['flagged'])}" + (f" ({shared} shared)" if shared else "") if found["documents"] else ""


def describe_levels(name: str, sides: dict[str, Any], corpus: dict[str, Any]) -> dict[str, str]:
    row, count = sides[name], sum(corpus["ways"].values())
    found = {level: f"{held['all'] / count:.3f}" for level, held in row["found"].items()}
    return {
        "side": name,
        "a leak": found["document"],
        "the set": found["set"],
        "the item": found["item"],
        "items named": f"{row['named']:.1f}",
        "for review": f"{row['clean']['review'] + row['heldout']['review']}",
        "index": f"{row['index_seconds']:.1f} s",
        "MB/s by the clock": f"{row['speed']['mb_per_second']:.2f}",
        "MB/s, a third planted": f"{row['planted_speed']['mb_per_cpu_second']:.2f}",
    }


def describe_set(name: str, sides: dict[str, Any], corpus: dict[str, Any]) -> dict[str, str]:
    count = corpus["sets"][name]
    found = {side: row["found"]["document"][f"set {name}"] / count for side, row in sides.items()}
    return {"set": name, "plants": f"{count}", **{side: f"{value:.3f}" for side, value in found.items()}}


def render_lists(corpus: dict[str, Any], ours: dict[str, Any] | None) -> list[str]:
    """Plants that are too short, what we miss, and what we flag."""
    short = [
        f"- {one['set']} {one['id']} ({one['way']}, question of {one['question_words']} words): {clip(one['text'])}"
        for one in corpus["unmatchable"]
    ]
    parts = ["### Plants of fewer than five words\n\n" + ("\n".join(short) or "None.")]
    if ours is None:
        return parts
    missed = [
        f"- {one['set']} {one['id']} ({one['way']}{', for review' if one['review'] else ''}): {clip(one['text'])}"
        for one in ours["missed"]
    ]
    parts.append(f"### Plants that {OURS} misses\n\n" + ("\n".join(missed) or "None."))
    for title, key in (("clean", "clean"), ("held-out", "heldout")):
        flagged = [
            f"- {'shared word for word: ' if one['shared'] else ''}document {one['document']}, {hit['set']} "
            f"({hit['why']}): {clip(hit['passage'])}"
            for one in ours[key]["flagged"]
            for hit in one["findings"][:1]
        ]
        parts.append(f"### What {OURS} flags in {title} documents\n\n" + ("\n".join(flagged) or "None."))
    return parts


def clip(text: str) -> str:
    shown = " ".join(text.split())
    return f"“{shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}”"


def render_signatures(stages: dict[str, dict[str, float]]) -> list[str]:
    rows = [
        {
            "stage": stage,
            "side": name,
            "documents/s": f"{rate:,.0f}",
            "the fastest is": f"{max(rates.values()) / rate:.1f} ×",
        }
        for stage, rates in stages.items()
        for name, rate in rates.items()
    ]
    told = (
        f"Documents of 3,000 characters, word {SHINGLE}-grams, {PERMUTATIONS} permutations, a CPU-second of one thread."
    )
    return [f"### Signatures\n\n{told}", table(rows)]


def describe_machine() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    found = []
    for name in ("numpy", "numba", "datasketch", "datatrove", "spacy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    load = os.getloadavg()[0]
    busy = f"; load {load:.1f} before it began" if load > 0.5 else ""
    return f"{(names or [platform.machine()])[0]}, one thread; {', '.join(found)}; {time.strftime('%Y-%m-%d')}{busy}"


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--documents", type=Path, help="JSON Lines with id and text")
    add("--truth", type=Path, help="JSON Lines with doc_id, eval_id, evalset, way, start, end")
    add("--evals", type=Path, help="folder of eval sets")
    add("--clean", type=Path, nargs="*", default=[], help="JSON Lines with text, in which nothing was planted")
    add("--sides", help=f"semicolon-separated, of {'; '.join(side.name for side in SIDES)} (all)")
    add("--megabytes", type=float, help="of text that is timed, from all of it evenly (6; 0.5 with --small)")
    add("--repeats", type=int, default=3, help="turns of each side (3)")
    add("--no-memory", action="store_true", help="do not measure memory, which takes a process for each side")
    add("--small", action="store_true", help="made-up items in the sample corpus, or 200 documents of those named")
    add("--signatures", action="store_true", help="MinHash signatures of documents of --clean or of the sample instead")
    add("--labelled", action="store_true", help="hard negatives and leaks of decontamination_set/ instead")
    add("--list", nargs="*", choices=("development", "held-out"), help="with --labelled: the rows that ours misjudges")
    add("--readme", action="store_true", help="with --labelled: put the tables into benchmarks/README.md too")
    add("--count", type=int, default=2_000, help="documents of --signatures (2,000)")
    add("--out", type=Path, help="folder for the results as json and md (benchmarks/results; none with --small)")
    add("--child", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = [side.name for side in SIDES]
    options.sides = [name.strip() for name in options.sides.split(";")] if options.sides else names
    if unknown := {*options.sides} - {*names}:
        parser.error(f"unknown: {', '.join(unknown)}")
    named = [options.documents, options.truth, options.evals]
    alone = options.small or options.signatures or options.labelled or options.child
    if any(named) != all(named) or not (alone or all(named)):
        parser.error("--documents, --truth and --evals belong together (--small does without)")
    if (options.readme or options.list) and not options.labelled:
        parser.error("--readme and --list belong to --labelled")
    options.megabytes = options.megabytes or (0.5 if options.small else 6)
    if options.out is None and not options.small:
        options.out = HERE / "results"
    return options


def main() -> None:
    options = read_options()
    if options.child:
        run_child(*options.child)
        return
    if options.labelled:
        import decontamination_labelled

        decontamination_labelled.run(options, describe_machine())
        return
    results: dict[str, Any] = {"machine": describe_machine()}
    if options.signatures:
        texts = [row["text"] for path in options.clean or [SAMPLE] for row in read_rows(path)]
        results["signatures"] = measure_signatures(
            cut_documents(texts, 200 if options.small else options.count), options.repeats
        )
    else:
        results |= compare(read_corpus(options) if options.documents else make_corpus(SAMPLE), options)
    print(render(results))
    if options.out:
        name = "signatures" if options.signatures else "decontamination"
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.out / f"{name}.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
