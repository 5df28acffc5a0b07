// The image for every GPU from compute capability 8.0 on.
#include "device.cuh"
#include "launch.cuh"
#include "fma.cuh"
#include "tensor.cuh"
#include "stream.cuh"
#include "fill.cuh"
#include "memory.cuh"
#include "mix.cuh"
