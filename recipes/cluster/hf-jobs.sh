#!/bin/bash
# Jobs of Hugging Face: no array and no shared disk. Each job works in a run of its own on its local disk, and copies what
# it has into one folder of a bucket; parts have the same names and bytes wherever they are made. "hf-jobs.sh parts"
# starts the jobs, "hf-jobs.sh close" the one that completes, once "hf jobs ps" shows that they have ended.
set -euo pipefail
: "${IMAGE:=registry.example/curate:0.1}" "${BUCKET:=me/curate}" "${DATASET:=me/corpus}" "${MODEL:=builtin}" "${PARTS:=16}"
: "${FLAVOR:=l4x1}" "${HF:=hf}"

volumes=(-v "hf://datasets/$DATASET:/corpus" -v "hf://buckets/$BUCKET:/bucket")
fetch='mkdir -p /tmp/run /bucket/run && cp -r /bucket/run/. /tmp/run/'
keep='rm -f /tmp/run/reading.json && cp -r /tmp/run/. /bucket/run/'      # the state of the files on that machine

case "${1:-parts}" in
    parts)
        for index in $(seq 0 $((PARTS - 1))); do
            score="curate score /corpus --run /tmp/run --model $MODEL --part $index/$PARTS"
            "$HF" jobs run --detach --flavor "$FLAVOR" --timeout 6h "${volumes[@]}" "$IMAGE" \
                bash -c "$fetch && $score; code=\$?; $keep; exit \$code"
        done
        ;;
    close)
        score="curate score /corpus --run /tmp/run --model $MODEL"
        "$HF" jobs run --flavor cpu-upgrade --timeout 6h "${volumes[@]}" "$IMAGE" \
            bash -c "$fetch && $score; code=\$?; $keep; [ \$code -eq 3 ] || exit \$code"      # 3: some rows could not be read
        ;;
esac
