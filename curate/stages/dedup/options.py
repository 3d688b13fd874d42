"""The options of ``curate dedup``, checked, and the corpora that it reads."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from curate.errors import UsageError
from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.matching.minhash import Bands
    from curate.rundir.run import Run

Keeper = Literal["longest", "first", "lowest-ppl"]
"""Which document of a cluster stays."""
MOST_WORDS, MOST_PERMUTATIONS = 100, 4096
MOST_STRICT = 1_000_000
"""Words below which every document is compared by its strict words at a threshold of 1."""


def check_dedup_options(threshold: float, shingle: int, permutations: int, seed: int, workers: int | None) -> None:
    """Raise UsageError for an option out of its range, with what is allowed."""
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold must be greater than 0 and at most 1, not {threshold}", "--threshold 0.8")
    limits = {
        "shingle": (shingle, 1, MOST_WORDS),
        "permutations": (permutations, 1, MOST_PERMUTATIONS),
        "seed": (seed, 0, 2**32 - 1),
        "workers": (1 if workers is None else workers, 1, MOST_PERMUTATIONS),
    }
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            message = f"--{name} must be from {least} to {most:,}, not {value}"
            raise UsageError(message, f"leave --{name} out for the default")


def open_run_corpus(run: "Run", paths: Sequence[str] | None, options: Mapping[str, Any]) -> "Corpus":
    """Return the corpus of the run, or of ``--corpus``, in slices of SLICE_BYTES.

    ``options`` are those of ``open_corpus``, ``on_error`` among them. Raises what ``choose_run_corpus`` raises.
    """
    from curate.rundir.run import choose_run_corpus
    from curate.stages.dedup.sketch_table import SLICE_BYTES

    corpus = choose_run_corpus(run, paths, "dedup", **options)
    return replace(corpus, slice_bytes=SLICE_BYTES, on_error=options["on_error"], cuts=None)


def open_other_corpora(corpus: "Corpus", paths: Sequence[str], options: Mapping[str, Any]) -> "list[Corpus]":
    """Return the corpora of ``--against``, opened with ``options``.

    Raises CorpusError for one without a text, and UsageError for one that is named twice or is ``corpus`` itself."""
    from curate.corpus import check_holds_text, open_corpus
    from curate.stages.dedup.sketch_table import SLICE_BYTES

    others = []
    for name in paths:
        other = open_corpus([name], slice_bytes=SLICE_BYTES, **options)
        check_holds_text(other)
        if list(paths).count(name) > 1:
            raise UsageError(f"--against {name} is given twice", "give it once")
        if other.identity() == corpus.identity():
            message = f"--against {name} is the corpus itself: every document would be dropped"
            raise UsageError(message, "leave --against out to find copies inside the corpus")
        others.append(other)
    return others


def check_counts_no_limit(run: "Run", corpus: "Corpus") -> None:
    """Raise UsageError for one share of a corpus of which only the first documents were scored."""
    if corpus.limit is not None:
        message = f"--part: {run.path} was scored with --limit {corpus.limit}, which counts over all files"
        raise UsageError(message, f"{command('dedup', run.path)} reads all of them")


def choose_bands(threshold: float, permutations: int) -> "Bands":
    """Return the bands of ``minhash.choose_bands`` at its default recall."""
    from curate.matching import minhash

    return minhash.choose_bands(threshold, permutations)


def count_strict_words(threshold: float, shingle: int) -> int:
    """Return the least number of words of which one may be another in near copies.

    A word in the middle of N is in ``shingle`` of its N − ``shingle`` + 1 shingles, so that another one in its place
    leaves a Jaccard similarity of (N − 2 · ``shingle`` + 1) / (N + 1).
    """
    needed = (2 * shingle - 1 + threshold) / (1 - threshold) if threshold < 1 else math.inf
    return math.ceil(round(min(needed, MOST_STRICT), 9))
