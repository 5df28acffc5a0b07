// The image for Hopper: bf16 products of whole warpgroups, operands by the bulk copy engine.
//
// Never ran on a GPU when it was written: the agent proves it at start with operands whose
// sums are exact (`FILL_INTEGERS`) and falls back to `lb_bf16` of the base image.
#include "device.cuh"
#include "hopper.cuh"
#include "launch.cuh"
#include "warpgroup.cuh"
