// SPDX-License-Identifier: Apache-2.0
//
// How does a layer lie in a GPTQ checkpoint? Four tensors (layout of GPTQModel and AutoGPTQ; the words
// are those of format/gptq_packing.hpp):
//
//   LAYER.qweight  I32 [in * bits / 32, out]
//   LAYER.qzeros   I32 [groups, out * bits / 32]   v1 holds zero - 1, v2 holds zero
//   LAYER.scales   F16 [groups, out]
//   LAYER.g_idx    I32 [in]                        the group of every input
//
//   W[o, i] = scales[g_idx[i], o] * (code(o, i) - zero(o, g_idx[i]))
//
// Bits are 2, 3, 4 or 8. Columns of a group come back side by side, in rising order of their inputs.
// GPT-2's matrices are stored like all others, [out, in].
#pragma once

#include <qtk/format/gptq_packing.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/layer_tensors.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// What the configuration of a checkpoint says of its layers.
struct gptq_layout {
    int bits = 4;
    std::size_t group = 128;  ///< inputs that share a scale; 0: all
    bool is_symmetric = false;
    gptq_version version = gptq_version::v1;
};

inline constexpr std::array<std::string_view, 4> gptq_suffixes{"qweight", "qzeros", "scales",
                                                               "g_idx"};

namespace detail {

/// All zero fields as the file holds them, if they are one number.
[[nodiscard]] inline int common_field(row_major<std::uint8_t> const& fields) noexcept {
    for (std::uint8_t const f : fields.values)
        if (f != fields.values.front()) return -1;
    return fields.values.empty() ? -1 : fields.values.front();
}

/// Why a symmetric file's zero points look like those of the other version; empty if they do not.
[[nodiscard]] inline std::string version_note(int stored, int bits, gptq_version version) {
    int const middle = 1 << (bits - 1);
    int const other = version == gptq_version::v1 ? middle : middle - 1;
    if (stored != other) return {};
    return "every field of qzeros is " + std::to_string(stored) +
           ", which is the middle of the codes in the version " +
           (version == gptq_version::v1 ? "gptq_v2" : "gptq") +
           ", but the file is read as checkpoint_format " +
           (version == gptq_version::v1 ? "gptq" : "gptq_v2") +
           ". Hint: if the model answers nonsense, its checkpoint_format is wrong";
}

}  // namespace detail

/// The tensors that a layer will have, in the order of encode_gptq. Throws value_error for another bit
/// count, shape_error if rows or columns do not end on a word.
[[nodiscard]] inline std::vector<tensor_plan> plan_gptq(layer_shape shape,
                                                        gptq_layout const& layout) {
    detail::require_gptq_bits(layout.bits);
    std::size_t const groups =
        div_ceil(shape.in, detail::group_width(detail::file_grain(layout.group), shape.in));
    return {
        {"qweight",
         dtype::i32,
         {detail::gptq_words("gptq: input columns", shape.in, layout.bits), shape.out}},
        {"qzeros",
         dtype::i32,
         {groups, detail::gptq_words("gptq: outputs", shape.out, layout.bits)}},
        {"scales", dtype::f16, {groups, shape.out}},
        {"g_idx", dtype::i32, {shape.in}},
    };
}

/// Throws value_error for codes that are no integers of 2, 3, 4 or 8 bits, for another grid than the
/// layout's, zero points under a symmetric layout, or a scale that f16 cannot hold; shape_error if rows or
/// columns do not end on a word.
[[nodiscard]] inline encoded_layer encode_gptq(ordered_qmatrix const& q,
                                               gptq_layout const& layout) {
    require_order(q);
    any_qmatrix const& codes = q.matrix;
    detail::require_grid("gptq", codes, format{.bits = layout.bits}, layout.group,
                         layout.is_symmetric);
    auto const plan = plan_gptq({codes.rows(), codes.cols()}, layout);
    auto const groups = detail::groups_by_input(q);
    auto scales = detail::write_scales(codes, scale_type::f16, false);
    encoded_layer layer;
    scales.report(layer);
    auto const words = pack_gptq_weight(detail::fields_by_input(q).view(), layout.bits);
    auto const zeros =
        pack_gptq_zeros(detail::zeros_by_group(codes).view(), layout.bits, layout.version);
    layer.tensors = {{plan[0], detail::little_endian_bytes(words)},
                     {plan[1], detail::little_endian_bytes(zeros)},
                     {plan[2], scales.take()},
                     {plan[3], detail::little_endian_bytes(std::span<std::int32_t const>(groups))}};
    return layer;
}

/// The codes of a layer. Symmetric under a symmetric layout whose zero points all are the middle, else
/// with zero points. g_idx may be missing. Throws io_error naming what is wrong.
[[nodiscard]] inline stored_layer read_gptq(layer_tensors const& layer, gptq_layout const& layout) {
    return layer.checked([&] {
        detail::require_gptq_bits(layout.bits);
        stored_tensor const& weight = layer.matrix_at("qweight", dtype::i32);
        std::size_t const out = static_cast<std::size_t>(weight.shape[1]),
                          in = detail::gptq_fields("qweight: rows",
                                                   static_cast<std::size_t>(weight.shape[0]),
                                                   layout.bits);
        granularity const grain = detail::file_grain(layout.group);
        std::size_t const width = detail::group_width(grain, in), groups = div_ceil(in, width);
        stored_tensor const& stored_zeros =
            layer.at("qzeros", dtype::i32,
                     {groups, detail::gptq_words("qweight: columns", out, layout.bits)});
        auto scales = detail::read_scales(layer, "scales", out, groups, false);
        std::vector<std::uint32_t> order;
        if (layer.has("g_idx")) order = detail::read_order(layer, "g_idx", in, width);
        auto const zeros =
            unpack_gptq_zeros(detail::words_of(stored_zeros).view(), layout.bits, layout.version);
        auto const fields = unpack_gptq_weight(detail::words_of(weight).view(), layout.bits);

        scheme s{.element = format{.bits = layout.bits},
                 .grain = grain,
                 .zero = origin::floating,
                 .scale = scales.type};
        int const zero = detail::common_field(zeros), middle = symmetric_zero(s.element);
        stored_layer result;
        if (layout.is_symmetric && zero >= 0)
            result.note =
                detail::version_note(detail::gptq_stored_zero(static_cast<std::uint8_t>(zero),
                                                              layout.bits, layout.version),
                                     layout.bits, layout.version);
        if (layout.is_symmetric && zero == middle) s.zero = origin::fixed;
        result.weight = detail::matrix_of(s, fields, std::move(scales), zeros, std::move(order));
        return result;
    });
}

}  // namespace qtk
