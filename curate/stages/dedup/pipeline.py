"""The three passes of ``curate dedup``, the counts of what they found, and one share of the first pass."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.corpus.shares import choose_share
from curate.errors import Interrupted
from curate.rundir.columns.scored_texts import open_scored_texts
from curate.rundir.guards import manifests, mending
from curate.rundir.run import compute_fingerprint, spell_first_score_command
from curate.rundir.verdicts import reasons
from curate.runtime import console
from curate.runtime.disk import files
from curate.runtime.numbers import count_noun
from curate.runtime.work.array_tasks import ArrayTask
from curate.stages.dedup import duplicates_table, sketch_table
from curate.stages.dedup.duplicates_table import DedupFindings, DedupJob
from curate.stages.dedup.sketch_table import SketchPart
from curate.stages.dedup.summary import CopyCluster, DedupSummary, OtherCorpus
from curate.stages.share_summary import ShareSummary, summarise_share

ADDED = ("files", "documents", "resumed", "units", "seconds")
"""The counts of a share that are added over all corpora."""
LARGEST = 5
"""Clusters that are shown."""


def find_and_write_duplicates(job: DedupJob) -> DedupSummary:
    """Find the duplicates, write their table and its record, and return the summary.

    The work folder is removed in the end. Raises Interrupted on Ctrl-C, after which the same command continues, and
    StorageError where the disk refuses.
    """
    began = time.monotonic()
    job.made_from()  # what is missing or damaged is said before the work
    warn_of_unused(job)
    try:
        scored = open_scored_texts(job.run)
        check = None if scored is None else scored.check
        parts = sketch_table.sketch_corpora(
            job.sketches, job.corpora, job.config, job.threads or job.workers, check, job.executor
        )
        findings = duplicates_table.find_duplicates(job, parts)
        note: dict[str, Any] = {"made_from": job.made_from(), "parameters": job.parameters()}
        note["fingerprint"] = compute_fingerprint(note)
        summary = summarise(job, parts, findings, time.monotonic() - began)
        duplicates_table.write_table(job, parts, findings, note)
        duplicates_table.write_unreadable(job, parts)
        note[manifests.KEY] = job.run.record_manifest(job.run.duplicates.name)
        job.run.save("dedup", {**note, "counts": summary.counts(), "elsewhere": summary.elsewhere})
    except (KeyboardInterrupt, Interrupted):
        message = f"stopped; the sketches of {sketch_table.count_read(list_sketch_folders(job)):,} documents are kept"
        raise Interrupted(message, "the same command goes on from here") from None
    except OSError as error:
        raise files.make_storage_error(error, job.folder) from error
    duplicates_table.remove_work_folder(job)
    return summary


def list_sketch_folders(job: DedupJob) -> list[Path]:
    """Return the folders of the sketches that a job makes and uses."""
    return sketch_table.list_folders(job.sketches, job.corpora, job.config)


def warn_of_unused(job: DedupJob) -> None:
    """Say where there are sketches that another command made: shares of another threshold, which may be a mistake."""
    if unused := sketch_table.count_unused(job.sketches, list_sketch_folders(job)):
        parts = count_noun(unused, "part")
        console.warn(
            f"{parts} of sketches in {job.sketches} were made with other options, of another corpus or by an earlier "
            "version; they are not used, and removed in the end"
        )


def sketch_part(job: DedupJob, task: ArrayTask) -> ShareSummary:
    """Sketch one share of the corpora, and return what was done. Raises what ``find_and_write_duplicates`` raises."""
    scored = open_scored_texts(job.run)
    check = None if scored is None else scored.check
    try:
        runs = sketch_table.sketch_share(job.sketches, job.corpora, job.config, job.workers, task, check)
    except OSError as error:
        raise files.make_storage_error(error, job.folder) from error
    described = {"parameters": job.parameters(), "made_from": {"against": job.names}}
    completing = mending.spell_dedup_command(job.run, described)
    shares = [
        summarise_share(str(job.run.path), corpus, task, choose_share(corpus, task) or [], done, "sketched", completing)
        for corpus, done in zip(job.corpora, runs, strict=True)
    ]
    added = {name: sum(getattr(share, name) for share in shares) for name in ADDED}
    return replace(shares[0], **added)


def summarise(job: DedupJob, parts: Sequence[SketchPart], findings: DedupFindings, seconds: float) -> DedupSummary:
    """Return the counts of what was found. Raises TableError where they do not add up to the documents read."""
    tallies = sketch_table.add_tallies(parts, 0)
    numbers = findings.copied.numbers
    keepers = int(np.count_nonzero(findings.keepers == numbers))
    exact = int(np.count_nonzero(findings.exact)) - keepers
    near = len(numbers) - keepers - exact
    unique = sum(part.count for part in parts if part.corpus == 0) - len(numbers) + tallies["wordless"]
    reasons.check_documents_add_up(
        "dedup", tallies["read"], unique + keepers, exact + near + tallies["empty"], tallies["unreadable"]
    )
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
        clusters=len(np.unique(findings.keepers)),
        largest=tuple(list_largest_clusters(job, parts, findings)),
        through_others=int(np.count_nonzero(findings.similarities < job.threshold)),
        compared=findings.compared,
        agreed=findings.agreed,
        crowded=findings.crowded,
        elsewhere=count_elsewhere(findings, duplicates_table.count_earlier_reasons(job)),
        parameters=job.parameters(),
        chances=compute_chances(job),
        against=tuple(count_others(job, parts, findings)),
        scored=job.run.stage("score") is not None,
        seconds=seconds,
        score_command=None if job.run.stage("score") else spell_first_score_command(job.run),
    )


def count_elsewhere(findings: DedupFindings, earlier: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return the documents that another reason rejects first, by what they are here (exact, near, kept) and its label.

    ``earlier`` is the number of all documents by the reason that precedes that of a copy.
    """
    is_copy = findings.keepers != findings.copied.numbers
    kept = Counter[str]()
    for reason, documents in earlier.items():
        kept[reasons.label_reason(reason)] += documents
    counted = {}
    for kind, mask in (("exact", is_copy & findings.exact), ("near", is_copy & ~findings.exact)):
        counted[kind] = Counter(reasons.label_reason(reason) for reason in findings.earlier[mask] if reason)
        kept.subtract(counted[kind])
    counted["kept"] = kept
    return {kind: {label: count for label, count in sorted(one.items()) if count} for kind, one in counted.items()}


