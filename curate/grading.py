"""``curate bucket``: head, middle and tail of the kept documents, or k quantiles, and the cut-offs to use again.

What the buckets mean is in ``curate.cutoffs``. A kept document whose number is null or NaN is in no bucket: its bucket
is null, and it is counted. With ``--cutoffs`` a document of a group that the file does not know is in the bucket
``unknown``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import CurateError, GateError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from curate.cutoffs import Assigner, Cutoffs
    from curate.rejections import Rejections
    from curate.runs import Run

GROUPS = 12  # shown
MOST = 1000  # quantiles


@dataclass(frozen=True, slots=True)
class Bucket:
    """The documents of a bucket."""

    name: str
    documents: int = 0
    tokens: int = 0
    lowest: float | None = None
    """Of the column; None where the bucket is empty."""
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class Grades:
    """Buckets that were written."""

    run: str
    documents: int
    """That are kept."""
    tokens: int
    by: str
    within: tuple[str, ...]
    scheme: str
    chosen: str
    """Why the groups are what they are."""
    buckets: tuple[Bucket, ...]
    groups: Mapping[str, tuple[Bucket, ...]]
    unmeasured: int
    """Kept documents without a number; they are in no bucket."""
    cutoffs: str
    """The file of the cut-offs."""
    warnings: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        from curate.evidence.screen import lay_out

        many = "" if self.documents == 1 else "s"
        said = f"{self.documents:,} document{many} by {self.by}, {self.scheme}, {self.chosen}"
        lines = [line.rstrip() for line in lay_out("cut", said.split())]
        lines += [f"{'':<24}{'documents':>22}{'tokens':>20}   {self.by}", *self._rows(self.buckets, "", 22)]
        if self.unmeasured:
            lines.append(f"{'in no bucket':<24}{self.unmeasured:>13,}   without {self.by}")
        if self.within and 1 < len(self.groups) <= GROUPS:
            for name, own in self.groups.items():
                lines += [fold_buckets(name, 60), *self._rows(own, "  ", 20)]
        elif self.within and len(self.groups) > GROUPS:
            lines.append(f"within {len(self.groups):,} groups; --json has them all")
        for text in self.warnings:
            lines += [line.rstrip() for line in lay_out("warning", text.split())]
        at = "" if self.run == "curated" else f" --run {self.run}"
        return "\n".join([*lines, f"cut-offs        {self.cutoffs}", "", f"next: curate export out/{at}"])

    def _rows(self, buckets: tuple[Bucket, ...], indent: str, width: int) -> list[str]:
        from curate.console import count
        from curate.tenths import figure

        many, tokens = sum(one.documents for one in buckets), sum(one.tokens for one in buckets)
        lines = []
        for one in buckets:
            span = "–" if one.lowest is None else f"{figure(one.lowest)} … {figure(one.highest or 0.0)}"
            documents = f"{one.documents:>13,} {_share(one.documents, many):>8}"
            weight = f"{count(one.tokens):>11} {_share(one.tokens, tokens):>8}"
            lines.append(f"{indent}{one.name:<{width}}  {documents}{weight}   {span}")
        return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if whole else ""


def fold_buckets(text: str, most: int) -> str:
    from curate.evidence.screen import shorten
    from curate.evidence.wording import fold

    return shorten(fold(text), most)


def bucket(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    scheme: Annotated[
        Literal["ccnet"] | None, typer.Option(help="head < 30 % <= middle < 60 % <= tail; default.")
    ] = None,
    quantiles: Annotated[int | None, typer.Option(help="Instead, so many buckets of equal size: q1, q2 …")] = None,
    by: Annotated[str | None, typer.Option(help="Column to cut: ppl (default), bpb, or any column of numbers.")] = None,
    within: Annotated[str | None, typer.Option(help="Columns to cut within; the language by default; or none.")] = None,
    cutoffs: Annotated[str | None, typer.Option(help="Use the cut-offs of this file, made of another corpus.")] = None,
    save_cutoffs: Annotated[str | None, typer.Option(help="Save the cut-offs here, too.")] = None,
) -> Grades:
    """Put the kept documents into buckets: CCNet's head, middle and tail by perplexity, or quantiles of equal size.

    The cut-offs are saved beside the buckets (``cutoffs.json``), and ``--cutoffs`` applies them to a later corpus:
    a value that equals a cut is then above it. Quantiles differ in size by one document at most, and equal values are
    parted in the order of the corpus. TableError where a table of the run is stale.
    """
    from pathlib import Path

    from curate import cutoffs as files
    from curate import rejections, runs
    from curate.tables import ALIASES

    _check_options(scheme, quantiles, by, within, cutoffs)
    opened = runs.open_run(run)
    opened.finished_scores()
    found = rejections.open_rejections(opened)
    if cutoffs is not None:
        known = files.load(Path(cutoffs))
        warning = files.check_reference(known, reference_of(opened), Path(cutoffs))
        job = BucketJob(opened, found, known.by, known.within, f"cut as {cutoffs} says", None, known)
    else:
        names, chosen = _choose_within(opened, within)
        warning, known = None, None
        job = BucketJob(opened, found, ALIASES.get(by or "ppl", by or "ppl"), names, chosen, quantiles, None)
    return assign_buckets(job, warning, save_cutoffs)


def _check_options(
    scheme: str | None, quantiles: int | None, by: str | None, within: str | None, cutoffs: str | None
) -> None:
    if scheme not in (None, "ccnet"):
        raise UsageError(f"--scheme {scheme} is not known", "--scheme ccnet, or --quantiles 4")
    if scheme is not None and quantiles is not None:
        raise UsageError("--scheme ccnet and --quantiles are two ways to cut", "leave out one of them")
    if quantiles is not None and not 1 <= quantiles <= MOST:
        raise UsageError(f"--quantiles {quantiles}: from 1 to {MOST:,} buckets can be made", "--quantiles 4")
    given = {"--scheme": scheme, "--quantiles": quantiles, "--by": by, "--within": within}
    for option, value in given.items():
        if cutoffs is not None and value is not None:
            raise UsageError(f"{option} says nothing with --cutoffs: the file says it", f"leave out {option}")


def _choose_within(run: "Run", within: str | None) -> tuple[tuple[str, ...], str]:
    """The columns to cut within, and how that came about."""
    from curate import carried

    if within == "none":
        return (), "over all documents"
    if within is not None:
        return tuple(carried.split(within)), f"within {within}"
    language = carried.default_language(run) or _find_language(run)
    if language is None:
        return (), "over all documents: they have no column of the language (--within COLUMN)"
    return (language,), f"within {language} (--within none for all together)"


def _find_language(run: "Run") -> str | None:
    """The language column of documents that were scored without carrying it."""
    from curate import carried

    try:
        columns = run.corpus().columns
    except CurateError:
        return None
    return next((name for name in carried.LANGUAGES if name in columns), None)


def reference_of(run: "Run") -> dict[str, Any]:
    """The model that made the numbers, as far as cut-offs depend on it."""
    model = run.finished_scores()["made_from"].get("model") or {}
    return {name: model.get(name) for name in ("model", "revision", "weights", "tokenizer")}


@dataclass(slots=True)
class BucketJob:
    """One grading: what is read, and how it is cut."""

    run: "Run"
    found: "Rejections"
    by: str
    within: tuple[str, ...]
    chosen: str
    quantiles: int | None
    known: "Cutoffs | None"
    own: bool = True
    """Whether the column is one of the scores; else the documents carry it."""

    def read(self) -> Iterator[tuple[Any, "NDArray[np.float64]", "NDArray[np.int64]", list[str]]]:
        """The parts, with the numbers and the groups of the documents (NaN where not kept), and the groups so far."""
        import numpy as np

        from curate import narrow

        groups = narrow.Groups(self.within)
        carry = list(dict.fromkeys([*self.within, *(() if self.own else (self.by,))]))
        columns = list(dict.fromkeys(["file", "row", "tokens", *((self.by,) if self.own else ())]))
        for part in narrow.read_parts(self.run, columns, carry, found=self.found):
            assert part.keep is not None
            values = np.where(part.keep, part.numbers(self.by), np.nan)
            yield part, values, groups.take(part.table), groups.names


def assign_buckets(job: BucketJob, warning: str | None, save_to: str | None) -> Grades:
    from pathlib import Path

    import numpy as np

    from curate import cutoffs as files
    from curate import placebook, runs, tables

    job.own = placebook.kind_of(job.run, job.by)[1]
    names, counts, kept = _count(job)
    if not kept:
        raise GateError("nothing is kept, so there is nothing to cut", f"curate status --run {job.run.path} says why")
    if not counts.sum():
        raise UsageError(f"no document that is kept has a {job.by}", "cut by another column, as in --by bytes")
    if job.known is not None:
        lookup = files.groups_of(list(job.known.groups), names)
        if not counts[lookup >= 0].sum():
            listed = ", ".join(fold_buckets(name, 20) for name in list(job.known.groups)[:5])
            raise UsageError(f"the cut-offs know none of the groups of these documents, but {listed}", "make new ones")
        values = np.array(list(job.known.groups.values()), np.float64).reshape(len(job.known.groups), -1)
        ties = np.zeros(values.shape, np.int64)
        cut = job.known
    else:
        values, ties = files.find(lambda: _measured(job), counts, job.quantiles)
        lookup = np.arange(len(names))
        made = {name: tuple(row.tolist()) for name, row, many in zip(names, values, counts, strict=True) if many}
        scheme = "ccnet" if job.quantiles is None else f"{job.quantiles} quantiles"
        bucket_names = files.names_of(job.quantiles)
        cut = files.Cutoffs(scheme, job.by, job.within, bucket_names, made, reference_of(job.run))
    parameters: dict[str, Any] = {"scheme": cut.scheme, "by": job.by, "within": list(job.within)}
    parameters |= {"names": [*cut.names, *((files.UNKNOWN,) if (lookup < 0).any() else ())]}
    parameters |= {"applied": job.known is not None, "cutoffs": runs.fingerprint(cut.as_json())}
    note: dict[str, Any] = {"made_from": placebook.sources_of(job.run, job.found), "parameters": parameters}
    note["fingerprint"] = runs.fingerprint(note)
    tally = _Tally(len(names), parameters["names"])
    rows = _rows(job, files.Assigner(values, ties), lookup, tally)
    placebook.write_placements(job.run.buckets, tables.BUCKETS, rows, note)
    summary = _summary(job, cut, names, counts, kept, tally, warning, parameters)
    for path in (job.run.path / "cutoffs.json", *((Path(save_to),) if save_to else ())):
        files.save(path, cut)
    buckets = {one.name: one.documents for one in summary.buckets}
    by_tokens = {one.name: one.tokens for one in summary.buckets}
    counted = {"read": job.run.finished_scores()["counts"]["read"], "kept": kept, "unmeasured": summary.unmeasured}
    job.run.save("bucket", {**note, "counts": {**counted, "buckets": buckets, "tokens": by_tokens}})
    return summary


def _measured(job: BucketJob) -> Iterator[tuple[Any, Any, None]]:
    import numpy as np

    for _, values, groups, _ in job.read():
        there = ~np.isnan(values)
        yield values[there], groups[there], None


def _count(job: BucketJob) -> tuple[list[str], "NDArray[np.int64]", int]:
    """The groups of all documents, how many numbers each has, and how many documents are kept."""
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

    def list_buckets(self, groups: Any) -> tuple[Bucket, ...]:
        """The buckets of some groups together."""
        found = []
        for number, name in enumerate(self.names):
            many = int(self.documents[groups, number].sum())
            span = (float(self.lowest[groups, number].min()), float(self.highest[groups, number].max()))
            low, high = span if many else (None, None)
            found.append(Bucket(name, many, int(self.tokens[groups, number].sum()), low, high))
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
) -> Grades:
    buckets = tally.list_buckets(slice(None))
    groups = {name: tally.list_buckets([place]) for place, name in enumerate(names) if counts[place]}
    return Grades(
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


def _warnings(buckets: tuple[Bucket, ...], counts: "NDArray[np.int64]", many: int) -> Iterator[str]:
    """What a curator should look at: one bucket for all, groups too small to be cut, groups without cut-offs."""
    filled = [one for one in buckets if one.documents]
    total = sum(one.documents for one in filled)
    if len(filled) == 1 and many > 1 and total > 1:
        yield (
            f"all documents are in {filled[0].name}: their values are all alike, or the cut-offs are of another "
            "corpus; cut this one by itself without --cutoffs, by another column (--by bpb), or with --quantiles"
        )
    small = int(((counts > 0) & (counts < many)).sum())
    if small:
        yield (
            f"{small:,} group{'' if small == 1 else 's'} of fewer documents than there are buckets ({many}): a group "
            "of one document says nothing; --within none, or fewer columns, cuts larger ones"
        )
    unknown = next((one for one in buckets if one.name == "unknown"), None)
    if unknown is not None and unknown.documents:
        yield f"{unknown.documents:,} documents are of groups that the cut-offs do not know: bucket unknown"
