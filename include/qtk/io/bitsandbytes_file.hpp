// SPDX-License-Identifier: Apache-2.0
//
// How does a layer lie in a checkpoint of bitsandbytes? Codes of nf4 or fp4, the matrix flattened row by
// row; a block of neighbours shares its largest magnitude:
//
//   LAYER.weight                                   U8 [ceil(n / 2), 1]
//   LAYER.weight.absmax                            F32 [blocks], nested: U8 [blocks]
//   LAYER.weight.quant_map                         F32 [16], the levels
//   LAYER.weight.nested_absmax                     F32 [ceil(blocks / 256)]     nested only
//   LAYER.weight.nested_quant_map                  F32 [256]                    nested only
//   LAYER.weight.quant_state.bitsandbytes__nf4     U8: JSON with shape, blocksize, nested_offset, ...
//
//   W = quant_map[code] * absmax,   nested: absmax = nested_quant_map[a] * nested_absmax + nested_offset
//
// Nested scales are rounded to 8 bits: encoding says by how much. Blocks may end inside a row in such
// files; a matrix of codes cannot say so, and they are refused. GPT-2's matrices are [out, in], too.
#pragma once

#include <qtk/format/bitsandbytes_packing.hpp>
#include <qtk/format/codebook.hpp>
#include <qtk/format/dynamic_map.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/layer_tensors.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// What a layer of 4 bits is to be stored as. A reader finds block and nesting in the file.
struct bitsandbytes_layout {
    format element = nf4;    ///< nf4 or fp4
    std::size_t block = 64;  ///< neighbours that share a scale: 32, 64, ... 4096
    bool is_nested = false;
    scale_type original = scale_type::f16;  ///< what the weight was: f32, f16 or bf16
};

inline constexpr std::array<std::string_view, 7> bitsandbytes_suffixes{
    "weight",
    "weight.absmax",
    "weight.quant_map",
    "weight.nested_absmax",
    "weight.nested_quant_map",
    "weight.quant_state.bitsandbytes__nf4",
    "weight.quant_state.bitsandbytes__fp4"};

namespace detail {

inline constexpr std::size_t nested_block = 256;
/// Spaces fill the JSON up, so that its size is known before its numbers are.
inline constexpr std::size_t quant_state_bytes = 256;

[[nodiscard]] constexpr bool is_bitsandbytes_block(std::uint64_t block) noexcept {
    return block >= 32 && block <= 4096 && (block & (block - 1)) == 0;
}

/// The tiles of [out, in] that blocks of neighbours make: parts of a row, or whole rows. Throws
/// value_error if blocks end inside rows.
[[nodiscard]] inline granularity block_grain(std::size_t block, std::size_t in) {
    if (in % block == 0) return {.rows = 1, .cols = static_cast<int>(block)};
    if (block % in == 0)
        return {.rows = static_cast<int>(block / in), .cols = static_cast<int>(in)};
    refuse_layout(
        "bitsandbytes", "blocks that end with a row",
        "blocks of " + std::to_string(block) + " in rows of " + std::to_string(in) + " columns");
}

[[nodiscard]] inline std::string state_suffix(format const& element) {
    return "weight.quant_state.bitsandbytes__" + std::string(name_of(element));
}
[[nodiscard]] inline std::span<float const> levels_in(format const& element) noexcept {
    return element == nf4 ? nf4_levels : fp4_levels;
}

struct original_name {
    scale_type type;
    std::string_view name;
};
inline constexpr std::array<original_name, 3> original_names{
    {{scale_type::f32, "float32"}, {scale_type::f16, "float16"}, {scale_type::bf16, "bfloat16"}}};

[[nodiscard]] inline std::vector<std::byte> quant_state_of(layer_shape shape,
                                                           bitsandbytes_layout const& layout,
                                                           float nested_offset) {
    nlohmann::ordered_json json;
    json["quant_type"] = name_of(layout.element);
    json["blocksize"] = layout.block;
    for (auto const& [type, name] : original_names)
        if (type == layout.original) json["dtype"] = name;
    json["shape"] = {shape.out, shape.in};
    if (layout.is_nested) {
        json["nested_blocksize"] = nested_block;
        json["nested_dtype"] = "float32";
        json["nested_offset"] = static_cast<double>(nested_offset);
    }
    std::string text = json.dump();
    text.resize(quant_state_bytes, ' ');
    return little_endian_bytes(std::span<char const>(text));
}

/// Adds absmax [blocks] as bytes, with the tensors that decode them. Returns nested_offset.
inline float nest_scales(std::vector<float> const& scales, scale_writer& changes,
                         std::vector<std::byte>& fields, std::vector<float>& largest) {
    double sum = 0.0;
    for (float const s : scales) sum += static_cast<double>(s);
    auto const offset = static_cast<float>(sum / static_cast<double>(scales.size()));
    for (std::size_t first = 0; first < scales.size(); first += nested_block) {
        std::size_t const end = std::min(scales.size(), first + nested_block);
        float most = 0.0f;
        for (std::size_t i = first; i < end; ++i)
            most = std::max(most, std::abs(scales[i] - offset));
        largest.push_back(most);
        for (std::size_t i = first; i < end; ++i) {
            std::uint8_t const field =
                nearest_dynamic_field(most == 0.0f ? 0.0f : (scales[i] - offset) / most);
            fields.push_back(static_cast<std::byte>(field));
            changes.note(scales[i], dynamic_levels[field] * most + offset);
        }
    }
    return offset;
}

}  // namespace detail

