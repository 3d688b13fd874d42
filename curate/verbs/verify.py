"""``curate verify``: whether an export is complete, and whether a trainer that reads it keeps its order."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curate.errors import UsageError
from curate.exports.verify.summary import Replay, VerifySummary
from curate.runtime.options import verb_function

if TYPE_CHECKING:
    from curate.exports.verify.reader import Export


@verb_function(workers="loader_workers")
def verify(
    out: Annotated[str, typer.Argument(help="Folder or URL that curate export wrote.")],
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
    loader_workers: Annotated[int, typer.Option(help="Worker processes of each loader (num_workers).")] = 0,
    steps: Annotated[int | None, typer.Option(help="Stop each replay after this many steps.")] = None,
) -> VerifySummary:
    """Check the files of an export, replay what trainers would read of it, and return the findings.

    First the files: all there, unchanged, in reading order, each document where ``order.parquet`` says, and given by
    ``datasets.load_dataset`` even where its cache has another export of the same name. Then the real loaders of
    PyTorch, transformers and TRL are built over them, without a model and without training, and the summary names the
    first step at which the documents leave the order. A step is one batch on every rank; gradient accumulation changes
    nothing. What could not be replayed is not verified, and listed. The exit code is 4 where a file is wrong, the order
    is lost under ``settings``, or none of the loaders could be replayed.

    An export in an object store is fetched into a temporary folder first.

    Raises UsageError where the folder is no export or a number is out of range, TableError for a damaged manifest.
    """
    from curate.exports.stores.fetched import open_locally
    from curate.exports.verify import reader

    counts = (("batch-size", batch_size, 1), ("world-size", world_size, 1), ("loader-workers", loader_workers, 0))
    for name, value, least in counts:
        if value < least:
            raise UsageError(f"--{name} must be at least {least}, not {value}", f"leave --{name} out for the default")
    if steps is not None and steps < 1:
        raise UsageError(f"--steps must be at least 1, not {steps}", "leave --steps out to replay everything")
    with open_locally(out) as folder:
        export = reader.open_export(folder)
        return _verify_export(out, export, loader, settings, batch_size, world_size, loader_workers, steps)


def _verify_export(
    out: str,
    export: "Export",
    loader: str,
    settings: str,
    batch_size: int,
    world_size: int,
    loader_workers: int,
    steps: int | None,
) -> VerifySummary:
    """Check and replay an export in a folder; ``out`` is what the user calls it."""
    from curate.exports.verify import cached_copy, integrity
    from curate.exports.verify.replays import explain_missing_replays, replay_cases

    ordered = export.ordered or export.order.exists()
    findings = integrity.check_files(export)
    whole = all(finding.ok for finding in findings)
    if whole:
        findings += cached_copy.check_load_dataset(export) if export.holds_text else integrity.check_tokens(export)
    if ordered and whole:
        findings += integrity.check_order(export)
    note = explain_missing_replays(export, ordered, all(finding.ok for finding in findings), loader)
    replays: list[Replay] = []
    without: tuple[str, ...] = ()
    if note is None:
        from curate.exports.verify import loaders

        cases = loaders.list_cases(loader, settings, world_size, loader_workers)
        without = () if cases else (loader,)
        replays = list(replay_cases(export, cases, batch_size, world_size, loader_workers, steps)) if cases else []
    found: dict[str, str] = {}
    if replays:
        from curate.exports.verify.loaders import list_versions

        found = list_versions()
    shown = f"batches of {batch_size}" + (f" on {world_size} ranks" if world_size > 1 else "")
    return VerifySummary(
        out, export.format, ordered, export.rows, tuple(findings), tuple(replays), settings, shown, found, note,
        without,
    )  # fmt: skip
