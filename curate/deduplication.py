"""The verb ``dedup``: near copies and exact copies inside a corpus, and the document of each cluster that stays.

Three passes. The first sketches every document (``curate.sketchbook``), the second groups what shares a hash
(``curate.bucketing``), the third reads the candidates again and compares them exactly (``curate.duplicatebook``). LSH
decides which pairs are looked at; a pair counts only when its exact Jaccard similarity reaches the threshold.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.duplicatereport import Cluster, Deduplication, Other
from curate.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.duplicatebook import Findings, Job
    from curate.minhash import Bands
    from curate.runs import Run
    from curate.sketchbook import Part

LARGEST = 5  # clusters that are shown
MOST_WORDS, MOST_PERMUTATIONS = 100, 4096


def dedup(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    corpus: Annotated[list[str] | None, typer.Option(help="The corpus, for a run that has none yet.")] = None,
    threshold: Annotated[float, typer.Option(help="Jaccard similarity from which on two documents are copies.")] = 0.8,
    shingle: Annotated[int, typer.Option(help="Words of a shingle.")] = 5,
    permutations: Annotated[int, typer.Option(help="Values of a MinHash signature.")] = 128,
    seed: Annotated[int, typer.Option(help="The seed of the permutations.")] = 1,
    keep: Annotated[str, typer.Option(help="Who stays of a cluster: longest, first, lowest-ppl.")] = "longest",
    exact_only: Annotated[bool, typer.Option("--exact-only", help="Look for the same words alone.")] = False,
    against: Annotated[
        list[str] | None, typer.Option(help="Another corpus: what has a copy in it is dropped, too.")
    ] = None,
    memory_limit: Annotated[str, typer.Option(help="Memory for DuckDB; it spills beyond.")] = "1GB",
    workers: Annotated[int | None, typer.Option(help="Threads.  [default: one a core]")] = None,
    text_field: Annotated[str | None, typer.Option(help="The column with the text (detected when obvious).")] = None,
    id_field: Annotated[str | None, typer.Option(help="The column with the document's id.")] = None,
    on_error: Annotated[str, typer.Option(help="A bad row: quarantine it and go on, or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an interrupted dedup left.")] = False,
) -> Deduplication:
    """Find near and exact copies in a corpus, and keep one document of each cluster.

    Writes the duplicates table of the run, with the evidence for each document that has copies, and replaces an
    earlier one. Letter case, accents and punctuation make no difference; documents without a word are never copies.
    Interrupted, the same command goes on. UsageError for options that mean nothing.
    """
    from curate import bucketing, console, crew, runs
    from curate.duplicatebook import Job
    from curate.sketching import Recipe

    check_options(threshold, shingle, permutations, seed, keep, workers)
    bucketing.check_limit(memory_limit)
    place = runs.open_run(run, create=True)
    if keep == "lowest-ppl" and place.finished_scores()["made_from"]["model"].get("model") == "none":
        raise UsageError(f"--keep lowest-ppl: {run} was scored without a model", "--keep longest")
    own = settle_corpus(place, corpus, text_field, id_field, on_error)
    others = open_others(own, against or [], text_field, id_field, on_error)
    for read in (own, *others):
        console.say("reading", read.describe())
    recipe = Recipe(shingle, permutations, seed, None if exact_only else choose_bands(threshold, permutations))
    names = tuple(against or [])
    job = Job(place, (own, *others), names, recipe, threshold, keep, memory_limit, workers or crew.cores())
    if restart and job.folder.exists():
        shutil.rmtree(job.folder)
    return work(job)


# What is asked.


def check_options(threshold: float, shingle: int, permutations: int, seed: int, keep: str, workers: int | None) -> None:
    """Refuse what means nothing, by a UsageError that says what would."""
    from curate.clusters import KEEP

    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold}: a similarity above 0 and up to 1 is meant", "--threshold 0.8")
    if keep not in KEEP:
        raise UsageError(f"--keep {keep} is unknown", f"any of {', '.join(KEEP)}")
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
    place: "Run", named: Sequence[str] | None, text_field: str | None, id_field: str | None, on_error: str
) -> "Corpus":
    """The corpus of the run, cut into our slices; an option that it would ignore is refused."""
    from curate import runs
    from curate.sketchbook import SLICE_BYTES

    if on_error not in ("quarantine", "stop"):
        raise UsageError(f"--on-error {on_error}: known are quarantine and stop", "--on-error quarantine")
    found = runs.choose_corpus(place, named, "dedup", text_field=text_field, id_field=id_field, on_error=on_error)
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
    from curate.sketchbook import SLICE_BYTES

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
    from curate import minhash

    return minhash.choose_bands(threshold, permutations)


# Doing it.


def work(job: "Job") -> Deduplication:
    """Sketch, group, verify, write the table and its record, and take the work folder away."""
    from curate import duplicatebook, runs, sketchbook, tables

    began = time.monotonic()
    try:
        parts = sketchbook.sketch_corpora(job.sketches, job.corpora, job.recipe, job.sketched_from(), job.workers)
        found = duplicatebook.find_duplicates(job, parts)
        note: dict[str, Any] = {"made_from": job.made_from(), "parameters": job.parameters()}
        note["fingerprint"] = runs.fingerprint(note)
        summary = summarise(job, parts, found, time.monotonic() - began)
        duplicatebook.write_table(job, parts, found, note)
        duplicatebook.write_unreadable(job, parts)
        job.place.save("dedup", {**note, "counts": summary.counts()})
    except KeyboardInterrupt:
        message = f"stopped; the sketches of {sketchbook.count_read(job.sketches):,} documents are kept"
        raise Interrupted(message, "the same command goes on from here") from None
    except OSError as error:
        raise tables.storage_error(error, job.folder) from error
    duplicatebook.clear(job)
    return summary


def summarise(job: "Job", parts: "Sequence[Part]", found: "Findings", seconds: float) -> Deduplication:
    """Count what was found; TableError where documents are missing from the counts."""
    import numpy as np

    from curate import decisions, sketchbook

    tallies = sketchbook.add_tallies(parts, 0)
    numbers = found.families.numbers
    keepers = int(np.count_nonzero(found.keepers == numbers))
    exact = int(np.count_nonzero(found.exact)) - keepers
    near = len(numbers) - keepers - exact
    unique = sum(part.count for part in parts if part.corpus == 0) - len(numbers) + tallies["wordless"]
    decisions.conserve(
        "dedup", tallies["read"], unique + keepers, exact + near + tallies["empty"], tallies["unreadable"]
    )
    return Deduplication(
        run=str(job.place.path),
        read=tallies["read"],
        unique=unique,
        keepers=keepers,
        exact=exact,
        near=near,
        empty=tallies["empty"],
        unreadable=tallies["unreadable"],
        wordless=tallies["wordless"],
        by_character=tallies["by_character"],
        clusters=len(np.unique(found.keepers)),
        largest=tuple(largest_clusters(job, parts, found)),
        through_others=int(np.count_nonzero(found.similarities < job.threshold)),
        compared=found.compared,
        agreed=found.agreed,
        crowded=found.crowded,
        parameters=job.parameters(),
        chances=chances(job),
        against=tuple(count_others(job, parts, found)),
        scored=job.place.stage("score") is not None,
        seconds=seconds,
    )


def chances(job: "Job") -> dict[str, float]:
    """With which probability LSH looks at a pair: of the threshold's similarity, and of one a little higher."""
    bands, shown = job.recipe.bands, [job.threshold, min(1.0, round(job.threshold + 0.05, 10))]
    return {} if bands is None else {f"{value:g}": bands.probability(value) for value in shown}


