#!/bin/bash
#SBATCH --job-name=curate-hits
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=curate-hits-%A_%a.log
# One task of an array: it searches its share of the scored corpus for eval items. No GPU is needed.
set -euo pipefail
: "${EVALS:=/shared/evals}" "${RUN:=/shared/run}"
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

srun curate decontaminate "$EVALS" --run "$RUN" --part auto
