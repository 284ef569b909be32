// SPDX-License-Identifier: Apache-2.0
//
// What does a layer have to do? Multiply-accumulates, the numbers they work on, and the bits that
// cross each memory: everything an energy model needs to know, and nothing about joules.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/format.hpp>

#include <cmath>
#include <string>
#include <string_view>

namespace qtk {

/// Which circuit a number needs. A code of a codebook has none: it is decoded first.
enum class arithmetic { integer, ieee_float, bfloat, codebook };

/// A number as a multiplier or an adder sees it.
struct operand {
    arithmetic kind = arithmetic::ieee_float;
    int bits = 32;

    [[nodiscard]] static constexpr operand integer(int bits) noexcept {
        return {arithmetic::integer, bits};
    }
    [[nodiscard]] static constexpr operand floating(int bits) noexcept {
        return {arithmetic::ieee_float, bits};
    }
    [[nodiscard]] static constexpr operand bfloat16() noexcept { return {arithmetic::bfloat, 16}; }
    [[nodiscard]] constexpr bool is_float() const noexcept {
        return kind == arithmetic::ieee_float || kind == arithmetic::bfloat;
    }
    friend constexpr bool operator==(operand, operand) noexcept = default;
};

/// What a code of this format is to a multiplier.
[[nodiscard]] constexpr operand operand_of(format const& element) noexcept {
    if (element.is_integer()) return operand::integer(element.bits);
    return {element.kind == numeral::minifloat ? arithmetic::ieee_float : arithmetic::codebook,
            element.bits};
}

/// The two inputs of the multiplier that really runs.
struct multiplication {
    operand weight, activation;
    friend constexpr bool operator==(multiplication const&,
                                     multiplication const&) noexcept = default;
};

/// Integers multiply as they are. As soon as one side is a float, both become the wider float:
/// weight-only quantization saves traffic, not multiplier width. Codes of a codebook become what the
/// other side is; two codebooks meet in fp32.
[[nodiscard]] constexpr multiplication computed_as(operand weight, operand activation) noexcept {
    if (weight.kind == arithmetic::integer && activation.kind == arithmetic::integer)
        return {weight, activation};
    if (weight.is_float() && activation.is_float()) {
        operand const wider = activation.bits >= weight.bits ? activation : weight;
        return {wider, wider};
    }
    if (activation.is_float()) return {activation, activation};
    if (weight.is_float()) return {weight, weight};
    if (activation.kind == arithmetic::integer) return {activation, activation};
    if (weight.kind == arithmetic::integer) return {weight, weight};
    return {operand::floating(32), operand::floating(32)};
}

/// What sums are kept in: int32 for integer products, fp32 for all others.
[[nodiscard]] constexpr operand accumulator_of(operand weight, operand activation) noexcept {
    return computed_as(weight, activation).weight.kind == arithmetic::integer
               ? operand::integer(32)
               : operand::floating(32);
}

/// Memories that published tables price, far to near.
enum class memory_level { dram, sram_1mib, sram_32kib, sram_8kib };
inline constexpr memory_level memory_levels[] = {memory_level::dram, memory_level::sram_1mib,
                                                 memory_level::sram_32kib, memory_level::sram_8kib};

[[nodiscard]] constexpr std::string_view to_string(memory_level level) noexcept {
    return level == memory_level::dram         ? "dram"
           : level == memory_level::sram_1mib  ? "sram_1mib"
           : level == memory_level::sram_32kib ? "sram_32kib"
                                               : "sram_8kib";
}

/// Bits that cross each memory.
struct traffic {
    double dram = 0.0, sram_1mib = 0.0, sram_32kib = 0.0, sram_8kib = 0.0;

    [[nodiscard]] constexpr double& at(memory_level level) noexcept {
        return level == memory_level::dram         ? dram
               : level == memory_level::sram_1mib  ? sram_1mib
               : level == memory_level::sram_32kib ? sram_32kib
                                                   : sram_8kib;
    }
    [[nodiscard]] constexpr double at(memory_level level) const noexcept {
        return traffic(*this).at(level);
    }
};

/// One layer's work for whatever unit the caller counts in (a token, a batch, an image).
struct layer_work {
    double macs = 0.0;                           ///< multiply-accumulates
    double weights = 0.0;                        ///< weights fetched, each as one code
    operand weight = operand::floating(32);      ///< as stored: operand_of(i4)
    operand activation = operand::floating(32);  ///< as it meets the weight
    operand accumulator = operand::floating(32);
    traffic moved = {};  ///< real bits, scales and zero points included
};

/// A matrix product y = x W^T with W [out, in] and x [tokens, in].
struct linear_layer {
    double out = 0.0, in = 0.0;
    double tokens = 1.0;  ///< rows of x that share one pass over W
    operand weight = operand::floating(32);
    operand activation = operand::floating(32);
    double weight_storage_bits = 0.0;  ///< the whole of W: codes, scales, zero points
    double input_fetches = 1.0;        ///< how often each input leaves the on-chip memory
};

/// The work of one pass, all `tokens` together: W crosses DRAM and the 1 MiB memory once; inputs
/// and outputs stay on chip and cross the 1 MiB memory only (`input_fetches` times and once).
/// Decoding codes to floats is not counted. Throws value_error on counts that are no counts.
[[nodiscard]] inline layer_work work_of(linear_layer const& layer) {
    auto const require = [](double value, char const* name, double least) {
        if (!(value >= least) || !std::isfinite(value))
            throw value_error("linear layer: " + std::string(name) + " is " +
                              std::to_string(value) + ", expected a finite count of at least " +
                              std::to_string(least));
    };
    require(layer.out, "out", 0.0);
    require(layer.in, "in", 0.0);
    require(layer.tokens, "tokens", 0.0);
    require(layer.weight_storage_bits, "weight_storage_bits", 0.0);
    require(layer.input_fetches, "input_fetches", 1.0);

    double const activation_bits =
        layer.activation.bits * layer.tokens * (layer.in * layer.input_fetches + layer.out);
    return {.macs = layer.out * layer.in * layer.tokens,
            .weights = layer.out * layer.in,
            .weight = layer.weight,
            .activation = layer.activation,
            .accumulator = accumulator_of(layer.weight, layer.activation),
            .moved = {.dram = layer.weight_storage_bits,
                      .sram_1mib = layer.weight_storage_bits + activation_bits}};
}

static_assert(computed_as(operand_of(i4), operand_of(i8)) ==
              multiplication{operand::integer(4), operand::integer(8)});
static_assert(computed_as(operand_of(i4), operand::floating(16)).weight == operand::floating(16));
static_assert(computed_as(operand_of(nf4), operand::bfloat16()).weight == operand::bfloat16());

}  // namespace qtk
