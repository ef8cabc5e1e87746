#!/bin/bash
# Sixteen replicas as a Slurm array: sbatch slurm_array.sh; afterwards: python replica.py --average --output ensemble
#SBATCH --job-name=so3krates
#SBATCH --array=0-15
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output=replica_%a.log
# For a GPU each: add --gres=gpu:1 and, after the options of the run, --platform CUDA.
# TERM comes two minutes before the time is up: the run writes a checkpoint and ends, and submitting the script again
# goes on from there.
set -euo pipefail
here=${SLURM_SUBMIT_DIR:-.}
python "$here/replica.py" "$here/../ac_ala3_nhme.pdb" --output "$here/ensemble" \
    --replica "${SLURM_ARRAY_TASK_ID:-0}" --replicas "${SLURM_ARRAY_TASK_COUNT:-1}" --temperature 300 --hottest 450 \
    -- --time 1ns --save-every 0.5ps --threads "${SLURM_CPUS_PER_TASK:-1}" &
child=$!
trap 'kill -TERM "$child"' TERM
wait "$child" || wait "$child"
