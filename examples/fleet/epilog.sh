#!/bin/bash
# A Slurm Epilog: after each job that had GPUs, ten seconds show whether Vulkan still maps memory. In slurm.conf:
#   Epilog=/etc/slurm/epilog.d/vkmapctl.sh
# Any other status than 0 drains the node, so that only the driver may cause it: a mistake in this file must not drain
# a cluster. No scontrol in here: slurmctld may be waiting for this very script.
export PATH=/opt/vkmapctl/bin:/usr/bin:/bin

[ -n "${SLURM_JOB_GPUS:-}${CUDA_VISIBLE_DEVICES:-}" ] || exit 0

# --kill-after: a driver that hangs in the kernel may not hold the node for ever either.
told=$(timeout --kill-after=5 50 vkmapctl probe --device all --require map2 --no-color 2>&1)
code=$?
case $code in
    3 | 4 | 6 | 124 | 137) # no driver or GPU, a call failed, it died, it hung
        logger -t vkmapctl "job ${SLURM_JOB_ID:-?}: probe exited with $code: $(tail -n 3 <<<"$told" | tr '\n' ' ')"
        exit 1
        ;;
esac
exit 0
