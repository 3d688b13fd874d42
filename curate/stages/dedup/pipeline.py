"""The three passes of ``curate dedup``, and what they found in numbers."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from curate.errors import Interrupted
from curate.stages.dedup.summary import CopyCluster, DedupSummary, OtherCorpus

if TYPE_CHECKING:
    from curate.stages.dedup.duplicates_table import DedupFindings, DedupJob
    from curate.stages.dedup.sketch_table import SketchPart


LARGEST = 5  # clusters that are shown


# Doing it.


def work(job: "DedupJob") -> DedupSummary:
    """Sketch, group, verify, write the table and its record, and take the work folder away."""
    from curate.rundir.run import compute_fingerprint
    from curate.runtime import files
    from curate.stages.dedup import duplicates_table, sketch_table

    began = time.monotonic()
    try:
        parts = sketch_table.sketch_corpora(job.sketches, job.corpora, job.recipe, job.sketched_from(), job.workers)
        found = duplicates_table.find_duplicates(job, parts)
        note: dict[str, Any] = {"made_from": job.made_from(), "parameters": job.parameters()}
        note["fingerprint"] = compute_fingerprint(note)
        summary = summarise(job, parts, found, time.monotonic() - began)
        duplicates_table.write_table(job, parts, found, note)
        duplicates_table.write_unreadable(job, parts)
        job.run.save("dedup", {**note, "counts": summary.counts()})
    except (KeyboardInterrupt, Interrupted):
        message = f"stopped; the sketches of {sketch_table.count_read(job.sketches):,} documents are kept"
        raise Interrupted(message, "the same command goes on from here") from None
    except OSError as error:
        raise files.storage_error(error, job.folder) from error
    duplicates_table.clear(job)
    return summary


def summarise(job: "DedupJob", parts: "Sequence[SketchPart]", found: "DedupFindings", seconds: float) -> DedupSummary:
    """Count what was found; TableError where documents are missing from the counts."""
    import numpy as np

    from curate.rundir import reasons
    from curate.stages.dedup import sketch_table

    tallies = sketch_table.add_tallies(parts, 0)
    numbers = found.families.numbers
    keepers = int(np.count_nonzero(found.keepers == numbers))
    exact = int(np.count_nonzero(found.exact)) - keepers
    near = len(numbers) - keepers - exact
    unique = sum(part.count for part in parts if part.corpus == 0) - len(numbers) + tallies["wordless"]
    reasons.conserve("dedup", tallies["read"], unique + keepers, exact + near + tallies["empty"], tallies["unreadable"])
    return DedupSummary(
        run=str(job.run.path),
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
        scored=job.run.stage("score") is not None,
        seconds=seconds,
    )


def chances(job: "DedupJob") -> dict[str, float]:
    """With which probability LSH looks at a pair: of the threshold's similarity, and of one a little higher."""
    bands, shown = job.recipe.bands, [job.threshold, min(1.0, round(job.threshold + 0.05, 10))]
    return {} if bands is None else {f"{value:g}": bands.probability(value) for value in shown}


def count_others(job: "DedupJob", parts: "Sequence[SketchPart]", found: "DedupFindings") -> "Iterator[OtherCorpus]":
    import numpy as np

    from curate.stages.dedup import sketch_table

    for number, name in enumerate(job.names, start=1):
        tallies = sketch_table.add_tallies(parts, number)
        counted = [part for part in parts if part.corpus == number]
        held = (found.keepers >= counted[0].first) & (found.keepers < counted[-1].stop)
        yield OtherCorpus(name, tallies["read"], tallies["unreadable"], int(np.count_nonzero(held)))


def largest_clusters(job: "DedupJob", parts: "Sequence[SketchPart]", found: "DedupFindings") -> "Iterator[CopyCluster]":
    """The clusters of the most documents; of two as large, the one whose keeper comes first."""
    import numpy as np

    from curate.stages.dedup import sketch_table

    keepers, sizes = np.unique(found.keepers, return_counts=True)
    for place in np.lexsort((keepers, -sizes))[:LARGEST]:
        ((part, rows),) = sketch_table.take_rows(parts, keepers[place : place + 1], ["row", "id", "opening"])
        (row,) = rows.to_pylist()
        own, size = part.corpus == 0, int(sizes[place])
        exact = int(np.count_nonzero(found.exact & (found.keepers == keepers[place]))) - own
        source = None if own else job.names[part.corpus - 1]
        yield CopyCluster(
            size, exact, size - exact - own, source, part.mark.file, row["row"], row["id"], row["opening"]
        )
