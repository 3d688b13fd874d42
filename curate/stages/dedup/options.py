"""The options of ``curate dedup``, checked, and the corpora that it reads."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.matching.minhash import Bands
    from curate.rundir.run import Run

MOST_WORDS, MOST_PERMUTATIONS = 100, 4096


# What is asked.


def check_options(threshold: float, shingle: int, permutations: int, seed: int, keep: str, workers: int | None) -> None:
    """Refuse what means nothing, by a UsageError that says what would."""
    from curate.stages.dedup.clusters import KEEP

    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold}: a similarity above 0 and up to 1 is meant", "--threshold 0.8")
    if keep not in KEEP:
        raise UsageError(f"--keeper {keep} is unknown", f"any of {', '.join(KEEP)}")
    limits = {
        "shingle": (shingle, 1, MOST_WORDS),
        "permutations": (permutations, 1, MOST_PERMUTATIONS),
        "seed": (seed, 0, 2**32 - 1),
        "workers": (1 if workers is None else workers, 1, MOST_PERMUTATIONS),
    }
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            raise UsageError(f"--{name} {value}: {least} to {most:,} is meant", f"leave --{name} out for the default")


def settle_corpus(
    run: "Run", named: Sequence[str] | None, text_field: str | None, id_field: str | None, on_error: str
) -> "Corpus":
    """The corpus of the run, cut into our slices; an option that it would ignore is refused."""
    from curate.rundir.run import choose_run_corpus
    from curate.stages.dedup.sketch_table import SLICE_BYTES

    if on_error not in ("quarantine", "stop"):
        raise UsageError(f"--on-error {on_error}: known are quarantine and stop", "--on-error quarantine")
    found = choose_run_corpus(run, named, "dedup", text_field=text_field, id_field=id_field, on_error=on_error)
    for option, asked, has in (("text", text_field, found.text_field), ("id", id_field, found.id_field)):
        if asked is not None and asked != has:
            message = f'--{option}-field {asked}: the {option} of this run\'s corpus is in column "{has}"'
            raise UsageError(message, "leave it out, or use another --run")
    return replace(found, slice_bytes=SLICE_BYTES, on_error=on_error)


def open_others(
    own: "Corpus", named: Sequence[str], text_field: str | None, id_field: str | None, on_error: str
) -> "list[Corpus]":
    """The corpora to hold this one against."""
    from curate.corpus import open_corpus
    from curate.stages.dedup.sketch_table import SLICE_BYTES

    found = []
    for name in named:
        options: dict[str, Any] = {"text_field": text_field, "id_field": id_field, "on_error": on_error}
        other = open_corpus([name], slice_bytes=SLICE_BYTES, **options)
        if list(named).count(name) > 1:
            raise UsageError(f"--against {name} is named twice", "name it once")
        if other.identity() == own.identity():
            message = f"--against {name} is the corpus itself: every document would be dropped"
            raise UsageError(message, "leave --against out to find copies inside the corpus")
        found.append(other)
    return found


def choose_bands(threshold: float, permutations: int) -> "Bands":
    from curate.matching import minhash

    return minhash.choose_bands(threshold, permutations)
