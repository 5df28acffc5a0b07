#!/bin/sh
# Checks and measures the GPU side on a machine with an NVIDIA driver and no network, in less
# than eight minutes. Give it the folder of release binaries (default: target/release):
#   cargo build --release -p cli -p agent && cargo build --release -p system-tests --bin bench-gpu
#   tests/gpu/run.sh target/release
# Raw results go to tests/gpu/results; a table comes last. Exits with 2 where there is no GPU.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:-$here/../../target/release}
out=$here/results
stamp=$(date -u +%Y%m%dT%H%M%SZ)
for binary in bench-gpu loadbank; do
    if [ ! -x "$bin/$binary" ]; then
        echo "run.sh: no $binary in $bin: build it first (see the head of this script)" >&2
        exit 4
    fi
done
work=$(mktemp -d) || exit 4
trap 'rm -rf "$work"' EXIT INT TERM

timeout 240 "$bin/bench-gpu" 5 >"$work/bench.json" 2>"$work/bench.log"
bench=$?
if [ "$bench" -eq 2 ]; then
    cat "$work/bench.log" >&2
    exit 2
fi
timeout 200 "$bin/loadbank" local --json --plan "$here/local.toml" --state-dir "$work/state" \
    >"$work/local.json" 2>"$work/local.log"
local=$?

mkdir -p "$out" || exit 4
driver=$(cat /sys/module/nvidia/version 2>/dev/null || echo unknown)
{
    printf '{"date":"%s","driver":"%s","command":"tests/gpu/run.sh",' "$stamp" "$driver"
    printf '"bench_exit":%s,"local_exit":%s,"bench":' "$bench" "$local"
    if [ -s "$work/bench.json" ]; then cat "$work/bench.json"; else printf null; fi
    printf ',"local":'
    if [ -s "$work/local.json" ]; then cat "$work/local.json"; else printf null; fi
    printf '}\n'
} >"$out/$stamp.json"
tail -n 3 "$work/local.log"
echo "--- one line a measurement"
cat "$work/bench.log"
echo "--- exit codes: bench-gpu $bench, loadbank local $local; raw results: $out/$stamp.json"
[ "$bench" -eq 0 ] && [ "$local" -eq 0 ]
