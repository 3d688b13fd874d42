"""``curate verify``: whether an export is whole, and whether a trainer that reads it keeps its order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.departures import Course, Positions
    from curate.exportbook import Export, Places
    from curate.loaders import Case, Stage

TO_SET = {
    "dataloader": "DataLoader(shuffle=False); over ranks DistributedSampler(shuffle=False)",
    "streaming": "no shuffle(), num_workers=0, one rank; else load the data set whole",
    "trainer": 'TrainingArguments(train_sampling_strategy="sequential")',
    "trl": 'SFTConfig(train_sampling_strategy="sequential")',
    "trl packed": 'SFTConfig(train_sampling_strategy="sequential", packing_strategy="wrapped")',
}
SKIPPED = "not replayed: "


@dataclass(frozen=True, slots=True)
class Replay:
    """What one loader made of the order."""

    loader: str
    settings: str
    shown: str
    steps: int
    documents: int
    """Documents that came in their order."""
    total: int
    """Documents that were given to the loader."""
    kept: bool | None
    """None where the loader could not be built."""
    departs_at_step: int | None
    position: int | None
    """The position that was next and did not come."""
    expected: str | None
    """The document of that position, as file:row."""
    found: str | None
    """The document that came instead."""
    tokens_before: int | None
    """Tokens of the documents before the departure."""
    note: str | None


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of an export."""

    out: str
    format: str
    ordered: bool
    documents: int
    findings: tuple[Any, ...]
    replays: tuple[Replay, ...]
    settings: str
    steps_of: str
    versions: dict[str, str]
    note: str | None

    @property
    def whole(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def gated(self) -> list[Replay]:
        """The replays that have to keep the order: under both, those of the recommended settings."""
        asked = ("any", "default" if self.settings == "default" else "recommended")
        return [replay for replay in self.replays if replay.settings in asked]

    @property
    def exit_code(self) -> int:
        return 4 if not self.whole or any(replay.kept is False for replay in self.gated) else 0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "whole": self.whole, "ok": self.exit_code == 0}

    def render(self) -> str:
        import textwrap

        order = "in order" if self.ordered else "without an order"
        lines = [f"{self.out}   {self.format}, {self.documents:,} documents, {order}"]
        for finding in self.findings:
            text = ("" if finding.ok else "WRONG: ") + finding.detail
            lines += textwrap.wrap(text, 100, initial_indent=f"{finding.check:<14}", subsequent_indent=" " * 14)
        if self.replays:
            lines += ["", f"{'loader':<13} {'settings':<12}  {self.steps_of}"]
            lines += [line for replay in self.replays for line in _say(replay)]
        lines += self._advise()
        return "\n".join(lines)

    def _advise(self) -> list[str]:
        lines = [""] if self.replays else []
        if self.note:
            lines.append(self.note)
        lost = dict.fromkeys(replay.loader for replay in self.replays if replay.kept is False)
        if lost:
            lines.append("to keep the order:")
            lines += [f"  {loader:<11} {TO_SET[loader]}" for loader in lost]
            lines.append(f"  more: {self.out}/TRAINING.md")
        if self.whole and self.replays and self.exit_code == 0:
            said = {"default": "under the default settings"}.get(self.settings, "under the settings of TRAINING.md")
            lines.append(f"the order survives {said}")
        return lines


def _say(replay: Replay) -> list[str]:
    """A replay as a line of the table; where it departs, as three."""
    head = f"{replay.loader:<13} {replay.settings if replay.settings != 'any' else '':<12}  "
    if replay.kept is None:
        return [head + SKIPPED + str(replay.note)]
    note = [" " * len(head) + replay.note] if replay.note else []
    if replay.kept:
        many = "step" if replay.steps == 1 else "steps"
        return [f"{head}kept: {replay.documents:,} documents in {replay.steps:,} {many}", *note]
    indent, came = " " * len(head), "the documents end" if replay.found is None else f"{replay.found} comes"
    return [
        f"{head}departs at step {replay.departs_at_step:,}",
        f"{indent}{came} where {replay.expected}",
        f"{indent}(position {replay.position:,}, after {replay.tokens_before:,} tokens) is next",
        *note,
    ]


