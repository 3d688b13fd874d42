#!/bin/bash
#SBATCH --job-name=curate-ray
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=12:00:00
#SBATCH --output=curate-ray-%j.log
# One Ray over all nodes of the job; the command runs on the first. Needs Ray 2.49 or newer: pip install 'curate[ray]'.
set -euo pipefail
: "${CORPUS:=/shared/corpus}" "${RUN:=/shared/run}" "${MODEL:=builtin}"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus 8 -- \
    curate score "$CORPUS" --run "$RUN" --model "$MODEL" --engine ray --address auto --workers 64 --gpus-per-worker 1 --cpus-per-worker 8
