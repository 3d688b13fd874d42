"""Is an export complete and in order, and does a trainer read it in order?

    from curate.exports.verify import replay
    replay("out", my_loader)     the first step at which your loader departs from the order

``curate verify`` replays the loaders of transformers, TRL and PyTorch in the same way.

reader        the manifest, the shards, the order    integrity   the files checked against the manifest and the order
cached_copy   what load_dataset gives of it
loaders       the loaders of trainers, built         stage       what they read, in a process that is left as it was
order_check   where an order is first left           replays     one against the other
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
