#!/usr/bin/env python3
"""Makes samples and site of the FASRC sweep: convert.py SOURCE_FOLDER

SOURCE_FOLDER holds node_snapshot_2025-05-30.csv. A processor is a device; the sweep has
one power for both, so each gets half of it. Readings of exactly 0 W are a sensor's way of
saying nothing: no machine that answers draws none. They are left out."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tables import rows_of, write_samples, write_site  # noqa: E402

# Classes of hardware are inferred, the table names none. GPU nodes come in two kinds with
# a gap between them; hosts without a GPU say by the upper quartile of their rack, because
# one of them may just have been idle. Watts of both processors.
GPU_NODE_LARGE = 450
CPU_NODE_LARGE = 210


def number(text):
    return float(text) if text else None


def kind(row):
    """Prefix, whether a GPU's power is read, whether water cools it."""
    prefix = "gpu-node" if row["host"].startswith("holygpu") else "cpu-node"
    boards = "gpu-power" if row["gpuW"] else "no-gpu-power"
    return f"{prefix}/{boards}/{'water' if row['water'] else 'air'}"


def inferred_models(rows):
    """The kind of each host and the level of its processors' power."""
    together = {}
    for row in rows:
        together.setdefault((row["rack"], kind(row)), []).append(number(row["cpuW"]) or 0)
    for row in rows:
        watts = sorted(together[row["rack"], kind(row)])
        least, typical = CPU_NODE_LARGE, watts[len(watts) * 3 // 4]
        if kind(row).startswith("gpu-node"):
            least, typical = GPU_NODE_LARGE, number(row["cpuW"]) or typical
        yield f"{kind(row)}/{'large' if typical >= least else 'small'}"


def samples(rows):
    for row in rows:
        watts = number(row["cpuW"])
        for device, sensor in enumerate(["t1", "t2"]):
            yield {
                "time": row["ts"].replace(" UTC", "Z").replace(" ", "T"),
                "node": row["host"],
                "device": device,
                "power_w": f"{watts / 2:g}" if watts else "",
                "temp_c": row[sensor],
                "inlet_air_c": row["amb"],
                "coolant_supply_c": row["water"],
            }


def main():
    rows = rows_of(pathlib.Path(sys.argv[1]) / "node_snapshot_2025-05-30.csv")
    table = list(samples(rows))
    write_samples(HERE / "samples.csv.gz", list(table[0]), table)
    racks = sorted({(row["rack"], row["row"]) for row in rows if row["rack"]})
    aisles = sorted({row["row"] for row in rows if row["row"]})
    domains = [("row", f"row-{aisle}", []) for aisle in aisles]
    domains += [("rack", f"rack-{rack}", [f"row-{aisle}"]) for rack, aisle in racks]
    place = lambda row: [f"rack-{row['rack']}"] if row["rack"] else []
    models = list(inferred_models(rows))
    for model in sorted(set(models)):
        print(f"{models.count(model):5} {model}")
    write_site(
        HERE / "site.toml",
        "fasrc",
        "Harvard FAS Research Computing: rows and racks parsed from host names, models inferred.",
        domains,
        [(row["host"], place(row), 2, model) for row, model in zip(rows, models)],
    )


main()
