"""A reference model in the workers of a pool: each loads it once, and this process only knows what it is.

    driver: RemoteReference ── pickled with the work ──► worker: the model that is loaded there

The first worker chooses how many tokens a pack has and whether the model is compiled; the others are told.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from curate.errors import ModelError
from curate.reference.device_worker import WorkerOpened, describe_opened
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ReferenceModel, ScoringConfig
from curate.runtime.choices import TokenMeasure

if TYPE_CHECKING:
    from curate.runtime.work.ray_pool import RayPool

_loaded: ReferenceModel | None = None
"""The model of this process, where it is a worker."""


def load_here(name: str, config: ScoringConfig, threads: int) -> WorkerOpened:
    """Load a model in this process, a worker with so many threads, once, and return what it is.

    Raises what loading raises.
    """
    global _loaded
    import torch

    from curate.reference.loading import load_causal

    torch.set_num_threads(threads)
    if _loaded is None:
        _loaded = load_causal(name, config)
    return describe_opened(_loaded)


def find_loaded() -> ReferenceModel:
    """Return the model of this process. Raises ModelError where none was loaded."""
    if _loaded is None:
        raise ModelError("this worker has loaded no model", "run the same command again")
    return _loaded


@dataclass(slots=True)
class RemoteReference:
    """A ``ReferenceModel`` that the workers of a pool have loaded. Pickled, it becomes the model of its process."""

    pool: "RayPool"
    opened: WorkerOpened
    num_computed_tokens: int = 0
    """Not counted: workers tell how many tokens they scored alone."""

    @property
    def identity(self) -> dict[str, Any]:
        return self.opened.identity

    @property
    def parameters(self) -> int:
        return self.opened.parameters

    @property
    def vocab_size(self) -> int:
        return self.opened.vocab_size

    @property
    def check_line(self) -> str:
        return self.opened.check_line

    @property
    def notes(self) -> Sequence[str]:
        return self.opened.notes

    @property
    def num_scored_tokens(self) -> int:
        return self.pool.tokens

    @property
    def policy(self) -> WindowPolicy:
        """How the workers cut a text that is longer than the model reads."""
        return WindowPolicy.from_identity(self.identity)

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of a worker."""
        return (str(self.identity["device"]),)

    def __reduce__(self) -> tuple[Callable[[], ReferenceModel], tuple[()]]:
        return find_loaded, ()

    def score(
        self,
        passages: Iterable[Sequence[Passage]],
        advance: Callable[[int, float], None] | None = None,
        measures: Collection[TokenMeasure] = (),
    ) -> Iterator[Likelihoods]:
        """Raise ModelError: the texts are read where the model is."""
        raise ModelError("the model is loaded in the workers of an engine, not here", "leave out --engine")

    def close(self) -> None:
        """Do nothing: the pool ends its workers."""


def open_remote(
    pool: "RayPool", name: str, config: ScoringConfig, check: Callable[[Mapping[str, Any]], None] | None = None
) -> RemoteReference:
    """Load a model in a first worker, and let the others load the same, as far as it chose.

    ``check`` is called with the identity of each further one, and raises a CurateError to leave it out. Raises what
    loading raises.
    """
    threads, modules = pool.options.threads, ("curate.reference.loading",)
    opened: WorkerOpened = pool.open_first(partial(load_here, name, config, threads), modules)
    same = replace(
        config,
        pack_tokens=opened.pack_tokens,
        compiled="on" if opened.identity["compiled"] else "off",
    )
    accept = None if check is None else lambda other: check(other.identity)
    pool.open_others(partial(load_here, name, same, threads), accept)
    return RemoteReference(pool, opened)
