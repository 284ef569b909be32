// SPDX-License-Identifier: Apache-2.0
//
// Of which parts does a network consist, when one asks which part pays? Blocks, and in each block its modules:
//
//   q k v o   queries, keys, values and output of the attention
//   up down   feed-forward part, and gate where it has one
//
// Where one matrix makes queries, keys and values, its rows are three modules.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/model/decoder.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// Rows of a linear layer of a block, `layer` in the order of for_each_linear_of().
struct network_module {
    std::string name;
    std::size_t layer = 0, first_row = 0, rows = 0;
};

/// Modules of each block, one bit a module: bit i is module i of modules_of(). Which of them are quantized
/// is a mixture.
using mixture = std::vector<std::uint32_t>;

namespace detail {
[[nodiscard]] inline std::vector<std::string_view> layer_kinds(gpt2_block const&) {
    return {"qkv", "o", "up", "down"};
}
[[nodiscard]] inline std::vector<std::string_view> layer_kinds(opt_block const&) {
    return {"q", "k", "v", "o", "up", "down"};
}
[[nodiscard]] inline std::vector<std::string_view> layer_kinds(llama_block const&) {
    return {"q", "k", "v", "o", "gate", "up", "down"};
}
}  // namespace detail

/// The modules of block i, i < block_count(); the same kinds in every block of a network.
[[nodiscard]] inline std::vector<network_module> modules_of(decoder const& network, std::size_t i) {
    std::vector<network_module> modules;
    network.visit_block(i, [&](auto const& block) {
        auto const kinds = detail::layer_kinds(block);
        std::size_t layer = 0;
        block.for_each_linear([&](linear const& l) {
            std::string_view const kind = kinds[layer];
            std::size_t const rows = kind == "qkv" ? l.out() / 3 : l.out();
            for (std::size_t part = 0; part * rows < l.out(); ++part)
                modules.push_back({kind == "qkv" ? std::string(1, kind[part]) : std::string(kind),
                                   layer, part * rows, rows});
            ++layer;
        });
    });
    return modules;
}

/// Those of `modules`, all of one block, that belong to its linear layer `layer`.
[[nodiscard]] inline std::uint32_t modules_of_layer(std::vector<network_module> const& modules,
                                                    std::size_t layer) noexcept {
    std::uint32_t bits = 0;
    for (std::size_t m = 0; m < modules.size(); ++m)
        if (modules[m].layer == layer) bits |= 1u << m;
    return bits;
}

/// A part by its name: L3 a block, L3.q a module of it, q that module of all blocks.
struct network_part {
    std::string name;
    mixture modules;  ///< those that belong to it
};

/// All blocks.
[[nodiscard]] inline std::vector<network_part> blocks_of(decoder const& network) {
    std::vector<network_part> parts;
    for (std::size_t i = 0; i < network.block_count(); ++i) {
        parts.push_back({"L" + std::to_string(i), mixture(network.block_count())});
        std::size_t const modules = modules_of(network, i).size();
        parts.back().modules[i] = static_cast<std::uint32_t>((std::uint64_t{1} << modules) - 1);
    }
    return parts;
}
/// All modules of all blocks.
[[nodiscard]] inline std::vector<network_part> block_modules_of(decoder const& network) {
    std::vector<network_part> parts;
    for (std::size_t i = 0; i < network.block_count(); ++i) {
        auto const modules = modules_of(network, i);
        for (std::size_t m = 0; m < modules.size(); ++m) {
            parts.push_back(
                {"L" + std::to_string(i) + "." + modules[m].name, mixture(network.block_count())});
            parts.back().modules[i] = 1u << m;
        }
    }
    return parts;
}
/// All linear layers: what can be kept out of quantization in a file. One that is several modules is named after
/// them all: L0.qkv.
[[nodiscard]] inline std::vector<network_part> layers_of(decoder const& network) {
    std::vector<network_part> parts;
    for (std::size_t i = 0; i < network.block_count(); ++i) {
        auto const modules = modules_of(network, i);
        for (std::size_t m = 0; m < modules.size(); ++m) {
            if (m == 0 || modules[m].layer != modules[m - 1].layer)
                parts.push_back({"L" + std::to_string(i) + ".", mixture(network.block_count())});
            parts.back().name += modules[m].name;
            parts.back().modules[i] |= 1u << m;
        }
    }
    return parts;
}
/// All kinds of modules, each in all blocks.
[[nodiscard]] inline std::vector<network_part> module_kinds_of(decoder const& network) {
    std::vector<network_part> parts;
    if (network.block_count() == 0) return parts;
    auto const modules = modules_of(network, 0);
    for (std::size_t m = 0; m < modules.size(); ++m)
        parts.push_back({modules[m].name, mixture(network.block_count(), 1u << m)});
    return parts;
}

/// Everything.
[[nodiscard]] inline mixture whole_network(decoder const& network) {
    mixture all(network.block_count());
    for (network_part const& block : blocks_of(network))
        for (std::size_t i = 0; i < all.size(); ++i) all[i] |= block.modules[i];
    return all;
}
/// What of `all` is left without `taken`.
[[nodiscard]] inline mixture without(mixture all, mixture const& taken) {
    QTK_EXPECTS(all.size() == taken.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] &= ~taken[i];
    return all;
}

/// The place in `parts` of what a user calls it: a name of a part, a number of a block, or first, middle, last of
/// the blocks. Throws value_error with what there is.
[[nodiscard]] inline std::size_t find_part(std::vector<network_part> const& parts,
                                           std::string_view name) {
    std::string wanted(name);
    if (!parts.empty()) {
        if (name == "first") wanted = parts.front().name;
        if (name == "middle") wanted = parts[parts.size() / 2].name;
        if (name == "last") wanted = parts.back().name;
        if (!name.empty() && name.find_first_not_of("0123456789") == name.npos)
            wanted = "L" + wanted;
    }
    auto const found = std::ranges::find(parts, wanted, &network_part::name);
    if (found != parts.end()) return static_cast<std::size_t>(found - parts.begin());
    throw value_error("layer " + quoted(name) + ": the model has " +
                      (parts.empty()
                           ? std::string("no layers")
                           : std::to_string(parts.size()) + ", " + parts.front().name + " to " +
                                 parts.back().name + "; first, middle and last are names too"));
}

}  // namespace qtk
