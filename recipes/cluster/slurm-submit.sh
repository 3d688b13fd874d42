#!/bin/bash
# On the login node: scores, then hits, each an array and a job behind it. CORPUS, EVALS, RUN and MODEL go along.
set -euo pipefail
cd "$(dirname "$0")"
export CORPUS EVALS RUN MODEL

scores=$(sbatch --parsable slurm-array.sh)
scored=$(sbatch --parsable --dependency=afterok:"$scores" slurm-close.sh score)
hits=$(sbatch --parsable --dependency=afterok:"$scored" slurm-hits.sh)
sbatch --parsable --dependency=afterok:"$hits" slurm-close.sh hits
