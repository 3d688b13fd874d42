"""Watching a training: held-out text scored by the model in training, into run directories, logs and flags.

import curate
from transformers import Trainer

watch = curate.PerplexityCallback("heldout.jsonl", within="domain", every=500, save="runs/x")
Trainer(model, arguments, train_dataset=data, processing_class=tokenizer, callbacks=[watch]).train()
watch.series.flags
"""
