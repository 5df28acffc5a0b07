#!/usr/bin/env bash
# The data plane beside its peers: iperf3, PyTorch's gloo, OpenMPI, a bare ping-pong.
#
# usage: peers.sh [DIR]      (DIR keeps the peers between runs; default: a temporary one)
#   ROUNDS=9 SIZES=1048576,67108864 CONGESTION=reno SECONDS_EACH=2
#   RING_FLAGS="--buffer 0"   flags of our all-reduce: here, socket buffers as the kernel
#                             tunes them instead of the product's own
#
# Everybody runs in one network namespace of its own with the same congestion control, one
# after another within each round, so that a busy machine is equally busy for all. What
# can't be installed or is not permitted is SKIPPED with its reason.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=${1:-$(mktemp -d)}
rounds=${ROUNDS:-9}
sizes=${SIZES:-1048576,67108864}
congestion=${CONGESTION:-reno}
seconds=${SECONDS_EACH:-2}
ranks=4
disk_gb=7 # the wheel of torch brings its CUDA libraries along, unpacked about 5.4 GB
mkdir -p "$dir"

skip() { echo "SKIPPED: $*" >&2; }

[ "$(id -u)" = 0 ] || { skip "network namespaces need root"; exit 0; }
space=lbpeers-$$
ip netns add "$space" 2>"$dir/netns.log" || { skip "no network namespace: $(cat "$dir/netns.log")"; exit 0; }
trap 'ip netns del "$space"' EXIT
ip -n "$space" link set lo up
inside() { timeout 300 ip netns exec "$space" "$@"; }
inside sysctl -qw net.ipv4.tcp_congestion_control="$congestion" 2>/dev/null ||
    skip "congestion control $congestion is not allowed here"
echo "congestion control: $(inside cat /proc/sys/net/ipv4/tcp_congestion_control)" >&2

have() { command -v "$1" >/dev/null; }
if ! have iperf3 || ! have mpicc; then
    apt-get install -y iperf3 openmpi-bin libopenmpi-dev >"$dir/apt.log" 2>&1 || skip "apt-get failed, see $dir/apt.log"
fi
python=$dir/venv/bin/python
if ! [ -x "$python" ] || ! "$python" -c 'import torch' 2>/dev/null; then
    if [ "$(df --output=avail -BG "$dir" | tail -1 | tr -dc 0-9)" -lt "$disk_gb" ]; then
        skip "torch needs $disk_gb GB of disk in $dir"
    else
        { python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install -q torch numpy; } >"$dir/pip.log" 2>&1 ||
            skip "pip failed, see $dir/pip.log"
    fi
fi
if have mpicc; then mpicc -O2 -o "$dir/mpi_bench" "$here/mpi_bench.c"; fi
cargo build --release -q --manifest-path "$root/Cargo.toml" -p system-tests --bin bench-fabric
ours=$root/target/release/bench-fabric

lines=$dir/lines.json
: >"$lines"
# keep WHO ROUND: adds who and which round to JSON lines.
keep() { sed -n "s/^{\(.*\)}\$/{\"who\":\"$1\",\"at\":$2,\1}/p" >>"$lines"; }

iperf() { # LENGTH
    inside iperf3 -s -1 -D --logfile /dev/null
    sleep 0.3
    inside iperf3 -c 127.0.0.1 -t "$seconds" -O 0.5 -l "$1" -J |
        python3 -c 'import json,sys; print(json.dumps({"name":"pair_1_one","round":0,"unit":"Gbit/s","value":json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"]/1e9}))'
}

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    # shellcheck disable=SC2086
    inside "$ours" allreduce --ranks $ranks --sizes "$sizes" --rounds 1 --json ${RING_FLAGS:-} 2>/dev/null | keep loadbank "$round"
    if "$python" -c 'import torch' 2>/dev/null; then
        inside "$python" "$here/gloo_bench.py" $ranks "$sizes" $((23000 + round)) 2>/dev/null | keep gloo "$round"
    fi
    if [ -x "$dir/mpi_bench" ]; then
        # shellcheck disable=SC2086
        inside mpirun --allow-run-as-root --oversubscribe --bind-to none -np $ranks \
            --mca btl tcp,self --mca btl_tcp_if_include lo --mca oob_tcp_if_include lo \
            --mca pml ob1 --mca mpi_yield_when_idle 1 "$dir/mpi_bench" ${sizes//,/ } 2>/dev/null | keep openmpi "$round"
    fi
    inside "$ours" pair --seconds "$seconds" --rounds 1 --json 2>/dev/null | keep loadbank "$round"
    if have iperf3; then
        iperf 128K | keep iperf3-128K "$round"
        iperf 256K | keep iperf3-256K "$round"
    fi
    # At the product's pace and ten times as fast: there a sleep between probes costs most.
    for interval_ns in 1000000 100000; do
        inside "$ours" rtt --seconds 1 --rounds 1 --json --interval-ns $interval_ns |
            keep loadbank "$round"
    done
done
python3 "$here/fabric_table.py" "$lines"
