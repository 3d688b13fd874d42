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
    "bucket": "curate.grading",
    "order": "curate.ordering",
    "status": "curate.funnel",
    "explain": "curate.explanation",
    "report": "curate.reporting",
    "export": "curate.exporting",
    "verify": "curate.verification",
    "run": "curate.running",
    "train_reference": "curate.pretraining",
    "rank_sft": "curate.suitability",
    "select_sft": "curate.exampleselection",
}

__all__ = [
    "bucket",
    "decontaminate",
    "dedup",
    "explain",
    "export",
    "filter",
    "order",
    "rank_sft",
    "report",
    "run",
    "score",
    "select_sft",
    "status",
    "train_reference",
    "verify",
]

if TYPE_CHECKING:
    from curate.decontamination import decontaminate
    from curate.deduplication import dedup
    from curate.exampleselection import select_sft
    from curate.explanation import explain
    from curate.exporting import export
    from curate.funnel import status
    from curate.grading import bucket
    from curate.ordering import order
    from curate.pretraining import train_reference
    from curate.reporting import report
    from curate.running import run
    from curate.scoring import score
    from curate.selection import filter
    from curate.suitability import rank_sft
    from curate.verification import verify


def __getattr__(name: str) -> Any:
    if name in VERBS:
        return getattr(import_module(VERBS[name]), name)
    raise AttributeError(f"module 'curate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
