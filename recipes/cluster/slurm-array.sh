#!/bin/bash
#SBATCH --job-name=curate-part
#SBATCH --array=0-63
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=curate-%A_%a.log
# One task of an array: it scores its share of the files. A task that is killed or preempted is queued again, and goes on.
set -euo pipefail
: "${CORPUS:=/shared/corpus}" "${RUN:=/shared/run}" "${MODEL:=builtin}"
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

srun curate score "$CORPUS" --run "$RUN" --model "$MODEL" --part auto
