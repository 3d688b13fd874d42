#!/bin/sh
# Train the builtin reference model again, from the reference corpus (a folder of jsonl.zst) named as the argument:
#
#     recipes/train-builtin.sh CORPUS [OUT] [MINUTES]
#
# Stopped, the same command goes on. When it is done, copy OUT's config.json, model.safetensors, tokenizer.json,
# and tokenizer_config.json over curate/reference/builtin/, and bring the figures of its card up to date.
set -eu
corpus=${1:?usage: recipes/train-builtin.sh CORPUS [OUT] [MINUTES]}
curate train-reference "$corpus" --out "${2:-builtin-out}" --minutes "${3:-56}" \
    --vocabulary 8192 --context 1024 --width 256 --layers 4 --heads 4 --batch-tokens 4096 \
    --matrix-rate 0.02 --vector-rate 0.006 --document-tokens 1024
