#!/bin/bash
# A nightly sweep, from cron or a systemd timer on a machine that may submit jobs:
#   15 2 * * *  STORE=/shared/vkmapctl /opt/vkmapctl/nightly.sh
# What is silent, failed or odd gets its one second turn; then the dashboard, the page and the exit code follow.
set -u

store=${STORE:?the shared folder that vkmapctl fleet init made}
via=${VIA:-slurm}
textfile=${TEXTFILE:-$store/vkmapctl.prom} # where node_exporter's textfile collector looks
page=${PAGE:-$store/fleet.html}

# 4 is news of some GPU, which a second turn may explain; 2 and 3 say that there was no sweep at all.
vkmapctl fleet run "$store" --via "$via" --quiet -- stress size-sweep
code=$?
case $code in
    0 | 4) ;;
    *) exit "$code" ;;
esac

vkmapctl fleet rerun "$store" --only missing,failed,interrupted,suspect --quiet
vkmapctl fleet export "$store" --format openmetrics --output "$textfile"
vkmapctl fleet export "$store" --format html --output "$page"
vkmapctl fleet outliers "$store" # 5: a suspect, which two runs have found
odd=$?
exit $((code != 0 ? code : odd))
