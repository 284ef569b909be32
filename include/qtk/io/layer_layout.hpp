// SPDX-License-Identifier: Apache-2.0
//
// Which tensors does a layer have in the layout of this configuration, and back? The front of the headers of
// GPTQ, AWQ, bitsandbytes and compressed-tensors files: plan, encode and read by a quantization_config.
//
// Codes go from one layout to another without change wherever both can hold the grid: read_layer, then
// encode_layer. encoded_layer says whether scales had to be rounded on the way.
#pragma once

#include <qtk/io/awq_file.hpp>
#include <qtk/io/bitsandbytes_file.hpp>
#include <qtk/io/compressed_fp4_file.hpp>
#include <qtk/io/compressed_tensors_file.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/gptq_file.hpp>
#include <qtk/io/layer_tensors.hpp>
#include <qtk/io/llm_int8_file.hpp>
#include <qtk/io/quantization_config.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

namespace detail {

[[nodiscard]] inline bool is_fp4(quantization_config const& c) noexcept {
    return c.scheme.element == e2m1;
}
[[nodiscard]] inline bool is_llm_int8(quantization_config const& c) noexcept {
    return c.scheme.element.is_integer();
}
[[nodiscard]] inline std::size_t group_of(quantization_config const& c) noexcept {
    return static_cast<std::size_t>(c.scheme.grain.cols);
}
[[nodiscard]] inline gptq_layout as_gptq(quantization_config const& c) noexcept {
    return {c.scheme.element.bits, group_of(c), !c.scheme.has_zero_point(), c.version};
}
[[nodiscard]] inline bitsandbytes_layout as_bitsandbytes(quantization_config const& c) noexcept {
    // A grain of whole rows is a block, too.
    granularity const& g = c.scheme.grain;
    return {.element = c.scheme.element,
            .block = static_cast<std::size_t>(g.rows) * static_cast<std::size_t>(g.cols),
            .is_nested = c.is_nested};
}
[[nodiscard]] inline compressed_layout as_compressed(quantization_config const& c) noexcept {
    using enum compressed_format;
    scheme const& s = c.scheme;
    return {.format = s.element == e4m3 ? float_quantized
                      : c.is_packed     ? pack_quantized
                                        : int_quantized,
            .bits = s.element.bits,
            .grain = s.grain,
            .is_symmetric = !s.has_zero_point(),
            .scale = s.scale,
            .fill = c.fill,
            .has_order = c.has_order};
}

}  // namespace detail

/// What stands after "LAYER." in the layout.
[[nodiscard]] inline std::span<std::string_view const> layer_suffixes(
    quantization_config const& c) noexcept {
    switch (c.layout) {
        case weight_layout::gptq:
            return gptq_suffixes;
        case weight_layout::awq:
            return awq_suffixes;
        case weight_layout::bitsandbytes:
            if (detail::is_llm_int8(c)) return llm_int8_suffixes;
            return bitsandbytes_suffixes;
        case weight_layout::compressed_tensors:
            break;
    }
    if (detail::is_fp4(c)) return compressed_fp4_suffixes;
    return compressed_suffixes;
}

/// The tensor without which a layer is not quantized.
[[nodiscard]] inline std::string_view layer_mark(quantization_config const& c) noexcept {
    switch (c.layout) {
        case weight_layout::gptq:
        case weight_layout::awq:
            return "qweight";
        case weight_layout::bitsandbytes:
            return detail::is_llm_int8(c) ? "SCB" : "weight.absmax";
        case weight_layout::compressed_tensors:
            break;
    }
    return "weight_scale";
}

/// The tensors that a layer will have. Throws value_error for a configuration that the layout cannot
/// express, shape_error for a shape that does not fill it.
[[nodiscard]] inline std::vector<tensor_plan> plan_layer(layer_shape shape,
                                                         quantization_config const& c) {
    switch (c.layout) {
        case weight_layout::gptq:
            return plan_gptq(shape, detail::as_gptq(c));
        case weight_layout::awq:
            return plan_awq(shape, {detail::group_of(c)});
        case weight_layout::bitsandbytes:
            if (detail::is_llm_int8(c)) return plan_llm_int8(shape);
            return plan_bitsandbytes(shape, detail::as_bitsandbytes(c));
        case weight_layout::compressed_tensors:
            break;
    }
    if (detail::is_fp4(c)) return plan_compressed_fp4(shape, c.scheme);
    return plan_compressed(shape, detail::as_compressed(c));
}

