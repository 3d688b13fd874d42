"""The lines that say which reference model reads and what its self-check found."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.reference.protocol import ReferenceModel


LARGER = "HuggingFaceTB/SmolLM2-135M"  # what to name for real work on a laptop


def announce(reference: "ReferenceModel", devices: str | None = None) -> None:
    """Say which model reads, on which devices where several were named, and what the self-check found."""
    from curate.reference.checkpoint import BUILTIN, BUILTIN_TEXT
    from curate.runtime import console

    identity = reference.identity
    if identity["model"] == "none":
        console.say("reference", "none: documents are counted and hashed, nothing is measured")
        return
    said = f"{identity['model']} ({console.count(reference.parameters)} parameters"
    if identity["model"] == BUILTIN:
        said += f", English, trained on {BUILTIN_TEXT}) — for real work name a larger one: --model {LARGER}"
    else:
        said += f", {identity['architecture']})"
    console.say("reference", said)
    if devices is not None:
        console.say("devices", ", ".join(worker.device for worker in getattr(reference, "workers", ())))
    console.say("self-check", getattr(reference, "check_line", ""))
    for note in getattr(reference, "notes", ()):
        console.say("", note)
