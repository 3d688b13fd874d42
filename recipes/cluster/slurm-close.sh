#!/bin/bash
#SBATCH --job-name=curate-close
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
#SBATCH --output=curate-close-%j.log
# After an array: the same commands without --part read nothing that is done, check, and complete. With the argument
# score only the scores, with hits only the hits.
set -uo pipefail
: "${CORPUS:=/shared/corpus}" "${EVALS:=/shared/evals}" "${RUN:=/shared/run}" "${MODEL:=builtin}" "${WAIT:=60}"
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

complete() {  # 3: done, some rows could not be read. A task that was lost counts as alive for ten minutes.
    local code=0
    for _ in $(seq 12); do
        code=0
        "$@" || code=$?
        case $code in 0 | 3) return 0 ;; 1) sleep "$WAIT" ;; *) break ;; esac
    done
    return $code
}

case "${1:-score}" in
    score) complete srun curate score "$CORPUS" --run "$RUN" --model "$MODEL" ;;
    hits) complete srun curate decontaminate "$EVALS" --run "$RUN" ;;
esac
