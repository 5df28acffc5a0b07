#!/usr/bin/env python3
"""One round of numpy's matrix product, as lines of JSON {"name", "round", "value"} (GFLOP/s).

    gemm.py ROUND [N] [THREADS]      N = 4096: the size that others quote
"""
import json
import os
import sys

round_, n = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4096
if len(sys.argv) > 3:
    os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[3]

import time  # noqa: E402

import numpy  # noqa: E402

for name, kind in (("dgemm", numpy.float64), ("sgemm", numpy.float32)):
    rng = numpy.random.default_rng(1)
    a, b = (rng.standard_normal((n, n)).astype(kind) for _ in range(2))
    out = numpy.empty((n, n), kind)
    numpy.matmul(a, b, out=out)  # warm: threads, pages, clocks
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(2):
        numpy.matmul(a, b, out=out)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    gflop = 2 * 2.0 * n**3 / 1e9
    threads = int(os.environ.get("OPENBLAS_NUM_THREADS", os.cpu_count()))
    for suffix, value in (("", gflop / wall), ("_cpu", threads * gflop / cpu)):
        print(json.dumps({"name": name + suffix, "round": round_, "value": round(value, 3)}))