def verify(
    out: Annotated[str, typer.Argument(help="Folder that curate export wrote.")],
    loader: Annotated[
        Literal["all", "dataloader", "streaming", "trainer", "trl", "none"],
        typer.Option(help="Which loaders to replay; none checks the files alone."),
    ] = "all",
    settings: Annotated[
        Literal["both", "default", "recommended"],
        typer.Option(help="Settings to replay; under both, only the recommended ones have to keep the order."),
    ] = "both",
    batch_size: Annotated[int, typer.Option(help="Documents (or packed sequences) of a batch.")] = 8,
    world_size: Annotated[int, typer.Option(help="Ranks that the documents are dealt to.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes of each loader (num_workers).")] = 0,
    steps: Annotated[int | None, typer.Option(help="Stop each replay after so many steps.")] = None,
) -> Verified:
    """Check an export against itself, and replay what trainers would read of it.

    First its files: all there, unchanged, in reading order, each document where ``order.parquet`` says. Then the real
    loaders of PyTorch, transformers and TRL are built over it, without a model and without training, and the first
    step is told at which the documents that they give leave the order. A step is one batch on every rank; gradient
    accumulation changes nothing. Exit code 4 where a file is wrong, or the order is lost under the settings asked for.
    """
    from curate import exportbook, integrity

    for name, value, least in (("batch-size", batch_size, 1), ("world-size", world_size, 1), ("workers", workers, 0)):
        if value < least:
            raise UsageError(f"--{name} must be at least {least}, not {value}")
    if steps is not None and steps < 1:
        raise UsageError(f"--steps must be at least 1, not {steps}")
    export = exportbook.open_export(out)
    ordered = export.ordered or export.order.exists()
    findings = integrity.check_files(export)
    whole = all(finding.ok for finding in findings)
    if whole and export.format == "tokens":
        findings += integrity.check_tokens(export)
    if ordered and whole:
        findings += integrity.check_order(export)
    note = why_not_replayed(export, ordered, all(finding.ok for finding in findings), loader)
    replays: list[Replay] = []
    if note is None:
        from curate import loaders

        cases = loaders.list_cases(loader, settings, world_size, workers)
        replays = list(replay_cases(export, cases, batch_size, world_size, workers, steps))
    found: dict[str, str] = {}
    if replays:
        from curate.loaders import versions

        found = versions()
    shown = f"batches of {batch_size}" + (f" on {world_size} ranks" if world_size > 1 else "")
    return Verified(
        out, export.format, ordered, export.rows, tuple(findings), tuple(replays), settings, shown, found, note
    )


def why_not_replayed(export: "Export", ordered: bool, whole: bool, loader: str) -> str | None:
    """Why no loader is replayed, where none is."""
    if loader == "none":
        return "" if ordered else "there is no order to verify"
    if not ordered:
        return "there is no order to verify: the documents stand as in the corpus (curate order, then export)"
    if not whole:
        return "no loader was replayed: mend the export first (curate export again, with --overwrite)"
    if export.format == "tokens":
        return "no loader was replayed: token files are in order, what keeps it is in TRAINING.md"
    return None if export.rows else "there is no document to replay"


def replay_cases(
    export: "Export", cases: "list[Case]", batch_size: int, ranks: int, workers: int, steps: int | None
) -> Iterator[Replay]:
    from curate import console, exportbook, loaders

    order = exportbook.read_sequence(export)
    places = exportbook.index_places(order)
    lengths = order.column("tokens").to_numpy()
    many = "1 loader" if len(cases) == 1 else f"{len(cases)} loaders"
    console.say("replaying", f"{export.folder}   {many} over {len(order):,} documents")
    with loaders.staged(export, places, lengths, batch_size, ranks, workers) as stage:
        for case in cases:
            yield _replay_case(case, stage, order, steps)


def _replay_case(case: "Case", stage: "Stage", order: "pa.Table", steps: int | None) -> Replay:
    from curate.departures import follow
    from curate.loaders import count_trl

    missing, total = case.missing(), len(order)
    if missing:
        empty = (None, None, None, None, None, None)
        return Replay(case.loader, case.settings, case.shown, 0, 0, total, *empty, missing)
    if case.loader.startswith("trl"):
        total = min(total, count_trl(stage.tokens))
    course = follow(case.steps(stage), total, case.packed, steps)
    note = f"the first {total:,} documents" if total < len(order) else None
    if course.steps == 1 < total and course.kept and steps != 1:
        note = "one step holds them all: nothing is proved; use a smaller --batch-size"
    elif course.filled:
        note = f"the last step is filled with {course.filled:,} documents of the beginning"
    return _describe(case.loader, case.settings, case.shown, course, order, total, note)


def _describe(
    loader: str, settings: str, shown: str, course: "Course", order: "pa.Table", total: int, note: str | None
) -> Replay:
    """A course with the names of the documents where it departs."""
    lost = course.departure
    if lost is None:
        nothing = (None, None, None, None, None)
        return Replay(loader, settings, shown, course.steps, course.documents, total, True, *nothing, note)
    before = 0 if lost.expected == 0 else int(order.column("cumulative_tokens")[lost.expected - 1].as_py())
    found = None if lost.found is None else name_document(order, lost.found) + (" again" if lost.repeated else "")
    expected = name_document(order, lost.expected)
    return Replay(
        loader, settings, shown, course.steps, course.documents, total, False, lost.step, lost.expected, expected,
        found, before, note,
    )  # fmt: skip


