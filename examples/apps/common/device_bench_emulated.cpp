// SPDX-License-Identifier: Apache-2.0
//
// What nvcc makes of device_bench.cu, made by the host's compiler for the emulator: times mean nothing.
#define QTK_CUDA_EMULATE 1
#include "device_bench.cu"
