#!/bin/bash
# sbatch examples/distributed/slurm.sh
#
# One process a machine, each on all its GPUs. Two minutes before the time is over, Slurm
# sends SIGTERM: the training saves a checkpoint, and the same command resumes it.
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --signal=TERM@120

workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd,)
export WORKERS=$workers
# Every process has its own number, so that TF_CONFIG is composed in each of them.
srun --kill-on-bad-exit bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec mirrorgan train --recipe=coco --strategy=multi_worker'
