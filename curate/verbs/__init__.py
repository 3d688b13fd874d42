"""The commands: one file each, of the same name. The function's signature is the command line of the verb."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

VERBS = (
    "score",
    "merge",
    "decontaminate",
    "dedup",
    "filter",
    "bucket",
    "order",
    "status",
    "explain",
    "report",
    "compare",
    "publish",
    "export",
    "verify",
    "run",
    "train_reference",
    "rank_sft",
    "select_sft",
)
"""All commands, in the order of ``curate --help``. The command ``rank-sft`` is ``curate.verbs.rank_sft.rank_sft``."""

if TYPE_CHECKING:
    from curate.verbs.bucket import bucket as bucket
    from curate.verbs.compare import compare as compare
    from curate.verbs.decontaminate import decontaminate as decontaminate
    from curate.verbs.dedup import dedup as dedup
    from curate.verbs.explain import explain as explain
    from curate.verbs.export import export as export
    from curate.verbs.filter import filter as filter
    from curate.verbs.merge import merge as merge
    from curate.verbs.order import order as order
    from curate.verbs.publish import publish as publish
    from curate.verbs.rank_sft import rank_sft as rank_sft
    from curate.verbs.report import report as report
    from curate.verbs.run import run as run
    from curate.verbs.score import score as score
    from curate.verbs.select_sft import select_sft as select_sft
    from curate.verbs.status import status as status
    from curate.verbs.train_reference import train_reference as train_reference
    from curate.verbs.verify import verify as verify


def load_verb(name: str) -> Callable[..., Any]:
    """Import the module of a verb and return its function. ``name`` is one of ``VERBS``."""
    function: Callable[..., Any] = getattr(import_module(f"curate.verbs.{name}"), name)
    return function
