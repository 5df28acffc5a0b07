#!/usr/bin/env python3
"""Medians and ratio intervals of interleaved rounds.

Reads lines of JSON {"name", "round", "value"} on standard input (other keys are ignored)
and prints a table: for each name the median, least and greatest value, and for each pair
ours:reference given on the command line the median of the per-round ratios with an interval
from order statistics (no assumption on the distribution). Ratios are taken within a round,
so that what slows the machine for a while slows both.

    ratios.py [PAIR ...] < rounds.jsonl        PAIR = name:reference
"""
import json
import math
import statistics
import sys

CONFIDENCE = 0.95


def interval(values):
    """The narrowest symmetric pair of order statistics that covers the median with at
    least CONFIDENCE (binomial), and the coverage; None below six values."""
    values, n = sorted(values), len(values)
    best = None
    for k in range(1, n // 2 + 1):
        tail = sum(math.comb(n, i) for i in range(k)) / 2**n
        if 1 - 2 * tail >= CONFIDENCE:
            best = values[k - 1], values[n - k], 1 - 2 * tail
    return best


def read(lines):
    """{name: {round: value}} in order of first appearance."""
    rounds = {}
    for line in lines:
        line = line.strip()
        if not line.startswith("{"):
            continue
        row = json.loads(line)
        if row.get("value") is not None:
            rounds.setdefault(row["name"], {})[row["round"]] = float(row["value"])
    return rounds


def main():
    rounds = read(sys.stdin)
    print(f"{'name':<28}{'rounds':>7}{'median':>11}{'least':>11}{'greatest':>11}")
    for name, by_round in rounds.items():
        v = list(by_round.values())
        print(f"{name:<28}{len(v):>7}{statistics.median(v):>11.2f}{min(v):>11.2f}{max(v):>11.2f}")
    print(f"\n{'ratio':<40}{'rounds':>7}{'median':>9}  interval of the median")
    for pair in sys.argv[1:]:
        ours, reference = pair.split(":")
        both = sorted(set(rounds.get(ours, {})) & set(rounds.get(reference, {})))
        label = f"{ours} / {reference}"
        if not both:
            print(f"{label:<40}{0:>7}  not measured")
            continue
        ratios = [rounds[ours][r] / rounds[reference][r] for r in both]
        found = interval(ratios)
        text = "too few rounds" if found is None else (
            f"[{found[0]:.3f}, {found[1]:.3f}] at {100 * found[2]:.0f} %")
        print(f"{label:<40}{len(both):>7}{statistics.median(ratios):>9.3f}  {text}")


if __name__ == "__main__":
    main()
