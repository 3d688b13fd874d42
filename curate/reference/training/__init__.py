"""A reference model from the user's own text: tokenizer, small Llama, packed training, held-out bits per byte.

    texts ──► tokenizer ──► tokens on disk ──► windows, packed ──► Muon + AdamW, decayed to zero ──► a folder
                                                                                                     for transformers

What always holds:

- One special token, ``<|endoftext|>``, comes before every document, where a scorer puts its prefix, and after it.
- A document is cut into windows of ``context`` inputs, each predicting as many tokens; a later window sees the last
  token before it. These are the windows of the scorer. They are packed together, and attention never crosses from
  one into the next.
- The learning rate follows the share of the budget that is spent (time or tokens): a linear warm-up, then a straight
  line to zero (Bergsma et al. 2025, arXiv 2502.15938).
- The result depends only on the ``TrainingConfig``, the corpus and the checkpoint, so that under a budget of tokens a
  stopped training ends with the same weights as one that was not stopped.

    from pathlib import Path
    from curate.reference.training import TrainingConfig, train

    run = train(lambda: iter(texts), Path("model"), TrainingConfig(minutes=30), provenance={})

Modules, each importing only from those before it: tokenizer, token_cache, packs, config, model, loss, muon, train_step,
held_out, output_folder, budget, train.
"""

from curate.reference.training.config import TrainingConfig, TrainingRun, rate_at
from curate.reference.training.held_out import measure_bits_per_byte, split_held_out
from curate.reference.training.loss import HeadLoss
from curate.reference.training.model import build_model, read_pack
from curate.reference.training.muon import Muon, orthogonalise
from curate.reference.training.output_folder import WORK, save_checkpoint
from curate.reference.training.packs import (
    BLOCK,
    Windows,
    balance_windows,
    cut_windows,
    make_pack,
    make_packs,
    shuffle_order,
    take_spans,
)
from curate.reference.training.token_cache import EncodedCorpus, encode_corpus, open_encoded
from curate.reference.training.tokenizer import END, END_OF_TEXT, sample_texts, token_bytes, train_tokenizer
from curate.reference.training.train import train
from curate.reference.training.train_step import Trainer, learn_packs, make_trainer, make_workers

__all__ = [
    "BLOCK",
    "END",
    "END_OF_TEXT",
    "WORK",
    "EncodedCorpus",
    "HeadLoss",
    "Muon",
    "Trainer",
    "TrainingConfig",
    "TrainingRun",
    "Windows",
    "balance_windows",
    "build_model",
    "cut_windows",
    "encode_corpus",
    "learn_packs",
    "make_pack",
    "make_packs",
    "make_trainer",
    "make_workers",
    "measure_bits_per_byte",
    "open_encoded",
    "orthogonalise",
    "rate_at",
    "read_pack",
    "sample_texts",
    "save_checkpoint",
    "shuffle_order",
    "split_held_out",
    "take_spans",
    "token_bytes",
    "train",
    "train_tokenizer",
]