def count_others(job: "Job", parts: "Sequence[Part]", found: "Findings") -> "Iterator[Other]":
    import numpy as np

    from curate import sketchbook

    for number, name in enumerate(job.names, start=1):
        tallies = sketchbook.add_tallies(parts, number)
        counted = [part for part in parts if part.corpus == number]
        held = (found.keepers >= counted[0].first) & (found.keepers < counted[-1].stop)
        yield Other(name, tallies["read"], tallies["unreadable"], int(np.count_nonzero(held)))


def largest_clusters(job: "Job", parts: "Sequence[Part]", found: "Findings") -> "Iterator[Cluster]":
    """The clusters of the most documents; of two as large, the one whose keeper comes first."""
    import numpy as np

    from curate import sketchbook

    keepers, sizes = np.unique(found.keepers, return_counts=True)
    for place in np.lexsort((keepers, -sizes))[:LARGEST]:
        ((part, rows),) = sketchbook.take_rows(parts, keepers[place : place + 1], ["row", "id", "opening"])
        (row,) = rows.to_pylist()
        own, size = part.corpus == 0, int(sizes[place])
        exact = int(np.count_nonzero(found.exact & (found.keepers == keepers[place]))) - own
        source = None if own else job.names[part.corpus - 1]
        yield Cluster(size, exact, size - exact - own, source, part.mark.file, row["row"], row["id"], row["opening"])
