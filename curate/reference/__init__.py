"""Reference models: they read a corpus and measure how surprising each document is.

Callers see one interface, ``ReferenceModel``. ``load`` returns one for a name: ``builtin``, a local folder, a Hub id,
or ``none`` for one that measures nothing.

    from curate.reference import load
    from curate.reference.likelihood import Passage

    reference = load("builtin")
    (likelihoods,) = reference.score([[Passage("To be, or not to be")]])
    print(likelihoods.nats / likelihoods.tokens)
"""

from curate.reference.protocol import ReferenceModel, ScoringConfig
from curate.runtime.work import profiler

LOADING = ("corpus", "torch", "transformers", "tokenizer", "weights", "self-check")
"""Names of spans from the start of a verb until its model can score."""


def load(model: str, config: ScoringConfig | None = None, devices: str | None = None) -> ReferenceModel:
    """Return a reference model that passed its self-check, ready to score.

    ``model`` is ``builtin``, a local folder, a Hub id, or ``none``. ``config`` is how it scores; None takes the
    defaults; with a ``logprobs_field`` no model is loaded, whatever its name. ``devices``, such as ``0,1`` or ``all``,
    runs a process on each of several devices; call ``close`` when done, which ends them. Raises ModelError where the
    model cannot be loaded or fails the self-check, UsageError for options that are unknown or do not go together.
    """
    from curate.reference.checkpoints.no_model import NAME, NoModel

    if model == NAME:
        return NoModel()
    if config is not None and config.logprobs_field is not None:
        from curate.reference.served.model import open_served

        return open_served(config)
    if devices is not None:
        from curate.reference.multi_device import load_on_devices, parse_devices

        return load_on_devices(model, config or ScoringConfig(), parse_devices(devices))
    with profiler.span("torch"):
        from curate.reference.loading import load_causal

    return load_causal(model, config or ScoringConfig())
