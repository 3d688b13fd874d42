"""The verbs of a campaign: a command each, and the commands that come before it.

A command is a tuple of words for ``curate``, or ``("+", A, B)``: the file A is copied to B, as a corpus grows.
"""

from dataclasses import dataclass

from campaign.material import SLICE_BYTES

Words = tuple[str, ...]


def words(text: str) -> Words:
    """Return the words of a command that has no quoted ones."""
    return tuple(text.split())


SCORE = words(f"score corpus --model model --device cpu --exact --run p --slice-bytes {SLICE_BYTES}")
SCORE_NONE = words(f"score corpus --model none --run p --signals all --slice-bytes {SLICE_BYTES}")
SCORE_OTHERS = words(f"score more --model model --device cpu --exact --run q --slice-bytes {SLICE_BYTES}")
DECONTAMINATE = words("decontaminate evals --run p --canaries 4 --workers 1")
DEDUP = words("dedup --run p --workers 1")
FILTER = words("filter --run p --keep middle --rate 0.8")
BUCKET = words("bucket --run p --quantiles 2")
ORDER = words("order --run p --schedule shuffle")
CHAIN = (SCORE, DECONTAMINATE, DEDUP, FILTER, BUCKET, ORDER)
EXPORT = words("export out --run p --format jsonl --workers 1")
REPORT = words("report --run p")
RANK = words(
    "rank-sft sft/plain.jsonl sft/other.jsonl --model model --device cpu --exact --draws 1000 --sample-size 0 "
    "--out r --examples ex"
)
TRAIN = words(
    "train-reference corpus --out m2 --tokens 3000 --vocabulary 300 --context 64 --width 32 --layers 1 --heads 2 "
    "--batch-tokens 512 --compute float32 --device cpu"
)
GROW = ("+", "more/d.jsonl", "corpus/d.jsonl")


@dataclass(frozen=True)
class Scenario:
    """A command under attack and the state in which it begins."""

    name: str
    command: Words
    before: tuple[Words, ...] = ()
    writes: bool = True
    """Whether it changes files, as all but ``status``, ``explain`` and ``verify`` do."""
    slow: bool = False
    """Whether it takes seconds: fewer trials of it are drawn."""

    @property
    def verb(self) -> str:
        return self.command[0]


def of(name: str, text: str | Words, *before: Words, writes: bool = True, slow: bool = False) -> Scenario:
    return Scenario(name, words(text) if isinstance(text, str) else text, before, writes, slow)


SCENARIOS = (
    of("score", SCORE_NONE),
    of("score-model", SCORE),
    of("score-grown", SCORE_NONE, SCORE_NONE, GROW),
    of("score-restart", (*SCORE_NONE, "--restart"), SCORE_NONE, *CHAIN[1:3]),
    of("decontaminate", DECONTAMINATE, SCORE),
    of("decontaminate-again", (*DECONTAMINATE, "--action", "mark"), *CHAIN[:3]),
    of("decontaminate-unscored", (*DECONTAMINATE, "--corpus", "corpus")),
    of("dedup", DEDUP, SCORE, DECONTAMINATE),
    of("dedup-again", (*DEDUP, "--exact-only"), *CHAIN[:3]),
    of("filter", FILTER, *CHAIN[:3]),
    of("filter-probe", "filter --run p --probe probes --tokens 500", *CHAIN[:3]),
    of("bucket", (*BUCKET, "--save-cutoffs", "cuts.json"), *CHAIN[:4]),
    of("order", ORDER, *CHAIN[:5]),
    of("export-jsonl", EXPORT, *CHAIN),
    of("export-parquet", "export out --run p --format parquet --shard-size 2kB --workers 1", *CHAIN),
    of("export-hf", "export out --run p --workers 1", *CHAIN),
    of("export-tokens", "export out --run p --format tokens --tokenizer model --workers 1", *CHAIN),
    of("export-buckets", (*EXPORT, "--by-bucket"), *CHAIN),
    of("export-over", (*EXPORT, "--overwrite"), *CHAIN[:4], EXPORT, BUCKET, ORDER),
    of("report", REPORT, *CHAIN),
    of("merge", "merge p q --into z", SCORE, SCORE_OTHERS),
    of("rank-sft", RANK, slow=True),
    of("select-sft", "select-sft --run ex/plain --by ppl", RANK),
    of("train-reference", TRAIN, slow=True),
    of("run", "run recipe.yaml", slow=True),
    of("verify", "verify out", *CHAIN, EXPORT, writes=False, slow=True),
    of("status", "status --run p --json", *CHAIN, writes=False),
    of("explain", "explain d3 --run p --json", *CHAIN, writes=False),
)
NAME_TO_SCENARIO = {one.name: one for one in SCENARIOS}

# Each does work of its own where all have been done before with other options.
PAIRED: dict[str, Words] = {
    "score": (*SCORE_NONE, "--restart"),
    "score-signals": (*SCORE, "--signals", "all"),
    "decontaminate": (*DECONTAMINATE, "--action", "mark"),
    "dedup": (*DEDUP, "--exact-only"),
    "filter": words("filter --run p --max-ppl 800"),
    "bucket": words("bucket --run p --quantiles 3"),
    "order": words("order --run p --schedule shuffle --seed 5"),
    "export": (*EXPORT, "--overwrite"),
    "report": words("report --run p --percentiles 9"),
    "merge": words("merge p q --into z"),
    "run": words(
        "run recipe.yaml --restart --set export.out=out-run --set export.no-order=true --set export.no-buckets=true"
    ),
}
PAIRED_BEFORE = (*CHAIN, EXPORT, REPORT, SCORE_OTHERS)
PAIRED_OTHERS: dict[str, tuple[Words, tuple[Words, ...]]] = {
    "rank-sft": (RANK, ()),
    "select-sft": (words("select-sft --run ex/plain --by ppl"), (RANK,)),
    "train-reference": (TRAIN, ()),
}
