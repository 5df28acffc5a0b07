"""A table of ours beside the peers, from the lines that peers.sh keeps.

Ratios are taken within a round (both saw the same machine); the interval is that of order
statistics around the median, at least 95 % where 6 rounds or more were run.
"""

import json
import sys
from math import comb
from statistics import median


def interval(values):
    """Lowest and highest order statistic that enclose the median with 95 %."""
    values, n = sorted(values), len(values)
    for k in range(n // 2, 0, -1):
        outside = 2 * sum(comb(n, i) for i in range(k)) / 2**n
        if outside <= 0.05:
            return values[k - 1], values[n - k]
    return values[0], values[-1]


def main(path):
    seen = {}
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        seen.setdefault((row["name"], row["who"]), {})[row["at"]] = (row["value"], row["unit"])
    pairs = [(name, "loadbank", name, who) for name, who in seen if who != "loadbank"]
    for name, who in seen:
        for bare in ("bare", "bare_paced"):
            kind, quantile = name.rsplit("_", 1) if name.startswith("rtt_") else (name, "")
            other = f"{kind}_{bare}_{quantile}"
            if (other, who) in seen:
                pairs.append((name, who, other, who))
    print(f"{'figure':<30} {'peer':<22} {'ours':>10} {'peer':>10} {'unit':<7} ratio [95 %]")
    for name, who, other, peer in sorted(pairs):
        ours, theirs = seen.get((name, who), {}), seen[(other, peer)]
        both = sorted(ours.keys() & theirs.keys())
        if not both:
            print(f"{name:<30} {peer:<22} SKIPPED: no common round")
            continue
        ratios = [ours[at][0] / theirs[at][0] for at in both]
        low, high = interval(ratios)
        label = peer if peer != who else other.removeprefix(name.rsplit("_", 1)[0] + "_")
        mine, its = (median(side[at][0] for at in both) for side in (ours, theirs))
        print(
            f"{name:<30} {label:<22} {mine:>10.3f} {its:>10.3f} {ours[both[0]][1]:<7} "
            f"{median(ratios):.2f} [{low:.2f}..{high:.2f}] n={len(both)}"
        )


if __name__ == "__main__":
    main(sys.argv[1])
