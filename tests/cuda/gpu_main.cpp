// SPDX-License-Identifier: Apache-2.0
//
// The tests of the kernels on a GPU. Where there is none they are skipped: exit status 77.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cuda_runtime.h>

#include <cstdio>

int main(int argc, char** argv) {
    int devices = 0;
    cudaError_t const status = cudaGetDeviceCount(&devices);
    if (status != cudaSuccess || devices == 0) {
        std::printf("skipped: no CUDA device (%s)\n", cudaGetErrorString(status));
        return 77;
    }
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, 0) == cudaSuccess)
        std::printf("device: %s, sm_%d%d\n", properties.name, properties.major, properties.minor);
    return doctest::Context(argc, argv).run();
}
