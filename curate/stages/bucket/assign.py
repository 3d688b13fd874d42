"""Documents into buckets: cut-offs found or applied, one bucket written for each document, counts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import GateError, UsageError
from curate.runtime.text import command
from curate.stages.bucket.summary import BucketShare, BucketSummary, fold_buckets

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from curate.rundir.run import Run
    from curate.rundir.verdicts.rejections import Rejections
    from curate.stages.bucket.cutoffs import Assigner, Cutoffs


def reference_of(run: "Run") -> dict[str, Any]:
    """The model that made the numbers, as far as cut-offs depend on it; of a folder only its name."""
    from curate.rundir.run import publish_model

    model = publish_model(run.finished_scores())
    return {name: model.get(name) for name in ("model", "revision", "weights", "tokenizer")}


@dataclass(slots=True)
class BucketJob:
    """One call of ``bucket``: what is read, and how it is cut."""

    run: "Run"
    rejections: "Rejections"
    by: str
    within: tuple[str, ...]
    chosen: str
    quantiles: int | None
    known: "Cutoffs | None"
    is_of_scores: bool = True
    """Whether the column is one of the scores; else it is one of the documents."""

    def read(self) -> Iterator[tuple[Any, "NDArray[np.float64]", "NDArray[np.int64]", list[str]]]:
        """Yield each part with the numbers (NaN where not kept) and groups of its documents, and the groups so far."""
        import numpy as np

        from curate.rundir import aligned_parts

        groups = aligned_parts.ColumnGroups(self.within)
        carry = list(dict.fromkeys([*self.within, *(() if self.is_of_scores else (self.by,))]))
        columns = list(dict.fromkeys(["file", "row", "tokens", *((self.by,) if self.is_of_scores else ())]))
        for part in aligned_parts.read_parts(self.run, columns, carry, rejected_by=self.rejections):
            assert part.keep is not None
            values = np.where(part.keep, part.numbers(self.by), np.nan)
            yield part, values, groups.take(part.table), groups.names


def assign_buckets(job: BucketJob, warning: str | None, save_to: str | None) -> BucketSummary:
    """Write a bucket for each document, and the cut-offs.

    Raises GateError where nothing is kept, UsageError where no document has a number, or cut-offs know no group.
    """
    from pathlib import Path

    import numpy as np

    from curate.rundir import placements, schemas
    from curate.rundir.guards import manifests
    from curate.rundir.run import compute_fingerprint
    from curate.stages.bucket import cutoffs as bucket_cutoffs

    job.is_of_scores = placements.find_column_type(job.run, job.by)[1]
    names, counts, kept = _count(job)
    if not kept:
        raise GateError("nothing is kept, so there is nothing to cut", f"{command('status', job.run.path)} says why")
    if not counts.sum():
        raise UsageError(f"no document that is kept has a {job.by}", "cut by another column, as in --by bytes")
    if job.known is not None:
        lookup = bucket_cutoffs.groups_of(list(job.known.groups), names)
        if not counts[lookup >= 0].sum():
            listed = ", ".join(fold_buckets(name, 20) for name in list(job.known.groups)[:5])
            raise UsageError(f"the cut-offs know none of the groups of these documents, but {listed}", "make new ones")
        values = np.array(list(job.known.groups.values()), np.float64).reshape(len(job.known.groups), -1)
        ties = np.zeros(values.shape, np.int64)
        cut = job.known
    else:
        values, ties = bucket_cutoffs.find_cutoffs(lambda: _measured(job), counts, job.quantiles)
        lookup = np.arange(len(names))
        made = {name: tuple(row.tolist()) for name, row, many in zip(names, values, counts, strict=True) if many}
        scheme = "ccnet" if job.quantiles is None else f"{job.quantiles} quantiles"
        bucket_names = bucket_cutoffs.names_of(job.quantiles)
        cut = bucket_cutoffs.Cutoffs(scheme, job.by, job.within, bucket_names, made, reference_of(job.run))
    parameters: dict[str, Any] = {"scheme": cut.scheme, "by": job.by, "within": list(job.within)}
    parameters |= {"names": [*cut.names, *((bucket_cutoffs.UNKNOWN,) if (lookup < 0).any() else ())]}
    parameters |= {"applied": job.known is not None, "cutoffs": compute_fingerprint(cut.as_json())}
    note: dict[str, Any] = {"made_from": placements.list_sources(job.run, job.rejections), "parameters": parameters}
    note["fingerprint"] = compute_fingerprint(note)
    tally = _Tally(len(names), parameters["names"])
    rows = _rows(job, bucket_cutoffs.Assigner(values, ties), lookup, tally)
    job.run.enter()
    placements.write_placements(job.run.buckets, schemas.BUCKETS, rows, note)
    summary = _summary(job, cut, names, counts, kept, tally, warning, parameters)
    for path in (job.run.path / "cutoffs.json", *((Path(save_to),) if save_to else ())):
        bucket_cutoffs.write_cutoffs(path, cut)
    buckets = {one.name: one.documents for one in summary.buckets}
    by_tokens = {one.name: one.tokens for one in summary.buckets}
    counted = {"read": job.run.finished_scores()["counts"]["read"], "kept": kept, "unmeasured": summary.unmeasured}
    note[manifests.KEY] = job.run.record_manifest(job.run.buckets.name)
    job.run.save("bucket", {**note, "counts": {**counted, "buckets": buckets, "tokens": by_tokens}})
    return summary


def _measured(job: BucketJob) -> Iterator[tuple[Any, Any, None]]:
    import numpy as np

    for _, values, groups, _ in job.read():
        there = ~np.isnan(values)
        yield values[there], groups[there], None


def _count(job: BucketJob) -> tuple[list[str], "NDArray[np.int64]", int]:
    """Return the groups of all documents, how many numbers each has, and how many documents are kept."""
    import numpy as np

    counts, kept, names = np.zeros(0, np.int64), 0, ["all"]
    for part, values, groups, known in job.read():
        assert part.keep is not None
        found = np.bincount(groups[~np.isnan(values)], minlength=len(known))
        found[: len(counts)] += counts
        counts, names, kept = found.astype(np.int64), list(known), kept + int(part.keep.sum())
    return names, np.resize(counts, len(names)) if len(counts) else np.zeros(len(names), np.int64), kept


class _Tally:
    """Documents, tokens and range of each bucket of each group."""

    def __init__(self, groups: int, names: list[str]):
        import numpy as np

        self.names, size = names, (groups, len(names))
        self.documents, self.tokens = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.lowest, self.highest = np.full(size, np.inf), np.full(size, -np.inf)
        self.all_tokens = 0

    def add(self, group: Any, bucket: Any, values: Any, tokens: Any) -> None:
        import numpy as np

        np.add.at(self.documents, (group, bucket), 1)
        np.add.at(self.tokens, (group, bucket), tokens)
        np.minimum.at(self.lowest, (group, bucket), values)
        np.maximum.at(self.highest, (group, bucket), values)

    def list_buckets(self, groups: Any) -> tuple[BucketShare, ...]:
        """The buckets of some groups together."""
        found = []
        for number, name in enumerate(self.names):
            many = int(self.documents[groups, number].sum())
            span = (float(self.lowest[groups, number].min()), float(self.highest[groups, number].max()))
            low, high = span if many else (None, None)
            found.append(BucketShare(name, many, int(self.tokens[groups, number].sum()), low, high))
        return tuple(found)


def _rows(job: BucketJob, assigner: "Assigner", lookup: "NDArray[np.int64]", tally: _Tally) -> "Iterator[pa.Table]":
    """The rows of the table, part by part; ``tally`` grows by each."""
    import numpy as np
    import pyarrow as pa

    names = pa.array(tally.names, pa.string())
    for part, values, groups, _ in job.read():
        there = np.flatnonzero(~np.isnan(values))
        numbers = np.zeros(len(part), np.int64)
        numbers[there] = assigner.assign(values[there], lookup[groups[there]])
        tokens = part.counts("tokens")
        tally.add(groups[there], numbers[there], values[there], tokens[there])
        tally.all_tokens += int(tokens[part.keep].sum())
        buckets = pa.DictionaryArray.from_arrays(pa.array(numbers, mask=np.isnan(values)), names).cast(pa.string())
        yield part.table.select(["file", "row"]).append_column("bucket", buckets)


def _summary(
    job: BucketJob,
    cut: "Cutoffs",
    names: list[str],
    counts: "NDArray[np.int64]",
    kept: int,
    tally: _Tally,
    warning: str | None,
    parameters: Mapping[str, Any],
) -> BucketSummary:
    buckets = tally.list_buckets(slice(None))
    groups = {name: tally.list_buckets([place]) for place, name in enumerate(names) if counts[place]}
    return BucketSummary(
        run=str(job.run.path),
        documents=kept,
        tokens=tally.all_tokens,
        by=job.by,
        within=job.within,
        scheme=cut.scheme,
        chosen=job.chosen,
        buckets=buckets,
        groups=groups,
        unmeasured=kept - int(counts.sum()),
        cutoffs=str(job.run.path / "cutoffs.json"),
        warnings=(*([warning] if warning else []), *_warnings(buckets, counts, len(cut.names))),
        parameters=parameters,
    )


def _warnings(buckets: tuple[BucketShare, ...], counts: "NDArray[np.int64]", many: int) -> Iterator[str]:
    """What a curator should look at: one bucket for all, groups too small to be cut, groups without cut-offs."""
    filled = [one for one in buckets if one.documents]
    total = sum(one.documents for one in filled)
    if len(filled) == 1 and many > 1 and total > 1:
        yield (
            f"all documents are in {filled[0].name}: their values are all alike, or the cut-offs are of another "
            "corpus; cut this one without --cutoffs, by another column (--by bpb), or with --quantiles"
        )
    small = int(((counts > 0) & (counts < many)).sum())
    if small:
        yield (
            f"{small:,} group{'' if small == 1 else 's'} of fewer documents than there are buckets ({many}): a group "
            "of one document is not cut; --within none, or fewer columns, cuts larger ones"
        )
    unknown = next((one for one in buckets if one.name == "unknown"), None)
    if unknown is not None and unknown.documents:
        yield f"{unknown.documents:,} documents are of groups that the cut-offs do not know: bucket unknown"
