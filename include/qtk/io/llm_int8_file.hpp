// SPDX-License-Identifier: Apache-2.0
//
// How does a layer of 8 bits lie in a checkpoint of bitsandbytes (LLM.int8(), Dettmers et al. 2022)?
// Codes with one scale a row, which stands for the code 127:
//
//   LAYER.weight         I8 [out, in]
//   LAYER.SCB            F32 [out]       127 scale
//   LAYER.weight_format  U8 []           0: rows as they are
//
//   W[o, i] = code(o, i) * SCB[o] / 127
//
// 127 scale is rounded to a float, and so is the way back: encoding says by how much, at most one unit
// in the last place. GPT-2's matrices are stored like all others, [out, in].
#pragma once

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

inline constexpr std::array<std::string_view, 3> llm_int8_suffixes{"weight", "SCB",
                                                                   "weight_format"};

/// The tensors that a layer will have, in the order of encode_llm_int8.
[[nodiscard]] inline std::vector<tensor_plan> plan_llm_int8(layer_shape shape) {
    return {{"weight", dtype::i8, {shape.out, shape.in}},
            {"SCB", dtype::f32, {shape.out}},
            {"weight_format", dtype::u8, {}}};
}

namespace detail {

/// Codes as two's complement bytes: the fields with the middle taken away.
[[nodiscard]] inline std::vector<std::byte> signed_bytes(row_major<std::uint8_t> const& fields) {
    std::vector<std::byte> bytes(fields.values.size());
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>(fields.values[i] ^ 0x80u);
    return bytes;
}
/// The inverse, of an I8 tensor.
[[nodiscard]] inline row_major<std::uint8_t> signed_fields(stored_tensor const& tensor) {
    row_major<std::uint8_t> fields{.rows = static_cast<std::size_t>(tensor.shape[0]),
                                   .cols = static_cast<std::size_t>(tensor.shape[1])};
    for (std::size_t i = 0; i < fields.values.size(); ++i)
        fields.values[i] = static_cast<std::uint8_t>(tensor.bytes[i] ^ std::byte{0x80});
    return fields;
}

}  // namespace detail

/// Throws value_error for codes that are no symmetric integers of 8 bits with one scale a row, or for a
/// scale that is not finite.
[[nodiscard]] inline encoded_layer encode_llm_int8(ordered_qmatrix const& q) {
    require_order(q);
    any_qmatrix const& codes = q.matrix;
    detail::require_grid("bitsandbytes of 8 bits", codes, i8, 0, true);
    auto const plan = plan_llm_int8({codes.rows(), codes.cols()});
    detail::scale_writer changes(scale_type::f32);
    for (std::size_t o = 0; o < codes.rows(); ++o) {
        float const scale = codes.params(o / codes.grid().rows, 0).scale, most = scale * 127.0f;
        changes.add(most, o, 0);
        changes.note(scale, most / 127.0f);
    }
    encoded_layer layer;
    changes.report(layer);
    // One scale a row: an order of columns changes nothing but their places.
    layer.tensors = {{plan[0], detail::signed_bytes(detail::fields_by_input(q))},
                     {plan[1], changes.take()},
                     {plan[2], {std::byte{0}}}};
    return layer;
}

/// The codes of a layer, i8/channel/sym/f32. Throws io_error naming what is wrong.
[[nodiscard]] inline stored_layer read_llm_int8(layer_tensors const& layer) {
    return layer.checked([&] {
        stored_tensor const& weight = layer.matrix_at("weight", dtype::i8);
        auto const out = static_cast<std::size_t>(weight.shape[0]);
        std::vector<float> scales = detail::numbers_of<float>(layer.at("SCB", dtype::f32, {out}));
        require_finite(find_nonfinite(scales), "SCB", 0);
        for (float& scale : scales) scale /= 127.0f;
        if (stored_tensor const* const kind = layer.find("weight_format"))
            if (kind->type != dtype::u8 || kind->bytes.size() != 1 ||
                kind->bytes[0] != std::byte{0})
                layer.refuse("weight_format", "one U8 of 0: rows as they are", *kind);
        detail::stored_scales stored;
        for (std::byte const b : detail::little_endian_bytes(std::span<float const>(scales)))
            stored.patterns.push_back(static_cast<std::uint8_t>(b));
        return stored_layer{
            detail::matrix_of({.element = i8, .grain = per_channel}, detail::signed_fields(weight),
                              std::move(stored), {}, {}),
            {}};
    });
}

}  // namespace qtk
