"""Does an export hold together, and does a trainer read it in order?

    from curate.exports.verify import replay
    replay("out", my_loader)     the first step at which a loader of your own departs from the order

``curate verify`` replays the loaders of transformers, TRL and PyTorch in the same way.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.exports.verify.replays import replay as replay

__all__ = ["replay"]


def __getattr__(name: str) -> Any:
    if name == "replay":
        from curate.exports.verify.replays import replay

        return replay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
