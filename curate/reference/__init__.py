"""Reference models: the models that read a corpus and say how surprised they were.

One seam: ``ReferenceModel``. ``load`` gives one for a name: ``builtin``, a local folder, or a Hub id; for ``none`` one
that measures nothing.
"""

from curate.reference.protocol import ReferenceModel, ScoringConfig


def load(model: str, reading: ScoringConfig | None = None, devices: str | None = None) -> ReferenceModel:
    """Load a reference model, check it against itself, and settle how it is run.

    ``devices``, such as ``0,1`` or ``all``, reads on several at once, each in a process of its own; such a reference
    has a ``close`` that ends them. Raises ModelError where the model cannot be loaded or trusted, UsageError for a
    reading that means nothing.
    """
    from curate.reference.no_model import NAME, NoModel

    if model == NAME:
        return NoModel()
    if devices is not None:
        from curate.reference.multi_device import load_fleet, name_devices

        return load_fleet(model, reading or ScoringConfig(), name_devices(devices))
    from curate.reference.loading import load_causal

    return load_causal(model, reading or ScoringConfig())
