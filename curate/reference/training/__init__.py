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

from curate.reference.training.config import TrainingConfig, TrainingRun
from curate.reference.training.train import train

__all__ = ["TrainingConfig", "TrainingRun", "train"]
