#!/usr/bin/env bash
# Sets up .venv, scores the sample corpus with the reference model in the box, takes out eval items, copies and what the
# filter rejects, and loads the result back.
# The run goes to ./curated, the dataset to ./out (or to the folder given). Needs Python 3.11+ and a package index.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-out}

if [ ! -x .venv/bin/curate ]; then
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[verify]"
fi
export PATH="$PWD/.venv/bin:$PATH"

set -x
curate score recipes/sample
curate decontaminate recipes/sample-evals
curate dedup
curate filter --max-ppl 100 --max-bpb 3 --min-zlib 0.2
curate status
curate export "$OUT" --format hf --overwrite
python -c "
import datasets
kept = datasets.load_from_disk('$OUT')['train']
print(kept)
print({name: kept[0][name] for name in ('id', 'domain', 'curate_perplexity', 'curate_bits_per_byte')})
print(kept[0]['text'][:200])
"