def compute_chances(job: DedupJob) -> dict[str, float]:
    """Return the probability that LSH proposes a pair at the threshold, and one a little more similar; {} without LSH.

    The keys are the similarities.
    """
    bands, similarities = job.config.bands, [job.threshold, min(1.0, round(job.threshold + 0.05, 10))]
    return {} if bands is None else {f"{value:g}": bands.probability(value) for value in similarities}


def count_others(job: DedupJob, parts: Sequence[SketchPart], findings: DedupFindings) -> Iterator[OtherCorpus]:
    """Yield the counts of each corpus of ``--against``."""
    for number, name in enumerate(job.names, start=1):
        tallies = sketch_table.add_tallies(parts, number)
        of_corpus = [part for part in parts if part.corpus == number]
        dropped = (findings.keepers >= of_corpus[0].first) & (findings.keepers < of_corpus[-1].stop)
        yield OtherCorpus(name, tallies["read"], tallies["unreadable"], int(np.count_nonzero(dropped)))


def list_largest_clusters(job: DedupJob, parts: Sequence[SketchPart], findings: DedupFindings) -> Iterator[CopyCluster]:
    """Yield the LARGEST clusters, the largest first; of two as large, the one whose keeper comes first."""
    keepers, sizes = np.unique(findings.keepers, return_counts=True)
    for index in np.lexsort((keepers, -sizes))[:LARGEST]:
        ((part, rows),) = sketch_table.take_rows(parts, keepers[index : index + 1], ["file", "row", "id", "opening"])
        (row,) = rows.to_pylist()
        is_ours, size = part.corpus == 0, int(sizes[index])
        exact = int(np.count_nonzero(findings.exact & (findings.keepers == keepers[index]))) - is_ours
        source = None if is_ours else job.names[part.corpus - 1]
        yield CopyCluster(
            size, exact, size - exact - is_ours, source, row["file"], row["row"], row["id"], row["opening"]
        )
