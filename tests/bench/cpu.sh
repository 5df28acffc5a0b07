#!/bin/sh
# The CPU load beside a bare FMA loop, OpenBLAS (numpy) and FIRESTARTER, interleaved.
#
#   tests/bench/cpu.sh [VENV]        from anywhere; VENV is made if it isn't there (default:
#                                    a temporary folder)
#   ROUNDS=9  SECONDS_EACH=1  THREADS=<all cores>  N=4096
#   FIRESTARTER_DIR=<folder with a FIRESTARTER binary, or its source with a build folder>
#   FIRESTARTER_ARGS=<e.g. "-i 23"; its default function otherwise>
#
# Rounds are kept as JSON lines in OUT (default: a temporary file, named at the end).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=${ROUNDS:-9}
threads=${THREADS:-$(nproc)}
venv=${1:-$(mktemp -d)/venv}
out=${OUT:-$(mktemp)}
: > "$out"

# A kernel forced by the environment would measure OpenBLAS at half its speed.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS OMP_NUM_THREADS || true

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import numpy' 2>/dev/null || "$venv/bin/pip" install --quiet numpy
(cd "$root" && cargo build --quiet --release -p system-tests --bin bench-cpu)
bench=${CARGO_TARGET_DIR:-$root/target}/release/bench-cpu

firestarter=
if [ -n "${FIRESTARTER_DIR:-}" ]; then
    firestarter=$(find "$FIRESTARTER_DIR" -type f -name 'FIRESTARTER*' -perm -u+x | head -n 1)
fi

# FIRESTARTER's figure is its own estimate: iterations times the flops of its loop.
firestarter_round() {
    # shellcheck disable=SC2086
    gflops=$("$firestarter" -t 8 -n "$threads" ${FIRESTARTER_ARGS:-} 2>&1 |
        sed -n 's/^estimated floating point performance: \([0-9.]*\).*/\1/p')
    [ -z "$gflops" ] || printf '{"name":"firestarter","round":%s,"value":%s}\n' "$1" "$gflops"
}

round=1
while [ "$round" -le "$rounds" ]; do
    echo "round $round of $rounds" >&2
    "$bench" --json --rounds 1 --first-round "$round" --threads "$threads" \
        --seconds "${SECONDS_EACH:-1}" 2>/dev/null >> "$out"
    "$venv/bin/python" "$here/gemm.py" "$round" "${N:-4096}" "$threads" >> "$out"
    [ -z "$firestarter" ] || firestarter_round "$round" >> "$out"
    round=$((round + 1))
done

echo "GFLOP/s (gbps: GB/s; _cpu: by processor time, for a busy machine), $threads threads, load average $(cut -d' ' -f1 /proc/loadavg)"
"$venv/bin/python" "$here/ratios.py" \
    ours_fp64:bare_fp64 ours_fp32:bare_fp32 ours_fp64:dgemm ours_fp32:sgemm \
    ours_fp64_cpu:bare_fp64_cpu ours_fp32_cpu:bare_fp32_cpu \
    ours_fp64_cpu:dgemm_cpu ours_fp32_cpu:sgemm_cpu ours_mix_cpu:bare_fp64_cpu \
    ours_mix:bare_fp64 ours_mix:firestarter ours_fp64:firestarter < "$out"
[ -n "$firestarter" ] || echo "FIRESTARTER: not measured (FIRESTARTER_DIR names no binary)"
echo "rounds: $out"
