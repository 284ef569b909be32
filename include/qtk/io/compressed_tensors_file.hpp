// SPDX-License-Identifier: Apache-2.0
//
// How does a layer of codes lie in a compressed-tensors checkpoint? In one of three of its formats:
//
//   pack-quantized    LAYER.weight_packed      I32 [out, words of in]   integers of 2 to 8 bits
//                     LAYER.weight_shape       I64 [2]                  out, in
//   int-quantized     LAYER.weight             I8 [out, in]             integers of 8 bits
//   float-quantized   LAYER.weight             F8_E4M3 [out, in]
//
//   all               LAYER.weight_scale       F32, F16 or BF16 [out, groups]
//   asymmetric        LAYER.weight_zero_point  packed: I32 [words of out, groups], else I8 [out, groups]
//   in an order       LAYER.weight_g_idx       I32 [in]                 packed only
//
//   W[o, i] = weight_scale[o, i / g] * (code - zero point), both signed
//
// Scales keep their type, so that these files are exact for every scheme with scales of f32, f16 or bf16.
// One scale of a tensor is read as [1], and written once a row.
// Formats of 4-bit floats: io/compressed_fp4_file.hpp. GPT-2's matrices are [out, in], too.
#pragma once

#include <qtk/format/compressed_tensors_packing.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/layer_tensors.hpp>
#include <qtk/io/llm_int8_file.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

enum class compressed_format : std::uint8_t { pack_quantized, int_quantized, float_quantized };

/// What the configuration of a checkpoint says of its layers.
struct compressed_layout {
    compressed_format format = compressed_format::pack_quantized;
    int bits = 4;
    granularity grain{.rows = 1,
                      .cols = 128};  ///< a channel or a group; when reading, a tensor, too
    bool is_symmetric = true;
    scale_type scale = scale_type::f16;  ///< of a plan: f32, f16 or bf16; readers find it
    word_fill fill = word_fill::stream;  ///< of a plan; readers find it
    bool has_order = false;              ///< of a plan: weight_g_idx is written
};

inline constexpr std::array<std::string_view, 6> compressed_suffixes{
    "weight_packed", "weight_shape", "weight", "weight_scale", "weight_zero_point", "weight_g_idx"};

namespace detail {

inline void require_compressed_layout(compressed_layout const& layout) {
    bool const is_packed = layout.format == compressed_format::pack_quantized;
    if (is_packed ? layout.bits < 2 || layout.bits > 8 : layout.bits != 8)
        refuse_layout("compressed-tensors", is_packed ? "2 to 8 bits" : "8 bits in this format",
                      std::to_string(layout.bits) + " bits");
    if (layout.format == compressed_format::float_quantized && !layout.is_symmetric)
        refuse_layout("compressed-tensors", "no zero points of floats", "asymmetric codes");
    if (layout.grain != per_tensor && (layout.grain.rows != 1 || layout.grain.cols < 0))
        refuse_layout("compressed-tensors", "one scale a tensor, row or group",
                      to_string(layout.grain));
    if (scale_bytes(layout.scale) < 2)
        refuse_layout("compressed-tensors", "scales of f32, f16 or bf16",
                      std::string(word_for(scale_types, layout.scale)));
}

/// Groups of a row. Throws shape_error for a last one that is short.
[[nodiscard]] inline std::size_t whole_groups(granularity const& grain, std::size_t in) {
    return exact_quotient("compressed-tensors: input columns", in, group_width(grain, in));
}

[[nodiscard]] inline format compressed_element(compressed_layout const& layout) noexcept {
    return layout.format == compressed_format::float_quantized ? e4m3 : format{.bits = layout.bits};
}

[[nodiscard]] inline std::vector<std::byte> shape_bytes(layer_shape shape) {
    std::array<std::int64_t, 2> const sides{static_cast<std::int64_t>(shape.out),
                                            static_cast<std::int64_t>(shape.in)};
    return little_endian_bytes(std::span<std::int64_t const>(sides));
}

}  // namespace detail

/// The tensors that a layer will have, in the order of encode_compressed. Throws value_error for a layout
/// that does not exist, shape_error if the last group is short.
[[nodiscard]] inline std::vector<tensor_plan> plan_compressed(layer_shape shape,
                                                              compressed_layout const& layout) {
    detail::require_compressed_layout(layout);
    bool const is_packed = layout.format == compressed_format::pack_quantized;
    std::size_t const groups = detail::whole_groups(layout.grain, shape.in);
    dtype const scale = dtype_of(layout.scale);
    std::vector<tensor_plan> plan;
    if (is_packed) {
        plan.push_back({"weight_packed",
                        dtype::i32,
                        {shape.out, compressed_words(shape.in, layout.bits, layout.fill)}});
        plan.push_back({"weight_shape", dtype::i64, {2}});
    } else {
        plan.push_back(
            {"weight",
             layout.format == compressed_format::int_quantized ? dtype::i8 : dtype::f8_e4m3,
             {shape.out, shape.in}});
    }
    plan.push_back({"weight_scale", scale, {shape.out, groups}});
    if (!layout.is_symmetric && is_packed)
        plan.push_back({"weight_zero_point",
                        dtype::i32,
                        {compressed_words(shape.out, layout.bits, layout.fill), groups}});
    if (!layout.is_symmetric && !is_packed)
        plan.push_back({"weight_zero_point", dtype::i8, {shape.out, groups}});
    if (layout.has_order) plan.push_back({"weight_g_idx", dtype::i32, {shape.in}});
    return plan;
}

