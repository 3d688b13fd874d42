"""Scores of texts by a reference model, and by a naive loop to compare with."""

import numpy as np
import torch

from curate.reference.likelihood import Passage

TEXTS = [
    "hello world",
    "a",
    "Größe 東京 🙂 and some plain words after it",
    "def f(x):\n    return x + 1\n" * 5,
    "x y z <|endoftext|> next " * 5,
    "the same words again and again " * 40,  # several windows of 64
]


def naive(place, texts, window, prefix=0, overlap=0, prefix_each=False):
    """Nats of each text, one window at a time, full logits, fp32, the model's own (eager) attention."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(place)  # some model types bring a tokenizer of their own over the file's
    found = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        sequence = ([] if prefix is None else [prefix]) + ids
        total, at = 0.0, 1
        while at < len(sequence):
            begin = max(0, at - 1 - overlap) if at > 1 else 0
            end = min(len(sequence), begin + window + 1)
            read = sequence[begin : end - 1]
            if prefix_each and begin > 0:
                read = [prefix, *read[1:]]
            with torch.no_grad():
                logs = model(torch.tensor([read])).logits[0].float().log_softmax(-1)
            for position in range(at, end):
                total -= float(logs[position - 1 - begin, sequence[position]])
            at = end
        found.append(total)
    return np.array(found)


def score(reference, texts):
    (found,) = reference.score([[Passage(text) for text in texts]])
    return found
