// SPDX-License-Identifier: Apache-2.0
//
// In which published layout do the layers of a model lie? One scheme holds for all layers that are quantized,
// but for groups of them that have their own (gptq, compressed-tensors).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/compressed_tensors_packing.hpp>
#include <qtk/format/gptq_packing.hpp>
#include <qtk/io/layer_targets.hpp>
#include <qtk/io/utf8.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

enum class weight_layout : std::uint8_t { gptq, awq, bitsandbytes, compressed_tensors };

inline constexpr std::array<std::pair<weight_layout, std::string_view>, 4> weight_layouts{
    {{weight_layout::gptq, "gptq"},
     {weight_layout::awq, "awq"},
     {weight_layout::bitsandbytes, "bitsandbytes"},
     {weight_layout::compressed_tensors, "compressed-tensors"}}};

[[nodiscard]] constexpr std::string_view name_of(weight_layout layout) noexcept {
    return weight_layouts[static_cast<std::size_t>(layout)].second;
}

/// Layers with a scheme of their own.
struct scheme_group {
    layer_targets targets;
    qtk::scheme scheme{};
    bool has_order = false, is_packed = true;  ///< as in quantization_config
};

struct quantization_config {
    weight_layout layout = weight_layout::gptq;
    /// Of every layer. Rounding says nothing here; neither does the grain of bitsandbytes' files, which
    /// hold it layer by layer, nor the type of scales, which tensors have by themselves.
    qtk::scheme scheme{.element = i4, .grain = per_group(128), .scale = scale_type::f16};
    gptq_version version = gptq_version::v1;  ///< gptq: what qzeros holds
    bool has_order = false;  ///< gptq, compressed-tensors: columns of a group lie apart (act-order)
    bool is_nested = false;  ///< bitsandbytes: scales are quantized, too
    bool is_packed = true;   ///< compressed-tensors: integers in 32-bit words, else as I8
    word_fill fill = word_fill::stream;  ///< compressed-tensors, when writing
    std::vector<scheme_group> groups;    ///< gptq, compressed-tensors: exceptions from `scheme`
    bool covers_all = true;              ///< false: layers of no group have no scheme
    std::vector<std::string> ignored;    ///< layers that stay floats
    std::vector<std::string> notes;      ///< what a file says and this program does not do
};

/// What holds for one layer: with the scheme of the group that fits it most closely, the first of them, and
/// without groups. Throws value_error if no scheme holds for it.
[[nodiscard]] inline quantization_config config_for(quantization_config c, std::string_view layer) {
    scheme_group const* best = nullptr;
    target_match closest = target_match::none;
    for (scheme_group const& group : c.groups)
        if (target_match const match = group.targets.match(layer); match > closest)
            best = &group, closest = match;
    if (best == nullptr && !c.covers_all)
        throw value_error("config_groups: the layer " + qtk::quoted(layer) +
                          " is no target of any group");
    if (best != nullptr)
        c.scheme = best->scheme, c.has_order = best->has_order, c.is_packed = best->is_packed;
    c.groups.clear();
    c.covers_all = true;
    return c;
}

}  // namespace qtk
