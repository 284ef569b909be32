// SPDX-License-Identifier: Apache-2.0
//
// What can an operation cost at most, if nobody has measured it? A processor that runs at its peak
// rate draws no more than its thermal design power P, so
//
//     e_mac <= P / (peak multiply-accumulates per second)        e_bit <= P / (peak DRAM bits per second)
//
// These are bounds from above for a kernel at that peak, derived from data sheets and NOT MEASURED;
// idle power is inside them. Compute and DRAM each get the whole of P: the sum of both is up to twice
// too dear where they run at the same time. A kernel below both peaks takes longer, and then P x time
// is its bound (`power_bound`). The tables compare formats on one device, not devices.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/work.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// A rate on a data sheet: operations (two a multiply-accumulate) a second for numbers of this kind
/// that are at most `bits` wide.
struct peak_rate {
    arithmetic kind;
    int bits;
    double operations;
};

/// What a data sheet says.
struct data_sheet {
    double watts;                      ///< thermal design power
    double dram_bytes;                 ///< a second
    std::span<peak_rate const> rates;  ///< by kind, narrow before wide
};

namespace detail {

/// The circuit that runs this product: of its kind, as wide as its wider side. value_error where
/// the sheet has no such rate.
[[nodiscard]] constexpr joules mac_bound(data_sheet const& sheet, std::string_view name,
                                         operand weight, operand activation) {
    auto const [a, b] = computed_as(weight, activation);
    int const bits = static_cast<int>(std::max(width(a), width(b)));
    for (peak_rate const& rate : sheet.rates)
        if (rate.kind == a.kind && bits <= rate.bits)
            return joules(sheet.watts / (rate.operations / 2.0));
    throw value_error("energy: the data sheet behind " + std::string(name) +
                      " has no rate for products of " + std::to_string(bits) + "-bit " +
                      (a.is_float() ? "floats" : "integers"));
}

/// The members that every table of bounds has; Device brings name, citation and sheet.
template <typename Device>
struct power_bound_table {
    static constexpr std::string_view ignores =
        "on-chip memories, sharing of power between compute and DRAM (each is charged all of it), "
        "decoding codes; static power is inside; a bound from above, not measured";

    [[nodiscard]] static constexpr joules e_mul(operand weight, operand activation) {
        return mac_bound(Device::sheet, Device::name, weight, activation);
    }
    /// Nothing: data sheets count the addition as half of a multiply-accumulate.
    [[nodiscard]] static constexpr joules e_add(operand) noexcept { return joules{}; }
    [[nodiscard]] static constexpr joules e_bit(memory_level level) noexcept {
        return level == memory_level::dram
                   ? joules(Device::sheet.watts / (8.0 * Device::sheet.dram_bytes))
                   : joules{};
    }
    [[nodiscard]] static constexpr traffic moved(layer_work const& work) noexcept {
        return work.moved;
    }
};

inline constexpr peak_rate t4_rates[] = {{arithmetic::integer, 4, 260e12},
                                         {arithmetic::integer, 8, 130e12},
                                         {arithmetic::ieee_float, 16, 65e12},
                                         {arithmetic::ieee_float, 32, 8.1e12},
                                         {arithmetic::bfloat, 16, 8.1e12}};
inline constexpr peak_rate h200_rates[] = {{arithmetic::integer, 8, 1979e12},
                                           {arithmetic::ieee_float, 8, 1979e12},
                                           {arithmetic::ieee_float, 16, 989e12},
                                           {arithmetic::ieee_float, 32, 67e12},
                                           {arithmetic::bfloat, 16, 989e12}};
inline constexpr peak_rate epyc_7763_rates[] = {{arithmetic::integer, 8, 5.0176e12},
                                                {arithmetic::ieee_float, 32, 5.0176e12},
                                                {arithmetic::bfloat, 16, 5.0176e12}};

}  // namespace detail

/// 70 W; 65 (fp16), 8.1 (fp32) TFLOP/s, 130 (int8), 260 (int4) TOP/s; 320 GB/s. Turing has no
/// bfloat16: it runs as fp32.
struct t4_power_bound : detail::power_bound_table<t4_power_bound> {
    static constexpr std::string_view name = "t4_power_bound";
    static constexpr std::string_view citation =
        "NVIDIA T4 Tensor Core GPU data sheet (a GPU of 2018): TDP / peak rate, an upper bound";
    static constexpr data_sheet sheet{70.0, 320e9, detail::t4_rates};
};

/// 700 W; without sparsity 989 (fp16, bf16), 1979 (fp8), 67 (fp32) TFLOP/s, 1979 TOP/s (int8);
/// 4.8 TB/s. Hopper has no int4 products: they run as int8.
struct h200_power_bound : detail::power_bound_table<h200_power_bound> {
    static constexpr std::string_view name = "h200_power_bound";
    static constexpr std::string_view citation =
        "NVIDIA H200 Tensor Core GPU data sheet (SXM, a GPU of 2023), rates without sparsity: TDP "
        "/ peak rate, an upper bound";
    static constexpr data_sheet sheet{700.0, 4.8e12, detail::h200_rates};
};

/// There is no data sheet of x86 as such; this is one server processor. 280 W; 64 cores x 2.45 GHz
/// (base clock) x 32 FLOP (two 256-bit fused multiply-adds) = 5.0 TFLOP/s in fp32; 204.8 GB/s (8
/// channels of DDR4-3200, whose own power is not inside the 280 W). Narrower floats and int8 are
/// priced as fp32, for which the sheet gives no rates: too dear.
struct epyc_7763_power_bound : detail::power_bound_table<epyc_7763_power_bound> {
    static constexpr std::string_view name = "epyc_7763_power_bound";
    static constexpr std::string_view citation =
        "AMD EPYC 7763 product page (a processor of 2021: 280 W, 64 cores, 2.45 GHz, 204.8 GB/s) "
        "at 32 fp32 operations a cycle and core: TDP / peak rate, an upper bound without the "
        "DRAM's power";
    static constexpr data_sheet sheet{280.0, 204.8e9, detail::epyc_7763_rates};
};

/// What this device can have used at most in this time.
[[nodiscard]] inline joules power_bound(data_sheet const& sheet,
                                        std::chrono::duration<double> time) {
    if (!(time.count() >= 0.0) || !std::isfinite(time.count()))
        throw value_error("energy: a time of " + std::to_string(time.count()) +
                          " s; expected a finite one of at least zero");
    return power_over(sheet.watts, time);
}

static_assert(energy_table<t4_power_bound>);
static_assert(energy_table<h200_power_bound>);
static_assert(energy_table<epyc_7763_power_bound>);

}  // namespace qtk
