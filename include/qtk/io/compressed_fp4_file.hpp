// SPDX-License-Identifier: Apache-2.0
//
// How do layers of 4-bit floats lie in a compressed-tensors checkpoint? As MXFP4 and NVFP4, two codes of
// e2m1 a byte, the first in the low nibble:
//
//   LAYER.weight_packed        U8 [out, in / 2]
//   LAYER.weight_scale         nvfp4-pack-quantized: F8_E4M3 [out, in / 16]
//                              mxfp4-pack-quantized: U8 [out, in / 32], a power of two: 2^(e - 127)
//   LAYER.weight_global_scale  F32 [1]                                    nvfp4 only
//
//   W = code * weight_scale / weight_global_scale
//
// The scale of the tensor is the reciprocal of ours; encoding says if a bit was lost by that. ModelOpt
// stores the scale itself, under another name: not this layout.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/layer_tensors.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

inline constexpr std::array<std::string_view, 3> compressed_fp4_suffixes{
    "weight_packed", "weight_scale", "weight_global_scale"};

namespace detail {

inline void require_fp4(scheme const& s) {
    if (s != mxfp4 && s != nvfp4)
        refuse_layout("compressed-tensors of 4-bit floats", "mxfp4 or nvfp4", to_string(s));
}
[[nodiscard]] inline dtype fp4_scale_type(scheme const& s) noexcept {
    return s == nvfp4 ? dtype::f8_e4m3 : dtype::u8;
}

}  // namespace detail

/// The tensors that a layer will have, in the order of encode_compressed_fp4. Throws value_error for
/// another scheme than mxfp4 and nvfp4, shape_error if the last group is short.
[[nodiscard]] inline std::vector<tensor_plan> plan_compressed_fp4(layer_shape shape,
                                                                  scheme const& s) {
    detail::require_fp4(s);
    std::size_t const groups = detail::exact_quotient("compressed-tensors: input columns", shape.in,
                                                      static_cast<std::size_t>(s.grain.cols));
    std::vector<tensor_plan> plan{{"weight_packed", dtype::u8, {shape.out, shape.in / 2}},
                                  {"weight_scale", detail::fp4_scale_type(s), {shape.out, groups}}};
    if (s == nvfp4) plan.push_back({"weight_global_scale", dtype::f32, {1}});
    return plan;
}

/// Throws value_error for another scheme, an order of columns or scales that are not finite; shape_error if
/// the last group is short.
[[nodiscard]] inline encoded_layer encode_compressed_fp4(ordered_qmatrix const& q) {
    any_qmatrix const& codes = q.matrix;
    scheme const& s = codes.scheme();
    auto const plan = plan_compressed_fp4({codes.rows(), codes.cols()}, s);
    if (!q.order.empty())
        detail::refuse_layout("compressed-tensors of 4-bit floats", "columns where they were",
                              "columns in an order");
    detail::scale_writer changes(scale_type::f32);
    for (std::size_t o = 0; o < codes.rows(); ++o)
        for (std::size_t g = 0; g < codes.grid().across; ++g)
            changes.add(codes.params(o, g).scale, o, g);
    encoded_layer layer;
    layer.tensors = {{plan[0], detail::little_endian_bytes(codes.codes())},
                     {plan[1], detail::little_endian_bytes(codes.scales())}};
    if (s == nvfp4) {
        std::array<float, 1> const global{1.0f / codes.tensor_scale()};
        changes.note(codes.tensor_scale(), 1.0f / global[0]);
        layer.tensors.push_back(
            {plan[2], detail::little_endian_bytes(std::span<float const>(global))});
    }
    changes.report(layer);
    return layer;
}

/// The codes of a layer, mxfp4 or nvfp4. Throws io_error naming what is wrong.
[[nodiscard]] inline stored_layer read_compressed_fp4(layer_tensors const& layer, scheme const& s) {
    return layer.checked([&] {
        detail::require_fp4(s);
        stored_tensor const& packed = layer.matrix_at("weight_packed", dtype::u8);
        std::size_t const out = static_cast<std::size_t>(packed.shape[0]),
                          in = checked_mul<std::size_t>(static_cast<std::size_t>(packed.shape[1]),
                                                        2);
        auto const plan = plan_compressed_fp4({out, in}, s);
        stored_tensor const& scale = layer.at("weight_scale", plan[1].type, plan[1].shape);
        float tensor_scale = 1.0f;
        if (s == nvfp4) {
            stored_tensor const& global = layer.at("weight_global_scale", dtype::f32, {1});
            tensor_scale = 1.0f / load_little_endian<float>(global.bytes.data());
            if (is_nonfinite(tensor_scale) || !(tensor_scale > 0.0f))
                layer.refuse(
                    "weight_global_scale: expected a positive number whose reciprocal is a "
                    "float");
        }
        auto scales = detail::numbers_of<std::uint8_t>(scale);
        for (std::size_t i = 0; i < scales.size(); ++i)
            if (is_nonfinite(load_scale(s.scale, scales[i]) * tensor_scale))
                layer.refuse("weight_scale", "finite scales",
                             "NaN or infinity at row " + std::to_string(i / plan[1].shape[1]) +
                                 ", group " + std::to_string(i % plan[1].shape[1]));
        return stored_layer{{any_qmatrix(s, out, in, detail::numbers_of<std::uint8_t>(packed),
                                         std::move(scales), {}, tensor_scale),
                             {}},
                            {}};
    });
}

}  // namespace qtk
