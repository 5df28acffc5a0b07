#!/bin/sh
# The digest (reading and folding) beside DuckDB on the same two cores: per-device, per-phase
# medians of four columns of 1,024 nodes x 8 devices x 1 h at 1 Hz (29.5 million rows).
#
#   tests/bench/digest.sh [DIR]      DIR keeps table and venv between runs (default: a
#                                    temporary folder, removed at the end)
#   ROUNDS=6  NODES=1024  DEVICES=8  SECONDS_EACH=3600   (fewer for a quick run)
#
# Figures are seconds; _cpu is processor time, for a busy machine; rss is MiB at its peak.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -n "${1:-}" ]; then
    dir=$1
    mkdir -p "$dir"
else
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
fi
nodes=${NODES:-1024} devices=${DEVICES:-8} seconds=${SECONDS_EACH:-3600}
table=$dir/samples-$nodes-$devices-$seconds.parquet
venv=$dir/venv

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import duckdb' 2>/dev/null || "$venv/bin/pip" install --quiet duckdb
(cd "$root" && cargo build --quiet --release -p system-tests --bin bench-digest)
bench=${CARGO_TARGET_DIR:-$root/target}/release/bench-digest
cores=$(taskset -cp $$ | sed 's/.*: //; s/-/,/' | cut -d, -f1,2)

if ! [ -s "$table" ]; then
    "$bench" generate "$table.part" --nodes "$nodes" --devices "$devices" --seconds "$seconds"
    mv "$table.part" "$table"
fi
taskset -c "$cores" "$bench" check "$table"

round=1
lines=$dir/rounds.jsonl
: > "$lines"
while [ "$round" -le "${ROUNDS:-6}" ]; do
    echo "round $round of ${ROUNDS:-6}" >&2
    taskset -c "$cores" "$bench" digest "$table" --threads 2 --round "$round" >> "$lines"
    taskset -c "$cores" "$venv/bin/python" "$here/digest_duckdb.py" "$table" "$round" >> "$lines"
    round=$((round + 1))
done
echo "cores $cores, load average $(cut -d' ' -f1 /proc/loadavg), table $(du -m "$table" | cut -f1) MiB"
"$venv/bin/python" "$here/ratios.py" digest:duckdb digest_cpu:duckdb_cpu peak_rss:duckdb_rss \
    judgement:digest < "$lines"
