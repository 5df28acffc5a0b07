/* All-reduce over MPI: prints JSON lines as bench-fabric does.
 *
 * usage: mpirun -np RANKS mpi_bench SIZE...   (bytes)
 *
 * The time of an operation is that of the slowest rank after a barrier; the figure is the
 * median over the operations, as busbw in GB/s. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARM_UP = 2, ITERATIONS_MAX = 400 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(long size, int rank, int ranks) {
    long elements = size / 4, iterations = (512L << 20) / (size > 0 ? size : 1);
    if (iterations < 5) iterations = 5;
    if (iterations > ITERATIONS_MAX) iterations = ITERATIONS_MAX;
    float *in = malloc(size), *out = malloc(size);
    if (!in || !out) MPI_Abort(MPI_COMM_WORLD, 1);
    for (long i = 0; i < elements; i++) { in[i] = 1.0f; out[i] = 0.0f; }
    double own[ITERATIONS_MAX], slowest[ITERATIONS_MAX];
    for (long i = 0; i < WARM_UP + iterations; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        double began = MPI_Wtime();
        MPI_Allreduce(in, out, (int)elements, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        double took = MPI_Wtime() - began;
        if (i >= WARM_UP) own[i - WARM_UP] = took;
    }
    for (long i = 0; i < elements; i++)
        if (out[i] != (float)ranks) { fprintf(stderr, "wrong result\n"); MPI_Abort(MPI_COMM_WORLD, 1); }
    MPI_Reduce(own, slowest, (int)iterations, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        qsort(slowest, iterations, sizeof *slowest, by_value);
        double busbw = size / slowest[(iterations - 1) / 2] * 2 * (ranks - 1) / ranks / 1e9;
        printf("{\"name\":\"allreduce_%d_%ld_busbw\",\"round\":0,\"value\":%g,\"unit\":\"GB/s\"}\n",
               ranks, size, busbw);
        fflush(stdout);
    }
    free(in);
    free(out);
}

int main(int argc, char **argv) {
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (int i = 1; i < argc; i++) measure(atol(argv[i]), rank, ranks);
    MPI_Finalize();
    return 0;
}
