"""curate: decide which text to train on, by the numbers of a reference language model.

Each verb of the command line is a function here, with the same name and the same parameters::

    import curate

    curate.score("corpus.jsonl", run="curated")
    curate.filter(run="curated", max_ppl=100)
    curate.export("out", run="curated")

``curate.PerplexityCallback`` watches a training of transformers or TRL.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from curate.runtime.version import __version__
from curate.verbs import VERBS, load_verb

if TYPE_CHECKING:
    from curate.monitoring.callback.perplexity import PerplexityCallback as PerplexityCallback
    from curate.verbs import *  # noqa: F403

CLASSES = {"PerplexityCallback": "curate.monitoring.callback.perplexity"}
"""Classes beside the verbs, with the module of each, which is imported at first use."""

__all__ = ["__version__", *CLASSES, *VERBS]


def __getattr__(name: str) -> Any:
    if name in VERBS:
        return load_verb(name)
    if name in CLASSES:
        return getattr(import_module(CLASSES[name]), name)
    raise AttributeError(f"module 'curate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *CLASSES, *VERBS])
