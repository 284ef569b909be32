// SPDX-License-Identifier: Apache-2.0
//
// In which number format does a linear layer run? A spelling for weights and activations together:
//
//   stored                   as the model file has them
//   fp32 | fp16 | bf16       floats
//   w8a8                     i8/channel@a8          int8 by row on both sides
//   w8a8_static              i8/channel@a8_static   the same, activations with one scale for all rows
//   llm_int8[:THRESHOLD]     i8/channel@llm_int8    the same with outlier columns as floats, from 6
//   w4a8                     i4/g128/sym@a8_group   4-bit weights, int8 activations by group
//   w4 | w3 | w2             iB/g128/asym/f16       weight-only
//   SCHEME[@ACTIVATIONS]     any scheme of core/spelling.hpp; f32 (the default), bf16, a8, a8_group,
//                            aB_static, aB_static_asym (2 to 8 bits, activation_grid.hpp),
//                            llm_int8[:THRESHOLD]
//   sim:FORMAT               the same rounded in floats, without the packed kernels
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/half.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/weights.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/range/minmax.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

struct layer_format {
    enum class storage : std::uint8_t { stored, f32, f16, bf16, codes };

    std::string name;  ///< as it was written
    storage weights = storage::stored;
    std::optional<qtk::scheme> scheme;  ///< of codes
    layer_activations activations;
    bool is_simulated = false;
};

namespace detail {

[[nodiscard]] inline layer_activations parse_activations(std::string_view text) {
    if (text == "f32") return {};
    if (text == "bf16") return {.type = activation_type::bf16};
    if (text == "a8") return {.type = activation_type::a8_row};
    if (text == "a8_group") return {.type = activation_type::a8_group};
    if (text.size() > 2 && text[0] == 'a' && text[1] >= '2' && text[1] <= '8') {
        bool const is_symmetric = text.substr(2) == "_static";
        if (is_symmetric || text.substr(2) == "_static_asym")
            return {.type = activation_type::a8_static,
                    .grid = activation_codes(text[1] - '0', is_symmetric)};
    }
    constexpr std::string_view outliers = "llm_int8";
    if (text.starts_with(outliers)) {
        layer_activations how{.type = activation_type::a8_row, .has_outliers = true};
        if (text == outliers) return how;
        std::string_view const number = text.substr(std::min(text.size(), outliers.size() + 1));
        auto const [end, failure] =
            std::from_chars(number.data(), number.data() + number.size(), how.threshold);
        if (text[outliers.size()] == ':' && failure == std::errc{} &&
            end == number.data() + number.size() && how.threshold > 0.0f)
            return how;
    }
    throw value_error(
        "activations: expected f32, bf16, a8, a8_group, aB_static[_asym] with B from 2 to 8, or "
        "llm_int8[:THRESHOLD], found "
        "\"" +
        std::string(text) + "\"");
}

/// The long spelling of a short name.
[[nodiscard]] inline std::string long_format(std::string_view name) {
    if (name == "w8a8") return "i8/channel@a8";
    if (name == "w8a8_static") return "i8/channel@a8_static";
    if (name.starts_with("llm_int8")) return "i8/channel@" + std::string(name);
    if (name == "w4a8") return "i4/g128/sym@a8_group";
    if (name == "nf4") return "nf4/g64";
    for (char const bits : {'4', '3', '2'})
        if (name == std::string{'w', bits}) return std::string{'i', bits} + "/g128/asym/f16";
    return std::string(name);
}

}  // namespace detail

/// Throws value_error that shows what was expected.
[[nodiscard]] inline layer_format parse_layer_format(std::string_view text) {
    using enum layer_format::storage;
    layer_format format{.name = std::string(text), .scheme = {}, .activations = {}};
    constexpr std::string_view simulated = "sim:";
    if (text.starts_with(simulated)) {
        format.is_simulated = true;
        text.remove_prefix(simulated.size());
    }
    if (text == "stored" || text == "fp32" || text == "fp16" || text == "bf16") {
        if (format.is_simulated)
            throw value_error("\"" + format.name + "\": floats have nothing to simulate");
        format.weights = text == "stored" ? stored
                         : text == "fp32" ? f32
                         : text == "fp16" ? f16
                                          : bf16;
        return format;
    }
    std::string const spelled = detail::long_format(text);
    std::size_t const at = spelled.find('@');
    try {
        format.scheme = parse_scheme(std::string_view(spelled).substr(0, at));
    } catch (value_error const& fault) {
        throw value_error(
            std::string(fault.what()) +
            ". Hint: or one of stored, fp32, fp16, bf16, w8a8, w8a8_static, llm_int8, w4a8, w4, "
            "w3, w2, nf4, mxfp4");
    }
    format.weights = codes;
    if (at != spelled.npos)
        format.activations = detail::parse_activations(std::string_view(spelled).substr(at + 1));
    return format;
}

/// Puts `original`, the weight as it was loaded, into the layer in that format. The scale of static
/// activations is not part of a spelling: calibration sets format.activations.grid for each
/// layer. Throws value_error where scheme and activations do not go together or that scale is missing,
/// nonfinite_error for weights that have no codes.
inline void apply_format(linear& layer, weight_matrix const& original, layer_format const& format) {
    using enum layer_format::storage;
    switch (format.weights) {
        case stored:
            layer.set_weight(original);
            return;
        case f32:
            layer.set_weight(original.floats());
            return;
        case f16:
            layer.set_weight(half_weight(original.floats().view(), gguf_type::f16));
            return;
        case bf16:
            layer.set_weight(half_weight(original.floats().view(), gguf_type::bf16));
            return;
        case codes:
            break;
    }
    layer.set_weight(quantize_any(original.floats(), *format.scheme, minmax_range{},
                                  {.name = layer.name().c_str()}));
    if (format.is_simulated)
        layer.simulate(format.activations);
    else
        layer.pack(format.activations);
}

}  // namespace qtk
