#!/bin/bash
# Runs cluster-local.yaml for real: `ray up` brings two machines together by SSH, and a search is
# submitted to them as its first lines say. As root, on Debian, with gan-tune[cluster] installed:
#
#     apt-get install openssh-server rsync iproute2 && pip install hatchling
#     PATH=/path/to/venv/bin:$PATH bash deploy/try_launcher.sh
#
# The machines are namespaces of this one, with processes, addresses, /tmp and homes of their own.
# There is no container in them: what `docker` and its run_options say is left out of the file, and
# each shell gets the same variables of Ray and the token's place.
set -euo pipefail

HEAD=10.77.0.10 WORKER=10.77.0.11 HERE=10.77.0.1
root=$(realpath "$(dirname "$0")/..")
apart=(unshare --pid --fork --kill-child --mount --mount-proc --net --uts)

# A copy of a folder that only this namespace sees.
own() {
    mkdir -p "$lab/$1$2" "$lab/$1$2.work"
    mount -t overlay overlay -o "lowerdir=$2,upperdir=$lab/$1$2,workdir=$lab/$1$2.work" "$2"
}

case "${1:-}" in
'')
    exec "${apart[@]}" bash "$0" lab
    ;;
machine) # ADDRESS LINK LAB
    address=$2 link=$3 lab=$4
    until ip link show "$link" >/dev/null 2>&1; do sleep 0.1; done
    hostname "$link"
    ip link set lo up
    ip address add "$address/24" dev "$link"
    ip link set "$link" up
    ip route add default via "$HERE" # Ray asks for the way out to learn its own address
    own "$link" "$HOME"
    own "$link" /etc
    venv=$(dirname "$(dirname "$(command -v ray)")")
    case $venv in "$HOME"/*) ;; *) own "$link" "$venv" ;; esac
    mkdir -p /mnt/shared
    mount --bind "$lab/shared" /mnt/shared
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /home
    mkdir -p /run/sshd "$HOME/.ssh" /home/ray
    cp "$lab/key.pub" "$HOME/.ssh/authorized_keys"
    # The lab's folder lies in /tmp, and is mounted again below the machine's own.
    mkdir /run/lab
    mount --bind "$lab" /run/lab
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    # The launcher's shells read this last.
    cat >>"$HOME/.bashrc" <<PROFILE
export PATH=$PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/run/gan-tune/ray_auth_token
export RAY_USAGE_STATS_ENABLED=0 PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0
export PIP_ROOT_USER_ACTION=ignore
PROFILE
    exec /usr/sbin/sshd -D -e -f /dev/null -h /run/lab/hostkey -o UsePAM=no \
        -o PermitRootLogin=prohibit-password -o StrictModes=no
    ;;
esac

lab=$(mktemp -d /tmp/gan-tune-lab-XXXXXX)
leave() {
    code=$?
    [ $code = 0 ] || tail -n 40 "$lab"/*.log
    jobs -p | xargs -r kill
    cd /
    umount --lazy "$HOME"
    rm -rf "$lab"
    exit $code
}
trap leave EXIT
ip link set lo up
ip link add name lab type bridge
ip address add "$HERE/24" dev lab
ip link set lab up
mkdir "$lab/shared"
own here "$HOME"
rm -rf "$HOME/.ray" "$HOME/.ssh"
mkdir -m 700 "$HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$lab/key"
ssh-keygen -q -t ed25519 -N '' -f "$lab/hostkey"
for one in "$HEAD machine0" "$WORKER machine1"; do
    read -r address link <<<"$one"
    "${apart[@]}" bash "$0" machine "$address" "$link" "$lab" >"$lab/$link.log" 2>&1 &
    ip link add name "$link-out" type veth peer name "$link"
    ip link set "$link-out" master lab
    ip link set "$link-out" up
    until inside=$(pgrep -P $!); do sleep 0.1; done
    ip link set "$link" netns "$inside"
done

cd "$root"
export RAY_USAGE_STATS_ENABLED=0
python - "$lab" "$HEAD" "$WORKER" >"$lab/cluster.yaml" <<'PYTHON'
import sys
import yaml

lab, head, worker = sys.argv[1:]
with open("deploy/cluster-local.yaml") as file:
    cluster = yaml.safe_load(file)
del cluster["docker"]
cluster["provider"] |= {"head_ip": head, "worker_ips": [worker]}
cluster["auth"] = {"ssh_user": "root", "ssh_private_key": f"{lab}/key"}
yaml.safe_dump(cluster, sys.stdout)
PYTHON

ray get-auth-token --generate >/dev/null
export RAY_AUTH_MODE=token RAY_UP_enable_autoscaler_v2=0
ray up -y --no-config-cache "$lab/cluster.yaml"
ray dashboard --no-config-cache "$lab/cluster.yaml" >"$lab/dashboard.log" 2>&1 &
mkdir "$lab/project"
cp deploy/tiny.yaml "$lab/project"
cd "$lab/project"
both=$((2 * $(nproc))).0
for _ in $(seq 30); do
    seen=$(ray exec --no-config-cache "$lab/cluster.yaml" 'ray status' 2>&1)
    grep -q "/$both CPU" <<<"$seen" && break
    sleep 2
done
grep "/$both CPU" <<<"$seen" # both machines
gan-tune submit tiny.yaml --address http://127.0.0.1:8265 --storage /mnt/shared/runs --offline
gan-tune status tiny --address http://127.0.0.1:8265
ray down -y "$lab/cluster.yaml"