/// The tensors that a layer will have, in the order of encode_bitsandbytes. Throws value_error for another
/// format or block.
[[nodiscard]] inline std::vector<tensor_plan> plan_bitsandbytes(layer_shape shape,
                                                                bitsandbytes_layout const& layout) {
    if (layout.element != nf4 && layout.element != fp4)
        detail::refuse_layout("bitsandbytes", "nf4 or fp4", std::string(name_of(layout.element)));
    if (!detail::is_bitsandbytes_block(layout.block))
        detail::refuse_layout("bitsandbytes", "blocks of 32, 64, ... 4096",
                              std::to_string(layout.block));
    static_cast<void>(detail::block_grain(layout.block, shape.in));
    std::size_t const n = checked_mul(shape.out, shape.in), blocks = div_ceil(n, layout.block);
    std::vector<tensor_plan> plan{
        {"weight", dtype::u8, {div_ceil(n, 2), 1}},
        {"weight.absmax", layout.is_nested ? dtype::u8 : dtype::f32, {blocks}},
        {"weight.quant_map", dtype::f32, {16}},
        {detail::state_suffix(layout.element), dtype::u8, {detail::quant_state_bytes}}};
    if (layout.is_nested) {
        plan.push_back(
            {"weight.nested_absmax", dtype::f32, {div_ceil(blocks, detail::nested_block)}});
        plan.push_back({"weight.nested_quant_map", dtype::f32, {256}});
    }
    return plan;
}

/// Throws value_error for another format or grid than the layout's, an order of columns, or a scale that
/// is not finite.
[[nodiscard]] inline encoded_layer encode_bitsandbytes(ordered_qmatrix const& q,
                                                       bitsandbytes_layout const& layout) {
    require_order(q);
    any_qmatrix const& codes = q.matrix;
    scheme const& s = codes.scheme();
    if (s.element != layout.element)
        detail::refuse_layout("bitsandbytes", std::string(name_of(layout.element)), to_string(s));
    if (codes.size() == 0) detail::refuse_layout("bitsandbytes", "rows and columns", "none");
    auto const plan = plan_bitsandbytes({codes.rows(), codes.cols()}, layout);
    tile_grid const grid(detail::block_grain(layout.block, codes.cols()), codes.rows(),
                         codes.cols());
    if (codes.grid().rows != grid.rows || codes.grid().cols != grid.cols)
        detail::refuse_layout("bitsandbytes",
                              "one scale for " + std::to_string(layout.block) + " neighbours",
                              to_string(s));
    if (!q.order.empty())
        detail::refuse_layout("bitsandbytes", "columns where they were", "columns in an order");
    encoded_layer layer;
    detail::scale_writer changes(scale_type::f32);
    std::vector<float> scales, largest;
    std::vector<std::byte> fields;
    float offset = 0.0f;
    for (std::size_t i = 0; i < grid.down; ++i)
        for (std::size_t j = 0; j < grid.across; ++j) {
            scales.push_back(codes.params(i, j).scale);
            changes.add(scales.back(), i * grid.rows, j);
        }
    if (layout.is_nested) offset = detail::nest_scales(scales, changes, fields, largest);
    changes.report(layer);
    auto const bytes = pack_bitsandbytes(detail::fields_by_input(q).values);
    layer.tensors = {
        {plan[0], detail::little_endian_bytes(std::span<std::uint8_t const>(bytes))},
        {plan[1], layout.is_nested ? std::move(fields) : changes.take()},
        {plan[2], detail::little_endian_bytes(detail::levels_in(layout.element))},
        {plan[3], detail::quant_state_of({codes.rows(), codes.cols()}, layout, offset)}};
    if (layout.is_nested) {
        layer.tensors.push_back(
            {plan[4], detail::little_endian_bytes(std::span<float const>(largest))});
        layer.tensors.push_back(
            {plan[5], detail::little_endian_bytes(std::span<float const>(dynamic_levels))});
    }
    return layer;
}

