#!/bin/sh
# Every decoder against a coverage-guided fuzzer: tests/fuzz/run.sh [SECONDS] [TARGET...]
#
# SECONDS (default 600) are of each target. Needs a C++ compiler and no nightly toolchain: the
# counters are LLVM's own, asked for by stable flags. What crashes lies in target/fuzz/crashes,
# the corpus in target/fuzz/corpus; a line a target is printed last.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-600}
[ $# -gt 0 ] && shift
targets=${*:-documents tables columns wire records spool run_file journal words}
out="$root/target/fuzz"
triple=$(rustc -vV | sed -n 's/^host: //p')

# libFuzzer's counters and comparisons in every crate; --target keeps them out of build scripts.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
    cargo build --locked --release --manifest-path "$here/Cargo.toml" --target "$triple" \
    --target-dir "$out" --bins
bin="$out/$triple/release"
mkdir -p "$out/crashes"
"$bin/seeds" "$root" "$out/corpus"

failed=0
for target in $targets; do
    log="$out/$target.log"
    # A decoder may take a gigabyte or ten seconds for nothing that fits into 64 KiB.
    if "$bin/$target" "$out/corpus/$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$out/crashes/$target-" \
        >"$log" 2>&1; then
        verdict=clean
    else
        verdict=CRASHED
        failed=1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
    printf '%-10s %-7s %s s, %s inputs, %s edges covered\n' \
        "$target" "$verdict" "$seconds" "${runs:-?}" "${covered:-?}"
done
rm -rf /dev/shm/loadbank-fuzz-*
exit $failed