/// Throws value_error for codes of another format or grid than the layout's, zero points under a symmetric
/// layout, an order of columns without has_order, or a scale that its type cannot hold; shape_error if the
/// last group is short.
[[nodiscard]] inline encoded_layer encode_compressed(ordered_qmatrix const& q,
                                                     compressed_layout const& layout) {
    require_order(q);
    any_qmatrix const& codes = q.matrix;
    auto const group = static_cast<std::size_t>(layout.grain.cols);
    auto const plan = plan_compressed({codes.rows(), codes.cols()}, layout);
    detail::require_grid("compressed-tensors", codes, detail::compressed_element(layout), group,
                         layout.is_symmetric);
    bool const is_packed = layout.format == compressed_format::pack_quantized;
    if (!detail::has_runs(q) && (!layout.has_order || !is_packed))
        detail::refuse_layout("compressed-tensors", "groups of neighbouring columns",
                              "columns in an order", "set has_order of a packed layout");
    auto const fields = detail::fields_by_input(q);
    auto const zeros = detail::zeros_by_group(codes);
    auto scales = detail::write_scales(codes, layout.scale, true);
    encoded_layer layer;
    scales.report(layer);
    auto const bytes_of = [&](std::string_view suffix) {
        if (suffix == "weight_packed")
            return detail::little_endian_bytes(
                pack_compressed_weight(fields.view(), layout.bits, layout.fill));
        if (suffix == "weight_shape") return detail::shape_bytes({codes.rows(), codes.cols()});
        if (suffix == "weight_scale") return scales.take();
        if (suffix == "weight_zero_point")
            return is_packed ? detail::little_endian_bytes(
                                   pack_compressed_zeros(zeros.view(), layout.bits, layout.fill))
                             : detail::signed_bytes(zeros);
        if (suffix == "weight_g_idx") {
            auto const groups = detail::groups_by_input(q);
            return detail::little_endian_bytes(std::span<std::int32_t const>(groups));
        }
        return layout.format == compressed_format::int_quantized
                   ? detail::signed_bytes(fields)
                   : detail::little_endian_bytes(std::span<std::uint8_t const>(fields.values));
    };
    for (tensor_plan const& tensor : plan)
        layer.tensors.push_back({tensor, bytes_of(tensor.suffix)});
    return layer;
}

