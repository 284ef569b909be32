// SPDX-License-Identifier: Apache-2.0
//
// How does a layer lie in an AWQ checkpoint of the version "gemm"? Three tensors (layout of AutoAWQ;
// the words are those of format/awq_packing.hpp), 4 bits, always with zero points:
//
//   LAYER.qweight  I32 [in, out / 8]
//   LAYER.qzeros   I32 [groups, out / 8]
//   LAYER.scales   F16 [groups, out]
//
//   W[o, i] = scales[i / g, o] * (code(o, i) - zero(o, i / g))
//
// There is no order of columns, and the last group is never short. GPT-2's matrices are stored like
// all others, [out, in].
#pragma once

#include <qtk/format/awq_packing.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/layer_tensors.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// What the configuration of a checkpoint says of its layers.
struct awq_layout {
    std::size_t group = 128;  ///< inputs that share a scale; 0: all
};

inline constexpr std::array<std::string_view, 3> awq_suffixes{"qweight", "qzeros", "scales"};

/// The tensors that a layer will have, in the order of encode_awq. Throws shape_error if the outputs do
/// not fill words or the last group is short.
[[nodiscard]] inline std::vector<tensor_plan> plan_awq(layer_shape shape,
                                                       awq_layout const& layout) {
    std::size_t const words = detail::exact_quotient("awq: outputs", shape.out, 8),
                      groups = detail::exact_quotient(
                          "awq: input columns", shape.in,
                          detail::group_width(detail::file_grain(layout.group), shape.in));
    return {{"qweight", dtype::i32, {shape.in, words}},
            {"qzeros", dtype::i32, {groups, words}},
            {"scales", dtype::f16, {groups, shape.out}}};
}

/// Throws value_error for codes that are no integers of 4 bits, for another grid than the layout's, an
/// order of columns, or a scale that f16 cannot hold; shape_error if the outputs do not fill words or the
/// last group is short.
[[nodiscard]] inline encoded_layer encode_awq(ordered_qmatrix const& q, awq_layout const& layout) {
    require_order(q);
    any_qmatrix const& codes = q.matrix;
    detail::require_grid("awq", codes, i4, layout.group, false);
    if (!detail::has_runs(q))
        detail::refuse_layout("awq", "groups of neighbouring columns", "columns in an order",
                              "GPTQ and compressed-tensors files can hold one");
    auto const plan = plan_awq({codes.rows(), codes.cols()}, layout);
    auto scales = detail::write_scales(codes, scale_type::f16, false);
    encoded_layer layer;
    scales.report(layer);
    layer.tensors = {
        {plan[0], detail::little_endian_bytes(pack_awq(detail::fields_by_input(q).view()))},
        {plan[1], detail::little_endian_bytes(pack_awq(detail::zeros_by_group(codes).view()))},
        {plan[2], scales.take()}};
    return layer;
}

/// The codes of a layer, with zero points. Throws io_error naming what is wrong.
[[nodiscard]] inline stored_layer read_awq(layer_tensors const& layer, awq_layout const& layout) {
    return layer.checked([&] {
        stored_tensor const& weight = layer.matrix_at("qweight", dtype::i32);
        std::size_t const in = static_cast<std::size_t>(weight.shape[0]),
                          words = static_cast<std::size_t>(weight.shape[1]),
                          out = checked_mul<std::size_t>(words, 8);
        granularity const grain = detail::file_grain(layout.group);
        std::size_t const groups =
            detail::exact_quotient("qweight: rows", in, detail::group_width(grain, in));
        stored_tensor const& stored_zeros = layer.at("qzeros", dtype::i32, {groups, words});
        auto scales = detail::read_scales(layer, "scales", out, groups, false);
        scheme const s{
            .element = i4, .grain = grain, .zero = origin::floating, .scale = scales.type};
        return stored_layer{
            detail::matrix_of(s, unpack_awq(detail::words_of(weight).view()), std::move(scales),
                              unpack_awq(detail::words_of(stored_zeros).view()), {}),
            {}};
    });
}

}  // namespace qtk
