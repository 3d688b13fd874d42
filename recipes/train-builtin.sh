#!/bin/sh
# Train the builtin reference model again, from a reference corpus (files of documents with a column `domain`):
#
#     recipes/train-builtin.sh CORPUS [OUT] [MINUTES]
#
# Stopped, the same command goes on. When it is done, copy OUT's config.json, model.safetensors, tokenizer.json,
# and tokenizer_config.json over curate/reference/builtin/, and measure it again (benchmarks/builtin.py --card).
# Why this vocabulary, batch and balance: benchmarks/README.md, reference_shapes.py.
set -eu
corpus=${1:?usage: recipes/train-builtin.sh CORPUS [OUT] [MINUTES]}
curate train-reference "$corpus" --out "${2:-builtin-out}" --minutes "${3:-92}" \
    --vocabulary 4096 --context 1024 --width 256 --layers 5 --heads 4 --batch-tokens 8192 \
    --matrix-rate 0.02 --vector-rate 0.006 --document-tokens 1024 --balance domain
