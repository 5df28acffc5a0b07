"""All-reduce over PyTorch's gloo, one process a rank: prints JSON lines as bench-fabric does.

usage: gloo_bench.py RANKS SIZES PORT   (sizes in bytes, separated by commas)

The time of an operation is that of the slowest rank after a barrier; the figure is the
median over the operations, as busbw in GB/s.
"""

import json
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

WARM_UP = 2


def iterations(size):
    return max(5, min(400, 512 * 1024 * 1024 // max(1, size)))


def rank_main(rank, ranks, sizes, port):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    os.environ["MASTER_PORT"] = str(port)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    for size in sizes:
        values = torch.empty(size // 4, dtype=torch.float32)
        times = []
        for iteration in range(WARM_UP + iterations(size)):
            values.fill_(1.0)
            dist.barrier()
            began = time.perf_counter()
            dist.all_reduce(values)
            took = time.perf_counter() - began
            if iteration >= WARM_UP:
                times.append(took)
        assert bool((values == ranks).all()), "wrong result"
        slowest = torch.tensor(times, dtype=torch.float64)
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
        seconds = float(slowest.median())
        if rank == 0:
            busbw = size / seconds * 2 * (ranks - 1) / ranks / 1e9
            name = f"allreduce_{ranks}_{size}_busbw"
            line = {"name": name, "round": 0, "value": busbw, "unit": "GB/s"}
            print(json.dumps(line), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    count = int(sys.argv[1])
    wanted = [int(size) for size in sys.argv[2].split(",")]
    mp.spawn(rank_main, args=(count, wanted, int(sys.argv[3])), nprocs=count)
