"""curate: decide which text to train on, by the numbers of a reference language model.

Each verb of the command line is one function here, with the same name and the same parameters.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# verb → the module that holds it; loaded when first asked for, so that `import curate` costs nothing
VERBS = {
    "score": "curate.scoring",
    "decontaminate": "curate.decontamination",
    "dedup": "curate.deduplication",
    "filter": "curate.selection",
    "status": "curate.funnel",
    "explain": "curate.explanation",
    "export": "curate.exporting",
    "verify": "curate.verification",
    "train_reference": "curate.pretraining",
}

__all__ = ["decontaminate", "dedup", "explain", "export", "filter", "score", "status", "train_reference", "verify"]

if TYPE_CHECKING:
    from curate.decontamination import decontaminate
    from curate.deduplication import dedup
    from curate.explanation import explain
    from curate.exporting import export
    from curate.funnel import status
    from curate.pretraining import train_reference
    from curate.scoring import score
    from curate.selection import filter
    from curate.verification import verify


def __getattr__(name: str) -> Any:
    if name in VERBS:
        return getattr(import_module(VERBS[name]), name)
    raise AttributeError(f"module 'curate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
