#!/usr/bin/env python3
"""DuckDB on two threads: per-device, per-phase medians of four columns of a Parquet file.

    digest_duckdb.py FILE ROUND      prints lines of JSON {"name", "round", "value"}
"""
import json
import resource
import sys
import time

import duckdb

QUERY = """
CREATE OR REPLACE TEMP TABLE medians AS
SELECT node, device, phase, median(power_w), median(temp_c), median(clock_mhz), median(perf)
FROM read_parquet(?) GROUP BY node, device, phase
"""


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    file, at = sys.argv[1], int(sys.argv[2])
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    cpu, start = processor_time(), time.monotonic()
    connection.execute(QUERY, [file])
    seconds, cpu = time.monotonic() - start, processor_time() - cpu
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    groups = connection.execute("SELECT count(*) FROM medians").fetchone()[0]
    for name, value in (("duckdb", seconds), ("duckdb_cpu", cpu), ("duckdb_rss", rss)):
        print(json.dumps({"name": name, "round": at, "value": round(value, 3)}))
    print(f"duckdb {duckdb.__version__}: {groups} groups", file=sys.stderr)


if __name__ == "__main__":
    main()
