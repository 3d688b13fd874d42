"""The lines on the terminal that name the reference model and what its self-check measured."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.reference.protocol import ReferenceModel


LARGER = "HuggingFaceTB/SmolLM2-135M"  # the model to suggest for real work on a laptop


def announce_reference(reference: "ReferenceModel", devices: str | None = None) -> None:
    """Print which model scores, the devices where ``--devices`` was given, and what the self-check measured."""
    from curate.reference.checkpoint import BUILTIN, BUILTIN_TEXT
    from curate.runtime import console

    identity = reference.identity
    if identity["model"] == "none":
        console.say("reference", "none: documents are counted and hashed, nothing is measured")
        return
    line = f"{identity['model']} ({console.format_count(reference.parameters)} parameters"
    if identity["model"] == BUILTIN:
        line += f", English, trained on {BUILTIN_TEXT}) — for real work name a larger one: --model {LARGER}"
    else:
        line += f", {identity['architecture']})"
    console.say("reference", line)
    if devices is not None:
        console.say("devices", ", ".join(reference.devices))
    console.say("self-check", reference.check_line)
    for note in reference.notes:
        console.say("", note)
