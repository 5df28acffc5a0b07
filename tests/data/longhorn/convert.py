#!/usr/bin/env python3
"""Makes samples and site of the Longhorn tables: convert.py SOURCE_FOLDER

SOURCE_FOLDER holds sgemm-longhorn-agg.csv and resnet-longhorn-agg.csv. Every row is
kept, exact duplicates as well: dropping them is the reader's work."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tables import rows_of, write_samples, write_site  # noqa: E402

UNKNOWN = "-1"


def sgemm(rows):
    """One row: the mean over 100 kernels on one GPU. The profiler's index is always 0."""
    for row in rows:
        known = row["node"] != UNKNOWN
        yield {
            "time": row["ts"],
            "node": f"{row['cabinet']}-{row['node']}" if known else "",
            "device": row["dev_id"],
            "uuid": row["uuid"],
            "power_w": row["pwr"],
            "temp_c": row["temp"],
            "clock_mhz": row["freq"],
            # Kernels a second: the table has milliseconds a kernel.
            "perf": f"{1000 / float(row['perf']):.6f}",
        }


def resnet(rows):
    """One row: one GPU over one job run; the four GPUs of a run are one block."""
    for row in rows:
        node = row["cab-node"]
        yield {
            "time": row["ts"],
            "node": node,
            "device": row["device"],
            "block": f"{node}@{row['ts']}",
            "power_w": row["mean_pwr"],
            "temp_c": row["mean_temp"],
            "temp_max_c": row["max_temp"],
            "clock_mhz": row["freq"],
            "clock_min_mhz": row["min_freq"],
            # Iterations a second: the table has milliseconds an iteration.
            "perf": f"{1000 / float(row['perf']):.6f}",
        }


def place(node):
    cabinet, number = node[1:].split("-")
    return int(cabinet), int(number)


def main():
    source = pathlib.Path(sys.argv[1])
    first = list(sgemm(rows_of(source / "sgemm-longhorn-agg.csv")))
    second = list(resnet(rows_of(source / "resnet-longhorn-agg.csv")))
    for name, rows in [("sgemm", first), ("resnet", second)]:
        columns = list(rows[0])
        write_samples(HERE / f"{name}.csv.gz", columns, rows)
    # Each table has a site of its own: the nodes that took part two years apart differ.
    for name, rows in [("sgemm", first), ("resnet", second)]:
        nodes = sorted({row["node"] for row in rows if row["node"]}, key=place)
        cabinets = sorted({node.split("-")[0] for node in nodes})
        write_site(
            HERE / f"{name}-site.toml",
            "longhorn",
            "TACC Longhorn, as far as the published tables say: cabinets, four V100 a node.",
            [("rack", cabinet, []) for cabinet in cabinets],
            [(node, [node.split("-")[0]], 4, "V100") for node in nodes],
        )


main()
