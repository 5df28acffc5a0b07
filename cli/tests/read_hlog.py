#!/usr/bin/env python3
"""Reads an interval log with HdrHistogram's own reader for Python, one JSON line an interval.

usage: read_hlog.py LOG      (needs the module hdrh: PyPI package hdrhistogram)
"""
import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

# Wide enough for every value that loadbank records: 100 ns to 10 s, two digits.
WIDE = HdrHistogram(1, 60_000_000_000, 2)

reader = HistogramLogReader(sys.argv[1], WIDE)
while (interval := reader.get_next_interval_histogram()) is not None:
    print(
        json.dumps(
            {
                "tag": interval.get_tag(),
                "count": interval.get_total_count(),
                "p99": interval.get_value_at_percentile(99),
                "max": interval.get_max_value(),
            }
        )
    )
