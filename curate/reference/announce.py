"""The lines on the terminal that name the reference model and what its self-check measured."""

from curate.reference.checkpoints import no_model
from curate.reference.protocol import ReferenceModel
from curate.reference.served import model as served
from curate.runtime import console

LARGER = "HuggingFaceTB/SmolLM2-135M"  # the model to suggest for real work on a laptop


def announce_reference(reference: ReferenceModel) -> None:
    """Print which model scores, its devices where there are several, and what the self-check measured."""
    identity = reference.identity
    if identity["model"] == no_model.NAME:
        console.say("reference", "none: documents are counted and hashed, nothing is measured")
        return
    if identity["model"] == served.NAME:
        tokenizer = "tokenizer unknown" if identity["tokenizer"] is None else f"tokenizer {identity['tokenizer'][:24]}"
        column = identity["logprobs_field"]
        console.say("reference", f'served: log probabilities in column "{column}", {tokenizer}; no model runs')
        return
    from curate.reference.checkpoints.checkpoint import (  # It imports torch, which ``none`` does without.
        BUILTIN,
        BUILTIN_TEXT,
    )

    line = f"{identity['model']} ({console.format_count(reference.parameters)} parameters"
    if identity["model"] == BUILTIN:
        line += f", English, trained on {BUILTIN_TEXT}) — for real work name a larger one: --model {LARGER}"
    else:
        line += f", {identity['architecture']})"
    console.say("reference", line)
    if len(reference.devices) > 1:
        console.say("devices", ", ".join(reference.devices))
    console.say("self-check", reference.check_line)
    for note in reference.notes:
        console.say("", note)