/// The tensors of a layer, in the order of plan_layer. Throws value_error where the layout cannot hold it
/// (format, grid, zero points, order of columns, scales too large), shape_error for a shape that does not
/// fill it.
[[nodiscard]] inline encoded_layer encode_layer(ordered_qmatrix const& q,
                                                quantization_config const& c) {
    switch (c.layout) {
        case weight_layout::gptq:
            return encode_gptq(q, detail::as_gptq(c));
        case weight_layout::awq:
            return encode_awq(q, {detail::group_of(c)});
        case weight_layout::bitsandbytes:
            if (detail::is_llm_int8(c)) return encode_llm_int8(q);
            return encode_bitsandbytes(q, detail::as_bitsandbytes(c));
        case weight_layout::compressed_tensors:
            break;
    }
    if (detail::is_fp4(c)) return encode_compressed_fp4(q);
    return encode_compressed(q, detail::as_compressed(c));
}

/// The codes of a layer. Throws io_error naming what is wrong.
[[nodiscard]] inline stored_layer read_layer(layer_tensors const& layer,
                                             quantization_config const& c) {
    switch (c.layout) {
        case weight_layout::gptq:
            return read_gptq(layer, detail::as_gptq(c));
        case weight_layout::awq:
            return read_awq(layer, {detail::group_of(c)});
        case weight_layout::bitsandbytes:
            if (detail::is_llm_int8(c)) return read_llm_int8(layer);
            return read_bitsandbytes(layer);
        case weight_layout::compressed_tensors:
            break;
    }
    if (detail::is_fp4(c)) return read_compressed_fp4(layer, c.scheme);
    return read_compressed(layer, detail::as_compressed(c));
}
/// The same from a safetensors_file or a checkpoint.
template <typename File>
[[nodiscard]] stored_layer read_layer(File const& file, std::string const& name,
                                      quantization_config const& c) {
    return read_layer(layer_tensors(file, name, layer_suffixes(c)), c);
}

/// The configuration that holds codes of this scheme in a layout, its scales in a type that the layout has.
/// Throws value_error where there is none.
[[nodiscard]] inline quantization_config quantization_config_for(weight_layout layout,
                                                                 scheme const& s) {
    quantization_config c;
    c.layout = layout, c.scheme = s;
    c.scheme.round = rounding::nearest_even;
    bool const is_bitsandbytes = layout == weight_layout::bitsandbytes;
    if (s.grain.rows != 1 && !is_bitsandbytes) c.scheme.grain.rows = 1;  // scales are repeated
    if (layout == weight_layout::gptq || layout == weight_layout::awq)
        c.scheme.scale = scale_type::f16;
    else if (is_bitsandbytes || (scale_bytes(s.scale) < 2 && s != nvfp4 && s != mxfp4))
        c.scheme.scale = scale_type::f32;
    if (layout == weight_layout::awq) c.scheme.zero = origin::floating;
    bool const is_integer = s.element.is_integer();
    if ((layout == weight_layout::gptq && !is_integer) ||
        (layout == weight_layout::awq && !(is_integer && s.element.bits == 4)))
        detail::refuse_layout(std::string(name_of(layout)),
                              layout == weight_layout::awq ? "integers of 4 bits" : "integers",
                              to_string(s));
    if (is_bitsandbytes && is_integer &&
        (s.element.bits != 8 || s.has_zero_point() || s.grain.cols != 0))
        detail::refuse_layout("bitsandbytes", "nf4, fp4 or i8/channel", to_string(s));
    if (layout == weight_layout::compressed_tensors && !is_integer && s.element != e2m1 &&
        s.element != e4m3)
        detail::refuse_layout("compressed-tensors", "integers, e4m3, mxfp4 or nvfp4", to_string(s));
    // A shape that every layout accepts shows whether it has the rest.
    std::size_t const in = s.grain.cols > 0 ? 256 * static_cast<std::size_t>(s.grain.cols) : 256;
    static_cast<void>(plan_layer({256, in}, c));
    return c;
}

}  // namespace qtk
