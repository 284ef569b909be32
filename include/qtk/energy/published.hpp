// SPDX-License-Identifier: Apache-2.0
//
// Whose joules? Three coefficient tables from the literature, by name, and the bounds of
// <qtk/energy/power_bounds.hpp>. The three differ by factors of 3 to 10 for the same operation, so
// a result without its table's name says nothing.
//
// Between published widths a multiplier costs in proportion to the product of its two widths and an
// adder in proportion to its width, piecewise through the published points (the published ones bear
// the exponents out: integer multiplication, 8 to 32 bits, x 15.5; addition x 3.3).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/power_bounds.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/work.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace qtk {

/// The rule of thumb behind the often quoted savings: 3.2 pJ a 32-bit multiply-accumulate, 640 pJ a
/// 32-bit DRAM word (1 : 200), b = the weight's bits in both, E = macs 3.2 (b/32)^2 + weights 640
/// (b/32). One DRAM word per weight fetched; scales, activations and on-chip memories are free.
/// Derived from Horowitz (2014): 3.1 + 0.1 pJ for an int32 multiplication and addition.
struct quadratic_linear_1_200 {
    static constexpr std::string_view name = "quadratic_linear_1_200";
    static constexpr std::string_view citation =
        "quadratic MAC (3.2 pJ at 32 bits), linear DRAM (640 pJ a 32-bit word); coefficients from "
        "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014";
    static constexpr std::string_view ignores =
        "scales, activations, on-chip memories, reuse, decoding, control, static power";

    [[nodiscard]] static constexpr joules e_mul(operand weight, operand) {
        double const share = detail::width(weight) / 32.0;
        return picojoules(3.2 * share * share);
    }
    /// Nothing: the addition is inside the 3.2 pJ.
    [[nodiscard]] static constexpr joules e_add(operand) noexcept { return joules{}; }
    [[nodiscard]] static constexpr joules e_bit(memory_level level) noexcept {
        return level == memory_level::dram ? picojoules(640.0 / 32.0) : joules{};
    }
    [[nodiscard]] static constexpr traffic moved(layer_work const& work) {
        return {.dram = work.weights * detail::width(work.weight)};
    }
};

/// 45 nm, 0.9 V: M. Horowitz, ISSCC 2014, figure 1.1.9. The figures were taken from secondary
/// reproductions of that figure, which agree with each other, not from the paper. DRAM is its lower
/// end (640 pJ per 32 bits; the upper is twice that). It has no bfloat16: priced as fp16, which is
/// too dear.
struct horowitz_45nm {
    static constexpr std::string_view name = "horowitz_45nm";
    static constexpr std::string_view citation =
        "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014 "
        "(45 nm, 0.9 V; figures from secondary sources)";
    static constexpr std::string_view ignores =
        "decoding codes, scales' arithmetic, instruction fetch, control, wires, static power";

    [[nodiscard]] static constexpr joules e_mul(operand weight, operand activation) {
        constexpr detail::priced_size integer[] = {{8 * 8, 0.2}, {32 * 32, 3.1}};
        constexpr detail::priced_size floating[] = {{16 * 16, 1.1}, {32 * 32, 3.7}};
        auto const [a, b] = computed_as(weight, activation);
        double const product = detail::width(a) * detail::width(b);
        return a.kind == arithmetic::integer ? detail::price(integer, product)
                                             : detail::price(floating, product);
    }
    [[nodiscard]] static constexpr joules e_add(operand number) {
        constexpr detail::priced_size integer[] = {{8, 0.03}, {16, 0.05}, {32, 0.1}};
        constexpr detail::priced_size floating[] = {{16, 0.4}, {32, 0.9}};
        double const width = detail::adder_width(number);
        return number.kind == arithmetic::integer ? detail::price(integer, width)
                                                  : detail::price(floating, width);
    }
    [[nodiscard]] static constexpr joules e_bit(memory_level level) noexcept {
        switch (level) {
            case memory_level::dram:
                return picojoules(640.0 / 32.0);
            case memory_level::sram_1mib:
                return picojoules(100.0 / 64.0);
            case memory_level::sram_32kib:
                return picojoules(20.0 / 64.0);
            case memory_level::sram_8kib:
                return picojoules(10.0 / 64.0);
        }
        return joules{};
    }
    [[nodiscard]] static constexpr traffic moved(layer_work const& work) noexcept {
        return work.moved;
    }
};

