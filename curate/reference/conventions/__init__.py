"""The conventions of other tools: which tokens they put around a text, and which of the tokens they score.

    TextReading(prefix, policy, frame) = read_as(checkpoint, ScoringConfig(convention="lm-eval"))

    lm-eval    loglikelihood_rolling: its prefix token, then what the tokenizer itself adds (a second BOS for a Llama),
               all of it scored; windows that do not overlap, the last one reaching back until it is full
    evaluate   the metric "perplexity": BOS, one window, the rest cut off; texts padded to the longest, on the side of
               the tokenizer, so that on the left a text begins with padding
    hf-guide   the loop of https://huggingface.co/docs/transformers/perplexity: what the tokenizer adds, no prefix,
               windows that begin every 512 tokens and are averaged as the guide averages them

All three obey a control token that a text spells out. ``arguments`` has the settings that the tools have themselves.
"""

from curate.reference.conventions.arguments import ConventionArguments, parse_arguments
from curate.reference.conventions.framing import TextFrame

__all__ = ["ConventionArguments", "TextFrame", "parse_arguments"]
