#!/bin/bash
# Runs search.sbatch for real, on a SLURM of one node that lives only for that. As root, on Debian:
#
#     apt-get install slurm-wlm munge
#     PATH=/path/to/venv/bin:$PATH bash deploy/slurm/try.sh
#
# It runs in namespaces of its own, so that it meets no other SLURM or Ray of the machine.
set -euo pipefail

if [ "${1:-}" != inside ]; then
    exec unshare --pid --fork --kill-child --mount --mount-proc --net --uts bash "$0" inside
fi
hostname localhost
ip link set lo up
# With loopback alone, names are not resolved for SLURM (AI_ADDRCONFIG).
ip link add name one type veth peer name other
ip address add 192.0.2.1/24 dev one
ip link set one up
script=$(realpath "$(dirname "$0")/search.sbatch")
here=$(mktemp -d /tmp/gs-XXXXXX)
mount -t tmpfs tmpfs /run
mkdir -p "$here/state" "$here/spool" /run/munge
chown -R munge: /run/munge
trap 'rm -rf "$here"' EXIT

cat >"$here/slurm.conf" <<CONF
ClusterName=trial
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd.log
NodeName=localhost CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES State=UP
CONF
cp "$(dirname "$script")/../tiny.yaml" "$here/space.yaml"

export SLURM_CONF=$here/slurm.conf
runuser -u munge -- munged --force
slurmctld
slurmd
cd "$here"
code=0
sbatch --wait --nodes=1 --cpus-per-task="$(nproc)" --gpus-per-node=0 --output=job.log \
    "$script" space.yaml tiny --offline || code=$?
cat job.log
[ $code = 0 ] || tail -n 20 slurmctld.log slurmd.log
exit $code
