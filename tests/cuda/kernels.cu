// SPDX-License-Identifier: Apache-2.0
//
// Every instantiation that the library launches, to be compiled for sm_75 and looked at.
#include <qtk/cuda/gemm_integer.hpp>
#include <qtk/cuda/gemm_w4a16.hpp>
#include <qtk/cuda/outlier_columns.hpp>
#include <qtk/cuda/quantize_rows.hpp>
#include <qtk/cuda/quantize_weight.hpp>
#include <qtk/cuda/repack.hpp>
#include <qtk/cuda/skinny_integer.hpp>
#include <qtk/cuda/skinny_w4a16.hpp>

namespace qtk::cuda {
template __global__ void skinny_w4a16<false, 1, 1, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<false, 1, 2, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<false, 2, 1, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<false, 2, 2, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<true, 1, 1, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<true, 1, 2, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<true, 2, 1, 8>(half_arguments, split_operand);
template __global__ void skinny_w4a16<true, 2, 2, 8>(half_arguments, split_operand);
template __global__ void gemm_w4a16<false, 1>(half_arguments, split_operand);
template __global__ void gemm_w4a16<false, 2>(half_arguments, split_operand);
template __global__ void gemm_w4a16<true, 1>(half_arguments, split_operand);
template __global__ void gemm_w4a16<true, 2>(half_arguments, split_operand);
template __global__ void quantize_rows<4, 8>(row_source, activation_codes);
template __global__ void quantize_rows<8, 8>(row_source, activation_codes);
template __global__ void fit_weight<4, 8>(numbers_in, given_intervals, weight_result);
template __global__ void fit_weight<8, 8>(numbers_in, given_intervals, weight_result);
template __global__ void encode_weight<4, 8>(numbers_in, weight_result);
template __global__ void encode_weight<8, 8>(numbers_in, weight_result);
template __global__ void repack_codes<128>(stored_weight, weight_result);
template __global__ void repack_params<128>(stored_weight, weight_result);
template __global__ void restore_codes<128>(weight_operand, stored_weight);
template __global__ void restore_params<128>(weight_operand, stored_weight);
template __global__ void skinny_integer<4, 4, detail::eight_columns, 8>(integer_arguments);
template __global__ void skinny_integer<4, 8, detail::eight_columns, 8>(integer_arguments);
template __global__ void skinny_integer<8, 8, detail::eight_columns, 8>(integer_arguments);
template __global__ void skinny_integer<4, 8, detail::one_column, 8>(integer_arguments);
template __global__ void skinny_integer<8, 8, detail::one_column, 8>(integer_arguments);
template __global__ void gemm_integer<4, 4>(integer_arguments);
template __global__ void gemm_integer<4, 8>(integer_arguments);
template __global__ void gemm_integer<8, 8>(integer_arguments);
template __global__ void mark_outliers<128>(numbers_in, std::size_t, std::size_t, std::uint32_t,
                                            std::uint8_t*);
template __global__ void list_outliers<1024>(std::uint8_t const*, std::uint32_t, std::uint32_t*,
                                             std::uint32_t*);
}  // namespace qtk::cuda