/// 7 nm with HBM2: N. Jouppi et al., Ten lessons from three generations shaped Google's TPUv4i,
/// ISCA 2021, table 2. Every figure was taken from secondary material and has not been checked
/// against the paper. HBM2 is the middle of the published 250 to 450 pJ per 64 bits.
struct tpu_7nm {
    static constexpr std::string_view name = "tpu_7nm";
    static constexpr std::string_view citation =
        "N. Jouppi et al., Ten lessons from three generations shaped Google's TPUv4i, ISCA 2021 "
        "(7 nm, HBM2; figures from secondary sources, unchecked)";
    static constexpr std::string_view ignores =
        "decoding codes, scales' arithmetic, instruction fetch, control, wires, static power";

    [[nodiscard]] static constexpr joules e_mul(operand weight, operand activation) {
        constexpr detail::priced_size integer[] = {{8 * 8, 0.07}, {32 * 32, 1.48}};
        constexpr detail::priced_size floating[] = {{16 * 16, 0.34}, {32 * 32, 1.31}};
        constexpr detail::priced_size bfloat[] = {{16 * 16, 0.21}};
        auto const [a, b] = computed_as(weight, activation);
        double const product = detail::width(a) * detail::width(b);
        if (a.kind == arithmetic::integer) return detail::price(integer, product);
        return a.kind == arithmetic::bfloat ? detail::price(bfloat, product)
                                            : detail::price(floating, product);
    }
    [[nodiscard]] static constexpr joules e_add(operand number) {
        constexpr detail::priced_size integer[] = {{8, 0.007}, {32, 0.03}};
        constexpr detail::priced_size floating[] = {{16, 0.16}, {32, 0.38}};
        constexpr detail::priced_size bfloat[] = {{16, 0.11}};
        double const width = detail::adder_width(number);
        if (number.kind == arithmetic::integer) return detail::price(integer, width);
        return number.kind == arithmetic::bfloat ? detail::price(bfloat, width)
                                                 : detail::price(floating, width);
    }
    [[nodiscard]] static constexpr joules e_bit(memory_level level) noexcept {
        switch (level) {
            case memory_level::dram:
                return picojoules((250.0 + 450.0) / 2.0 / 64.0);
            case memory_level::sram_1mib:
                return picojoules(14.0 / 64.0);
            case memory_level::sram_32kib:
                return picojoules(8.5 / 64.0);
            case memory_level::sram_8kib:
                return picojoules(7.5 / 64.0);
        }
        return joules{};
    }
    [[nodiscard]] static constexpr traffic moved(layer_work const& work) noexcept {
        return work.moved;
    }
};

static_assert(energy_table<quadratic_linear_1_200>);
static_assert(energy_table<horowitz_45nm>);
static_assert(energy_table<tpu_7nm>);

/// All published tables, in the order in which help texts list them.
using published_tables = std::tuple<quadratic_linear_1_200, horowitz_45nm, tpu_7nm, t4_power_bound,
                                    h200_power_bound, epyc_7763_power_bound>;

/// The names that with_energy_table knows.
inline constexpr auto energy_table_names = []<typename... Tables>(std::tuple<Tables...>) {
    return std::array<std::string_view, sizeof...(Tables)>{Tables::name...};
}(published_tables{});

/// f(table) for the table called `name`; value_error with all names where there is none. f returns
/// the same type for every table.
template <typename F>
decltype(auto) with_energy_table(std::string_view name, F&& f) {
    using result = decltype(f(std::declval<quadratic_linear_1_200 const&>()));
    // One level of recursion per table: the tail of the list is tried only where the head differs.
    auto const pick = [&]<std::size_t I>(auto const& self,
                                         std::integral_constant<std::size_t, I>) -> result {
        if constexpr (I == std::tuple_size_v<published_tables>) {
            std::string known;
            for (auto const& one : energy_table_names)
                known += (known.empty() ? "" : ", ") + std::string(one);
            throw value_error("energy: there is no table called \"" + std::string(name) +
                              "\"; known are " + known);
        } else {
            constexpr std::tuple_element_t<I, published_tables> table{};
            if (name == table.name) return f(table);
            return self(self, std::integral_constant<std::size_t, I + 1>{});
        }
    };
    return pick(pick, std::integral_constant<std::size_t, 0>{});
}

}  // namespace qtk
