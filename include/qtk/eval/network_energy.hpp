// SPDX-License-Identifier: Apache-2.0
//
// What does a vision network have to do for one pass, in the forms in which its layers are, and what does
// that cost under each table? Shapes come from the network (network_product.hpp), widths from each layer's
// own form, traffic from a hierarchy of memories (energy/hierarchy.hpp), joules from a table:
//
//   floats 32, 16     codes their own width and, over all weights, the bits of scales and zero points
//   activations f32, bf16, int8, or the bits of their grid; outputs leave as wide as inputs come
//
// Each product stands alone: its operands come from the farthest memory, its outputs go back there, although a
// small network could keep activations near. Outlier columns of LLM.int8() are counted as int8. What is no
// product costs nothing here: norms, softmax, pooling, additions.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/energy/hierarchy.hpp>
#include <qtk/energy/model.hpp>
#include <qtk/energy/published.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/work.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/network_product.hpp>
#include <qtk/model/rounded_activations.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vit.hpp>
#include <qtk/model/weight_matrix.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace qtk {

/// How the numbers of a product are stored and meet.
struct product_widths {
    operand weight = operand::floating(32), activation = operand::floating(32);
    double weight_bits = 32.0;  ///< stored per weight, scales included
};

/// How wide activations are when they meet the weight.
[[nodiscard]] constexpr operand operand_of(activation_type type, int static_bits = 8) noexcept {
    switch (type) {
        case activation_type::f32:
            return operand::floating(32);
        case activation_type::bf16:
            return operand::bfloat16();
        case activation_type::a8_static:
            return operand::integer(static_bits);
        default:
            return operand::integer(8);
    }
}

/// Of a weight [out, in] with this scheme: what widths_of(layer) says once it is quantized so.
[[nodiscard]] inline product_widths widths_of(scheme const& s, layer_activations const& activations,
                                              std::size_t out, std::size_t in) {
    return {.weight = operand_of(s.element),
            .activation = operand_of(activations.type, bits_of(activations.grid)),
            .weight_bits = any_qmatrix(s, out, in).bits_per_weight()};
}

/// Of a layer as it is. Blocks of a GGUF file count as codes of a codebook of their bits a weight.
[[nodiscard]] inline product_widths widths_of(linear const& layer) {
    weight_matrix const& form = layer.form();
    if (packed_weight const* const packed = form.packed())
        return widths_of(packed->weight.scheme(), packed->activations, layer.out(), layer.in());
    if (auto const* const simulated = form.find<simulated_weight>())
        return widths_of(simulated->scheme, simulated->activations, layer.out(), layer.in());
    if (auto const* const codes = form.find<any_qmatrix>())
        return widths_of(codes->scheme(), {}, layer.out(), layer.in());
    if (auto const* const stored = form.find<stored_weight>()) {
        double const bits = 8.0 * static_cast<double>(form.bytes()) /
                            (static_cast<double>(layer.out()) * static_cast<double>(layer.in()));
        gguf_type const type = stored->blocks.type;
        operand const weight = type == gguf_type::f32   ? operand::floating(32)
                               : type == gguf_type::f16 ? operand::floating(16)
                               : type == gguf_type::bf16
                                   ? operand::bfloat16()
                                   : operand{arithmetic::codebook, static_cast<int>(bits)};
        return {weight, operand_of(stored->activations), bits};
    }
    return {};
}

/// Of a product: of its layer, or of what attention rounds. The second operand of the scores are the keys,
/// that of the values the values.
[[nodiscard]] inline product_widths widths_of(network_product const& product) {
    if (product.layer != nullptr) return widths_of(*product.layer);
    if (product.attention == nullptr) return {};
    attention_rounding const& how = product.attention->rounding();
    auto const grid = [](std::optional<activation_grid> const& one) {
        return one ? operand::integer(bits_of(*one)) : operand::floating(32);
    };
    operand const second = grid(product.is_scores ? how.k : how.v);
    operand const first = product.is_scores         ? grid(how.q)
                          : how.softmax.is_floats() ? operand::floating(32)
                                                    : operand::integer(how.softmax.bits());
    return {second, first, static_cast<double>(second.bits)};
}

/// The work of a product for as many images at once. In attention nothing is a weight: the table that
/// counts weights alone (1 : 200) charges its multiplications and no traffic.
[[nodiscard]] inline layer_work work_of(network_product const& product,
                                        product_widths const& widths,
                                        memory_hierarchy const& machine, std::size_t images = 1) {
    std::size_t const rows = product.layer != nullptr ? images : 1,
                      times = product.layer != nullptr ? product.times : product.times * images;
    layer_work work = work_of(
        matrix_product{.m = product.m * rows,
                       .n = product.n,
                       .k = product.k,
                       .weight = widths.weight,
                       .activation = widths.activation,
                       .weight_bits = widths.weight_bits,
                       .distinct_inputs = static_cast<double>(product.distinct_inputs * rows)},
        machine);
    auto const count = static_cast<double>(times);
    work.macs *= count;
    work.weights = product.layer != nullptr ? work.weights * count : 0.0;
    for (memory_level const level : memory_levels) work.moved.at(level) *= count;
    return work;
}

