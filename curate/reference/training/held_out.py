"""Held-out text: which documents are kept out of a training, and the model's bits per byte on them.

Shapes: T tokens of a pack, D width.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from curate.errors import CorpusError
from curate.reference.training.config import TrainingConfig
from curate.reference.training.loss import target_nats
from curate.reference.training.model import read_pack
from curate.reference.training.packs import Windows, make_pack, take_spans
from curate.reference.training.token_cache import EncodedCorpus
from curate.reference.training.tokenizer import END, hash_text
from curate.runtime.arrays import Int64Array, UInt64Array

MEASURED_DOCUMENTS = 128
"""Held-out documents that are measured, at most."""


def is_held_out(text: str, config: TrainingConfig) -> bool:
    """Return whether a text is kept out of the training, the tokenizer's too; blank ones are."""
    every = config.held_out_every
    chosen = every > 0 and hash_text(text) % every == 0
    return chosen or not text.strip()


def split_held_out(hashes: UInt64Array, every: int) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the documents to learn from and of those kept out, by hash: copies go to one side.

    With ``every`` 0 nothing is kept out; otherwise at least the document of smallest hash is.
    """
    if every == 0:
        return np.arange(len(hashes)), np.arange(0)
    out = hashes % np.uint64(every) == 0
    if not out.any():
        out = hashes == hashes.min()
    return np.flatnonzero(~out), np.flatnonzero(out)


def choose_measured(encoded: EncodedCorpus, kept_out: Int64Array) -> list[Int64Array]:
    """Return the ids of the documents to measure: of those kept out, up to ``MEASURED_DOCUMENTS`` of smallest hash."""
    chosen = kept_out[np.argsort(encoded.hashes[kept_out], kind="stable")][:MEASURED_DOCUMENTS]
    return [np.array(encoded.document(int(index)), dtype=np.int64) for index in chosen]


def encode_texts(texts: Iterable[str], tokenizer: Tokenizer, most: int = 2000) -> list[Int64Array]:
    """Return the ids of the first ``most`` texts that are not blank, each after the prefix token.

    Raises CorpusError where no text is left.
    """
    tokenizer.encode_special_tokens = True
    first = list(islice((text for text in texts if text.strip()), most))
    if not first:
        raise CorpusError("the held-out set has no text")
    return [np.array([END, *encoding.ids]) for encoding in tokenizer.encode_batch_fast(first, add_special_tokens=False)]


@torch.no_grad()
def measure_bits_per_byte(
    model: LlamaForCausalLM, documents: Sequence[Int64Array], sizes: Int64Array, dtype: torch.dtype, room: int
) -> float:
    """Return nats over ln 2 times bytes, both summed over the first window of each document.

    ``documents`` are ids that begin with the prefix token; what follows is predicted, apart from a closing
    ``<|endoftext|>``. ``sizes`` are the bytes of each token, by id. ``room`` is the number of tokens of a forward pass.
    NaN when no byte is predicted.
    """
    device = str(model.device)
    window = model.config.max_position_embeddings
    texts = [document[: window + 1] for document in documents]
    texts = [text[:-1] if len(text) > 1 and text[-1] == END else text for text in texts]
    texts = [text for text in texts if len(text) > 1]
    if not texts:
        return math.nan
    ids = np.concatenate(texts)
    ends = np.cumsum([len(text) for text in texts])
    windows = Windows(ends - [len(text) for text in texts], ends - 1)
    nats = 0.0
    for first in range(0, windows.num_positions, room):
        pack = make_pack(ids, *take_spans(windows, np.arange(len(texts)), first, first + room), device)
        hidden_TD = read_pack(model, pack, dtype)
        nats += float(target_nats(hidden_TD, model.lm_head.weight, pack.targets).double().sum())
    return nats / (math.log(2) * int(sizes[ids].sum()))