namespace detail {

/// What quant_state says.
struct quant_state {
    format element = nf4;
    std::size_t block = 0, out = 0, in = 0;
    float nested_offset = 0.0f;
    bool is_nested = false;
};

[[nodiscard]] inline quant_state read_quant_state(layer_tensors const& layer) {
    quant_state state;
    for (format const& element : {nf4, fp4})
        if (layer.has(state_suffix(element))) state.element = element;
    std::string const suffix = state_suffix(state.element);
    stored_tensor const& tensor = layer.at(suffix);
    if (tensor.type != dtype::u8 || tensor.shape.size() != 1)
        layer.refuse(suffix, "U8 with one axis", tensor);
    std::string const where = layer.path() + ": layer " + qtk::quoted(layer.name()) + ": " + suffix;
    auto const* const text = reinterpret_cast<char const*>(tensor.bytes.data());
    nlohmann::json const json = parse_strict_json({text, tensor.bytes.size()}, where);
    json_fields const fields(where);
    std::string_view const type = name_of(state.element);
    if (!json_fields::is(json, "quant_type", type))
        fields.refuse_kind("quant_type", qtk::quoted(type),
                           json_fields::member(json, "quant_type"));
    state.block = static_cast<std::size_t>(fields.whole(json, "blocksize", 32, 4096));
    if (!is_bitsandbytes_block(state.block))
        layer.refuse(suffix, "a blocksize of 32, 64, ... 4096", std::to_string(state.block));
    auto const& shape = fields.array(json, "shape");
    auto const is_side = [](nlohmann::json const& side) {
        return side.is_number_unsigned() && side.get<std::uint64_t>() > 0 &&
               side.get<std::uint64_t>() <= 0x7fffffffu;
    };
    if (shape.size() != 2 || !is_side(shape[0]) || !is_side(shape[1]))
        fields.refuse_kind("shape", "two positive numbers", shape);
    state.out = shape[0].get<std::size_t>(), state.in = shape[1].get<std::size_t>();
    state.is_nested = layer.has("weight.nested_absmax") || layer.has("weight.nested_quant_map") ||
                      json.contains("nested_offset");
    if (state.is_nested) {
        state.nested_offset = static_cast<float>(fields.number(json, "nested_offset"));
        static_cast<void>(fields.whole(json, "nested_blocksize", nested_block, nested_block));
    }
    return state;
}

/// Finite floats of a tensor [n].
[[nodiscard]] inline std::vector<float> finite_floats(layer_tensors const& layer,
                                                      std::string_view suffix, std::size_t n) {
    auto values = numbers_of<float>(layer.at(suffix, dtype::f32, {n}));
    if (nonfinite_scan const found = find_nonfinite(values); found.count > 0)
        layer.refuse(suffix, "finite numbers",
                     "NaN or infinity at index " + std::to_string(found.first));
    return values;
}

/// One scale a block.
[[nodiscard]] inline std::vector<float> read_absmax(layer_tensors const& layer,
                                                    quant_state const& state, std::size_t blocks) {
    if (!state.is_nested) return finite_floats(layer, "weight.absmax", blocks);
    stored_tensor const& fields = layer.at("weight.absmax", dtype::u8, {blocks});
    auto const largest =
        finite_floats(layer, "weight.nested_absmax", div_ceil(blocks, nested_block));
    auto const level = finite_floats(layer, "weight.nested_quant_map", 256);
    std::vector<float> scales(blocks);
    for (std::size_t i = 0; i < blocks; ++i)
        scales[i] = level[static_cast<std::size_t>(fields.bytes[i])] * largest[i / nested_block] +
                    state.nested_offset;
    if (nonfinite_scan const found = find_nonfinite(scales); found.count > 0)
        layer.refuse("weight.absmax", "finite scales",
                     "NaN or infinity at block " + std::to_string(found.first));
    return scales;
}

}  // namespace detail

/// The codes of a layer. Throws io_error naming what is wrong; among it blocks that end inside a row.
[[nodiscard]] inline stored_layer read_bitsandbytes(layer_tensors const& layer) {
    return layer.checked([&] {
        detail::quant_state const state = detail::read_quant_state(layer);
        std::size_t const n = checked_mul(state.out, state.in), blocks = div_ceil(n, state.block);
        stored_tensor const& weight = layer.at("weight", dtype::u8, {div_ceil(n, 2), 1});
        auto const levels = detail::finite_floats(layer, "weight.quant_map", 16);
        if (!std::ranges::equal(levels, detail::levels_in(state.element)))
            layer.refuse("weight.quant_map: the levels are not those of " +
                         std::string(name_of(state.element)));
        granularity const grain = detail::block_grain(state.block, state.in);
        auto const absmax = detail::read_absmax(layer, state, blocks);
        auto const bytes = detail::numbers_of<std::uint8_t>(weight);
        row_major<std::uint8_t> const fields{
            .rows = state.out, .cols = state.in, .values = unpack_bitsandbytes(bytes, n)};
        detail::stored_scales scales;
        for (std::byte const b : detail::little_endian_bytes(std::span<float const>(absmax)))
            scales.patterns.push_back(static_cast<std::uint8_t>(b));
        return stored_layer{detail::matrix_of({.element = state.element, .grain = grain}, fields,
                                              std::move(scales), {}, {}),
                            {}};
    });
}

}  // namespace qtk