def name_document(order: "pa.Table", position: int) -> str:
    """A document as file:row, to show to a person."""
    if position < 0:
        return "a document that is not of the export"
    file, row = order.column("file")[position].as_py(), order.column("row")[position].as_py()
    shown = "".join(char if char.isprintable() else "·" for char in f"{file}:{row}")
    return shown if len(shown) <= 60 else "…" + shown[-59:]


# A loader of the user's own.


def replay(
    out: str,
    batches: Iterable[Any],
    key: str | Callable[[Any], Any] | None = None,
    world_size: int = 1,
    steps: int | None = None,
) -> Replay:
    """Compare what a loader of your own gives with the order of an export, up to the first departure.

    ``batches`` are what it yields: mappings of columns (lists or tensors), lists of rows, or single rows. A document is
    known by the columns ``curate_file`` and ``curate_row``, or by ``key``: a column of positions (integers) or of
    texts, or a function from a batch to one of these. A loader of several ranks gives its batches in turns, rank by
    rank; ``world_size`` of them make a step. Raises TableError where the export has no order, UsageError where a batch
    does not say which documents it holds.
    """
    from curate import exportbook
    from curate.departures import follow

    export = exportbook.open_export(out)
    order = exportbook.read_sequence(export)
    finder = _Finder(export, order, key)
    found = (finder.find(batch) for batch in batches)
    course = follow(_side_by_side(found, world_size), len(order), most=steps)
    return _describe("yours", "any", "", course, order, len(order), None)


def _side_by_side(batches: Iterator["Positions"], ranks: int) -> Iterator["Positions"]:
    import itertools

    import numpy as np

    while step := list(itertools.islice(batches, ranks)):
        yield np.concatenate(step)


class _Finder:
    """From what a loader yields to positions."""

    def __init__(self, export: "Export", order: "pa.Table", key: str | Callable[[Any], Any] | None):
        from curate import exportbook

        self._export, self._order, self._key = export, order, key
        self._places: Places = exportbook.index_places(order)
        self._texts: dict[int, list[int]] | None = None

    def find(self, batch: Any) -> "Positions":
        if callable(self._key):
            return self._of_values(self._key(batch))
        if self._key is not None:
            return self._of_values(_take(batch, self._key))
        names = (self._export.column("file"), self._export.column("row"))
        return self._places.find(_take(batch, names[0]), [int(row) for row in _take(batch, names[1])])

    def _of_values(self, values: Any) -> "Positions":
        import numpy as np

        listed = _as_list(values)
        if listed and isinstance(listed[0], str):
            return np.array([self._of_text(text) for text in listed], np.int64)
        found = np.array([int(value) for value in listed], np.int64)
        return np.where((found >= 0) & (found < len(self._order)), found, -1)

    def _of_text(self, text: str) -> int:
        """The position of a text; of equal texts the first that has not come yet."""
        import xxhash

        if self._texts is None:
            self._texts = _index_texts(self._export)
        waiting = self._texts.get(xxhash.xxh3_64_intdigest(text.encode()), [-1])
        return waiting.pop() if len(waiting) > 1 else waiting[0]


def _index_texts(export: "Export") -> dict[int, list[int]]:
    """The positions of each text by its hash, the last position first."""
    import xxhash

    from curate import exportbook

    name = export.manifest.get("text_field", "text")
    if name not in export.manifest.get("columns", {}):
        raise UsageError(f"{export.folder} has no column of texts {name}", "name documents by curate_file, curate_row")
    found: dict[int, list[int]] = {}
    position = 0
    for shard in export.shards:
        for table in exportbook.read_columns(export, shard["path"], [name]):
            for text in table.column(name).to_pylist():
                found.setdefault(xxhash.xxh3_64_intdigest(text.encode()), []).append(position)
                position += 1
    return {digest: positions[::-1] for digest, positions in found.items()}


def _take(batch: Any, name: str) -> list[Any]:
    """A column of a batch: of a mapping, of a list of rows, or of one row."""
    try:
        if isinstance(batch, list):
            return [row[name] for row in batch]
        return _as_list(batch[name])
    except (KeyError, IndexError, TypeError):
        raise UsageError(
            f"a batch of type {type(batch).__name__} does not say {name}",
            "keep that column in the loader, or pass key=COLUMN or key=FUNCTION",
        ) from None


def _as_list(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    return list(values) if isinstance(values, (list, tuple)) else [values]
