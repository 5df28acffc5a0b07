#!/bin/sh
# Checks and measures the GPU side on a machine with an NVIDIA driver and no network, in less
# than eight minutes. Give it the folder of release binaries (default: target/release):
#   cargo build --release -p cli -p agent && cargo build --release -p system-tests --bin bench-gpu
#   tests/gpu/run.sh target/release
# cuBLAS and NCCL are measured where the loader, LOADBANK_CUBLAS_LIBRARY or
# LOADBANK_NCCL_LIBRARY find them. Raw results go to tests/gpu/results (or LOADBANK_BENCH_OUT);
# a table comes last. Exits with 2 where there is no GPU. A second argument below 3 (seconds a
# rate; default 3) makes it a rehearsal, LOADBANK_BENCH_PLAN takes another plan's place.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:-$here/../../target/release}
seconds=${2:-3}
plan=${LOADBANK_BENCH_PLAN:-$here/local.toml}
nccl_plan=${LOADBANK_BENCH_NCCL_PLAN:-$here/nccl.toml}
out=${LOADBANK_BENCH_OUT:-$here/results}
stamp=$(date -u +%Y%m%dT%H%M%SZ)
for binary in bench-gpu loadbank loadbank-agent; do
    if [ ! -x "$bin/$binary" ]; then
        echo "run.sh: no $binary in $bin: build it first (see the head of this script)" >&2
        exit 4
    fi
done
work=$(mktemp -d) || exit 4
children=
# Whatever ends this script ends what it started, and nothing else.
finish() {
    for child in $children; do kill "$child" 2>/dev/null; done
    children=
}
trap 'finish; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

timeout 230 "$bin/bench-gpu" measure "$seconds" >"$work/bench.json" 2>"$work/bench.log"
bench=$?
if [ "$bench" -eq 2 ]; then
    cat "$work/bench.log" >&2
    exit 2
fi
timeout 130 "$bin/loadbank" local --json --agents 1 --plan "$plan" --state-dir "$work/state" \
    >"$work/local.json" 2>"$work/local.log"
local=$?

# A collective over NCCL by so many agents on one GPU: NCCL takes several ranks on one GPU from
# 2.30 on where it is told to; older ones take them where each believes in a host of its own.
nccl() {
    ranks=$1
    port=$((20000 + $$ % 20000 + ranks))
    "$bin/loadbank" serve --insecure-loopback --listen "127.0.0.1:$port" \
        --state-dir "$work/nccl$ranks" >"$work/serve$ranks.log" 2>&1 &
    children="$children $!"
    sleep 1
    rank=1
    while [ "$rank" -le "$ranks" ]; do
        NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_HOSTID="host$rank" NCCL_NET=Socket \
            NCCL_SOCKET_IFNAME=lo "$bin/loadbank-agent" --insecure-loopback \
            --coordinator "127.0.0.1:$port" --node "n$rank" --state-dir "$work/n$ranks-$rank" \
            >"$work/agent$ranks-$rank.log" 2>&1 &
        children="$children $!"
        rank=$((rank + 1))
    done
    # Agents ask the driver for its GPUs first: seconds each.
    waited=0
    while [ "$waited" -lt 25 ]; do
        clocks=$("$bin/loadbank" agents --json --insecure-loopback \
            --coordinator "127.0.0.1:$port" 2>/dev/null | grep -o '"offset_us": *[-0-9]' | wc -l)
        [ "$clocks" -ge "$ranks" ] && break
        sleep 1
        waited=$((waited + 1))
    done
    timeout 40 "$bin/loadbank" run "$nccl_plan" --json --insecure-loopback \
        --coordinator "127.0.0.1:$port" >"$work/nccl$ranks.json" 2>"$work/nccl$ranks.log"
    nccl_exit=$?
    finish
}

# A run as a JSON value: its exit code, its report or the last line of what it said.
run_json() {
    if [ -s "$2" ] && [ "$(head -c 1 "$2")" = "{" ]; then
        printf '{"exit":%s,"report":' "$1"
        cat "$2"
        printf '}'
    else
        why=$(tail -n 1 "$3" 2>/dev/null | tr -d '"\\' | tr -cd '[:print:]')
        printf '{"exit":%s,"report":null,"why":"%s"}' "$1" "$why"
    fi
}

nccl 1
one=$nccl_exit
nccl 2
two=$nccl_exit

mkdir -p "$out" || exit 4
driver=$(cat /sys/module/nvidia/version 2>/dev/null || echo unknown)
{
    printf '{"date":"%s","driver":"%s","command":"tests/gpu/run.sh","seconds":%s,' \
        "$stamp" "$driver" "$seconds"
    printf '"bench_exit":%s,"bench":' "$bench"
    if [ -s "$work/bench.json" ]; then cat "$work/bench.json"; else printf null; fi
    printf ',"local":'
    run_json "$local" "$work/local.json" "$work/local.log"
    printf ',"nccl_one_rank":'
    run_json "$one" "$work/nccl1.json" "$work/nccl1.log"
    printf ',"nccl_two_ranks":'
    run_json "$two" "$work/nccl2.json" "$work/nccl2.log"
    printf '}\n'
} >"$out/$stamp.json"
[ "$bench" -eq 0 ] || tail -n 5 "$work/bench.log" >&2
echo "--- exit codes: bench-gpu $bench, loadbank local $local, NCCL $one and $two; raw results: $out/$stamp.json"
"$bin/bench-gpu" table "$out/$stamp.json"
[ "$bench" -eq 0 ] && [ "$local" -eq 0 ]