/// One product of a network, and what it has to do.
struct product_work {
    std::string name;
    bool has_weights = true;  ///< false in attention
    layer_work work;
};

/// All products, in the order of computation. Throws like vision_model::for_each_product().
[[nodiscard]] inline std::vector<product_work> work_of(
    vision_model const& model, image_shape const& image,
    memory_hierarchy const& machine = priced_hierarchy(), std::size_t images = 1) {
    std::vector<product_work> all;
    model.for_each_product(image, [&](network_product const& p) {
        all.push_back({p.name, p.layer != nullptr, work_of(p, widths_of(p), machine, images)});
    });
    return all;
}

/// As an earlier study counted a layer: every multiply-accumulate fetches its weight from DRAM, nothing is
/// used twice. Meant for quadratic_linear_1_200, whose savings then depend on the bits alone: 87.5544 % at 4.
[[nodiscard]] inline layer_work work_without_reuse(network_product const& product,
                                                   product_widths const& widths) {
    auto const macs = static_cast<double>(product.macs());
    return {.macs = macs,
            .weights = macs,
            .weight = widths.weight,
            .activation = widths.activation,
            .accumulator = accumulator_of(widths.weight, widths.activation),
            .moved = {.dram = macs * widths.weight.bits}};
}
/// All layers so; attention, which has no weights, is left out.
[[nodiscard]] inline std::vector<product_work> work_without_reuse(vision_model const& model,
                                                                  image_shape const& image) {
    std::vector<product_work> all;
    model.for_each_product(image, [&](network_product const& p) {
        if (p.layer != nullptr) all.push_back({p.name, true, work_without_reuse(p, widths_of(p))});
    });
    return all;
}

/// The sum under a table. Throws like estimate_energy().
template <energy_table Table>
[[nodiscard]] energy_estimate estimate_energy(std::span<product_work const> products,
                                              Table const& table, static_power idle = {}) {
    std::vector<layer_work> works;
    for (product_work const& p : products) works.push_back(p.work);
    return estimate_energy(std::span<layer_work const>(works), table, idle);
}

/// One number for each product, in order: where the joules of a network go. Static power is nobody's.
template <energy_table Table>
[[nodiscard]] std::vector<energy_estimate> energy_by_product(std::span<product_work const> products,
                                                             Table const& table) {
    std::vector<energy_estimate> all;
    for (product_work const& p : products)
        all.push_back(estimate_energy(std::span<layer_work const>(&p.work, 1), table));
    return all;
}

/// A network beside its float original under one table.
struct table_comparison {
    std::string table, counting;  ///< counting: "tiled" or "no reuse"
    std::string line;             ///< report_line() of the table
    energy_estimate original = {}, quantized = {};
    double saved = 0.0;        ///< share of the original's joules
    std::string refusal = {};  ///< why the table has no price; then there are no joules
};

/// The row of one table, whose lack of a price is noted and no error.
template <energy_table Table>
[[nodiscard]] table_comparison compare_under(Table const& table, std::string counting,
                                             std::span<product_work const> original,
                                             std::span<product_work const> quantized) {
    table_comparison row{.table = std::string(std::string_view(table.name)),
                         .counting = std::move(counting),
                         .line = report_line(table)};
    try {
        row.original = estimate_energy(original, table);
        row.quantized = estimate_energy(quantized, table);
        row.saved = savings(row.original, row.quantized);
    } catch (value_error const& fault) {
        row.refusal = fault.what();
    }
    return row;
}

/// One model under every published table: first the earlier study's counting, then the same table and all
/// others on the machine's traffic. Both models are of one architecture; `images` run at once.
[[nodiscard]] inline std::vector<table_comparison> compare_tables(
    vision_model const& original, vision_model const& quantized, image_shape const& image,
    memory_hierarchy const& machine = priced_hierarchy(), std::size_t images = 1) {
    std::vector<table_comparison> rows;
    rows.push_back(compare_under(quadratic_linear_1_200{}, "no reuse",
                                 work_without_reuse(original, image),
                                 work_without_reuse(quantized, image)));
    auto const before = work_of(original, image, machine, images),
               after = work_of(quantized, image, machine, images);
    std::apply(
        [&](auto const&... tables) {
            (rows.push_back(compare_under(tables, "tiled", before, after)), ...);
        },
        published_tables{});
    return rows;
}

}  // namespace qtk
