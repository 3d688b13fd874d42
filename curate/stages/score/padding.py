"""The length to which evaluate pads texts: that of the longest of the corpus, as far as the model reads it.

Where a tokenizer pads on the left, as that of a Llama does, the padding changes evaluate's numbers: a text begins
farther from its BOS, and its first token is predicted from padding. So does the longest text of a corpus.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from curate.reference.checkpoints.no_model import NAME as NO_MODEL
from curate.reference.protocol import ScoringConfig
from curate.runtime import console

if TYPE_CHECKING:
    from curate.corpus import Corpus


def measure_padding(corpus: "Corpus", model: str, config: ScoringConfig) -> ScoringConfig:
    """Return a config with what evaluate would pad the texts of a corpus to, which is read for that.

    Under another convention, or for a tokenizer that pads on the right, return the config as it is. Raises what loading
    a tokenizer and reading a corpus raise.
    """
    texts = ([text for text in documents.texts if text] for documents in corpus.slices())
    return find_padding(texts, model, config)


def find_padding(batches: Iterable[Sequence[str]], model: str, config: ScoringConfig) -> ScoringConfig:
    """Return a config with what evaluate would pad these texts to; it reads no farther than to the first that is cut.

    Raises what loading a tokenizer raises.
    """
    if config.convention != "evaluate" or model == NO_MODEL:
        return config
    from curate.reference.checkpoints.checkpoint import open_without_weights
    from curate.reference.conventions.readings import choose_reading

    checkpoint = open_without_weights(model, config.revision, config.trust_remote_code)
    reading = choose_reading(checkpoint, config)
    if not reading.frame.pads_left:
        return config
    encoder, most, longest = checkpoint.encoder, reading.policy.max_tokens, 0
    if reading.frame.control_tokens:
        encoder = encoder.obeying_control_tokens()
    assert most is not None
    for texts in batches:
        longest = min(most, max([longest, *map(len, encoder.encode(texts))]))
        if longest == most:
            break
    console.say("padding", f"on the left to {longest:,} tokens, as evaluate pads texts for this tokenizer")
    return replace(config, padded_to=longest)
