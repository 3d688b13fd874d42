"""Which options of ``curate score`` go together with ``--engine ray``."""

from curate.errors import UsageError
from curate.runtime.work.engines import EngineOptions


def check_engine_options(
    engine: EngineOptions | None, part: str | None, limit: int | None, devices: str | None
) -> None:
    """Raise UsageError for options that cannot hold where the workers of an engine score."""
    if engine is None:
        return
    if part is not None:
        raise UsageError("--part and --engine ray deal out the same work in two ways", "leave one of them out")
    if limit is not None:
        message = "--limit and --engine ray: a limit counts over all files"
        raise UsageError(message, "leave --limit out, or draw a --sample")
    if devices is not None:
        message = "--devices are of this machine, and the workers of --engine ray have a device each"
        raise UsageError(message, "--gpus-per-worker 1")
