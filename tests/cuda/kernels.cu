// SPDX-License-Identifier: Apache-2.0
//
// Every instantiation that the library launches, to be compiled for sm_75 and looked at.
#include <qtk/cuda/gemm_w4a16.hpp>
#include <qtk/cuda/quantize_rows.hpp>
#include <qtk/cuda/skinny_integer.hpp>
#include <qtk/cuda/skinny_w4a16.hpp>

namespace qtk::cuda {
template void launch_skinny_w4a16<false>(skinny_arguments const&, unsigned, cudaStream_t);
template void launch_skinny_w4a16<true>(skinny_arguments const&, unsigned, cudaStream_t);
template void launch_gemm_w4a16<false>(gemm_arguments const&, cudaStream_t);
template void launch_gemm_w4a16<true>(gemm_arguments const&, cudaStream_t);
template __global__ void quantize_rows<4, 8>(numbers_in, activation_codes);
template __global__ void quantize_rows<8, 8>(numbers_in, activation_codes);
template __global__ void skinny_integer<4, 4, 8>(integer_arguments);
template __global__ void skinny_integer<4, 8, 8>(integer_arguments);
template __global__ void skinny_integer<8, 8, 8>(integer_arguments);
}  // namespace qtk::cuda