namespace detail {

/// out and in of a packed weight.
[[nodiscard]] inline layer_shape read_weight_shape(layer_tensors const& layer) {
    stored_tensor const& tensor = layer.at("weight_shape");
    if (tensor.shape != std::vector<std::uint64_t>{2} ||
        (tensor.type != dtype::i64 && tensor.type != dtype::i32))
        layer.refuse("weight_shape", "I64 or I32 [2]", tensor);
    std::array<std::int64_t, 2> sides{};
    for (std::size_t i = 0; i < 2; ++i)
        sides[i] = tensor.type == dtype::i64
                       ? load_little_endian<std::int64_t>(tensor.bytes.data() + 8 * i)
                       : load_little_endian<std::int32_t>(tensor.bytes.data() + 4 * i);
    if (sides[0] <= 0 || sides[1] <= 0 || sides[1] > 0x7fffffff)
        layer.refuse("weight_shape", "two positive numbers",
                     std::to_string(sides[0]) + ", " + std::to_string(sides[1]));
    return {static_cast<std::size_t>(sides[0]), static_cast<std::size_t>(sides[1])};
}

/// How n fields lie in so many words. Throws shape_error for a count that fits neither.
[[nodiscard]] inline word_fill read_fill(std::uint64_t words, std::size_t n, int bits) {
    for (word_fill const fill : {word_fill::stream, word_fill::whole})
        if (compressed_words(n, bits, fill) == words) return fill;
    require_words("weight_packed: columns", static_cast<std::size_t>(words), n, bits,
                  word_fill::stream);
    return word_fill::stream;
}

/// Do so many fields take as many words in both fills, though not the same ones?
[[nodiscard]] inline bool is_ambiguous(std::size_t n, int bits) noexcept {
    return 32 % bits != 0 && n > fields_per_word(bits) &&
           compressed_words(n, bits, word_fill::whole) ==
               compressed_words(n, bits, word_fill::stream);
}

/// Codes [out, in] by input, and how words were filled.
[[nodiscard]] inline std::pair<row_major<std::uint8_t>, word_fill> read_compressed_codes(
    layer_tensors const& layer, compressed_layout const& layout) {
    if (layout.format == compressed_format::pack_quantized) {
        stored_tensor const& words = layer.matrix_at("weight_packed", dtype::i32);
        layer_shape const shape = read_weight_shape(layer);
        if (words.shape[0] != shape.out)
            layer.refuse("weight_packed", std::to_string(shape.out) + " rows", words);
        word_fill const fill = read_fill(words.shape[1], shape.in, layout.bits);
        return {unpack_compressed_weight(words_of(words).view(), layout.bits, shape.in, fill),
                fill};
    }
    if (layout.format == compressed_format::int_quantized)
        return {signed_fields(layer.matrix_at("weight", dtype::i8)), word_fill::stream};
    stored_tensor const& floats = layer.matrix_at("weight", dtype::f8_e4m3);
    row_major<std::uint8_t> fields{.rows = static_cast<std::size_t>(floats.shape[0]),
                                   .cols = static_cast<std::size_t>(floats.shape[1]),
                                   .values = numbers_of<std::uint8_t>(floats)};
    for (std::uint8_t const f : fields.values)
        if ((f & 0x7fu) == 0x7fu) layer.refuse("weight: expected numbers, found NaN");
    return {std::move(fields), word_fill::stream};
}

/// Zero points [rows, groups] as fields.
[[nodiscard]] inline row_major<std::uint8_t> read_compressed_zeros(layer_tensors const& layer,
                                                                   compressed_layout const& layout,
                                                                   std::size_t rows,
                                                                   std::size_t groups,
                                                                   word_fill fill) {
    stored_tensor const& tensor = layer.at("weight_zero_point");
    bool const is_one = layout.grain == per_tensor;
    if (tensor.type == dtype::i32 && !is_one) {
        layer.at("weight_zero_point", dtype::i32,
                 {compressed_words(rows, layout.bits, fill), groups});
        return unpack_compressed_zeros(words_of(tensor).view(), layout.bits, rows, fill);
    }
    // Older files have the zero points as they are.
    if (!is_one) layer.at("weight_zero_point", dtype::i8, {rows, groups});
    if (tensor.type != dtype::i8 || tensor.bytes.size() != rows * groups)
        layer.refuse("weight_zero_point", "I8 with one element", tensor);
    int const middle = 1 << (layout.bits - 1);
    row_major<std::uint8_t> zeros{.rows = rows, .cols = groups};
    for (std::size_t i = 0; i < zeros.values.size(); ++i) {
        int const zero = static_cast<std::int8_t>(tensor.bytes[i]);
        if (zero < -middle || zero >= middle)
            layer.refuse(
                "weight_zero_point",
                "numbers from " + std::to_string(-middle) + " to " + std::to_string(middle - 1),
                std::to_string(zero));
        zeros.values[i] = static_cast<std::uint8_t>(zero + middle);
    }
    return zeros;
}

/// A scale of the whole tensor, [1] or [], as read_scales reads [1, 1].
[[nodiscard]] inline layer_tensors with_one_scale(layer_tensors layer) {
    stored_tensor scale = layer.at("weight_scale");
    if (scale.bytes.size() * 8 == bits_of(scale.type)) scale.shape = {1, 1};
    layer.add("weight_scale", std::move(scale));
    return layer;
}

}  // namespace detail

/// The codes of a layer, of the layout's format, bits, grain and symmetry. Throws io_error naming what is
/// wrong.
[[nodiscard]] inline stored_layer read_compressed(layer_tensors const& layer,
                                                  compressed_layout const& layout) {
    return layer.checked([&] {
        detail::require_compressed_layout(layout);
        auto const [fields, fill] = detail::read_compressed_codes(layer, layout);
        bool const is_one = layout.grain == per_tensor;
        std::size_t const rows = is_one ? 1 : fields.rows,
                          groups = detail::whole_groups(layout.grain, fields.cols);
        auto scales = detail::read_scales(is_one ? detail::with_one_scale(layer) : layer,
                                          "weight_scale", rows, groups, true);
        row_major<std::uint8_t> zeros;
        if (!layout.is_symmetric)
            zeros = detail::read_compressed_zeros(layer, layout, rows, groups, fill);
        std::vector<std::uint32_t> order;
        if (stored_tensor const* const index = layer.find("weight_g_idx")) {
            // Files without an order may hold -1 throughout.
            auto const is_unset = [](std::byte b) { return b == std::byte{0xff}; };
            if (!std::ranges::all_of(index->bytes, is_unset))
                order = detail::read_order(layer, "weight_g_idx", fields.cols,
                                           detail::group_width(layout.grain, fields.cols));
        }
        scheme const s{.element = detail::compressed_element(layout),
                       .grain = layout.grain,
                       .zero = layout.is_symmetric ? origin::fixed : origin::floating,
                       .scale = scales.type};
        stored_layer result;
        if (layout.format == compressed_format::pack_quantized &&
            detail::is_ambiguous(fields.cols, layout.bits))
            result.note =
                "the count of words does not tell whether codes of " + std::to_string(layout.bits) +
                " bits lie in two words; they are read as if, as files since 2026 have it";
        result.weight = detail::matrix_of(s, fields, std::move(scales), zeros, std::move(order));
        return result;
    });
}

}  // namespace qtk
