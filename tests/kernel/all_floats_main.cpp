// SPDX-License-Identifier: Apache-2.0
//
// All 2^32 floats through every conversion, against oracles that share no line with it: rising floats are
// walked together with the midpoints of the format's levels, which are found from the definition. Not
// run with the tests: scripts/hardening/exhaustive.sh does.
//
//   qtk_all_floats [WHAT...]   f16 bf16 e4m3 e5m2 e3m2 e2m1 nf4 fp4 i8 rounded; everything if none is named
//
// Prints "WHAT: floats, differences, seconds"; exit status 1 if there is a difference.
#include <qtk/core/dispatch.hpp>
#include <qtk/format/half.hpp>
#include <qtk/kernel/encode.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

namespace {

constexpr std::uint32_t infinity_bits = 0x7f800000u;
constexpr std::uint64_t floats_of_a_sign = std::uint64_t{1} << 31;

float float_of(std::uint32_t bits) {
    return std::bit_cast<float>(bits);
}

/// Magnitudes of a binary format with `exponent` and `mantissa` bits up to `largest`, from the definition.
std::vector<double> magnitudes(int exponent, int mantissa, double largest) {
    std::vector<double> all;
    int const bias = (1 << (exponent - 1)) - 1;
    for (int e = 0; e < 1 << exponent; ++e)
        for (int m = 0; m < 1 << mantissa; ++m) {
            double const fraction =
                std::ldexp(static_cast<double>(m), -mantissa) + (e > 0 ? 1.0 : 0.0);
            double const value = std::ldexp(fraction, std::max(e, 1) - bias);
            if (value <= largest) all.push_back(value);
        }
    return all;
}

struct result {
    std::uint64_t floats = 0, differences = 0;
};

/// f(bits, index of the nearest magnitude) for every finite magnitude in rising order; midpoints belong to
/// the even index. Indices go up to level.size() where `overflow` is the midpoint to what lies beyond.
template <typename F>
void walk(std::vector<double> const& level, double overflow, F const& f) {
    std::size_t k = 0;
    auto const middle = [&](std::size_t i) {
        return i + 1 < level.size() ? (level[i] + level[i + 1]) / 2.0 : overflow;
    };
    double next = middle(0);
    for (std::uint32_t bits = 0; bits < infinity_bits; ++bits) {
        auto const x = static_cast<double>(float_of(bits));
        while (k < level.size() && (x > next || (x == next && k % 2 == 1))) next = middle(++k);
        f(bits, k);
    }
}

/// IEEE half and bfloat16: past the last level lies infinity.
template <typename Encode>
result sixteen_bits(int exponent, int mantissa, Encode const& encode) {
    double const largest = std::ldexp(2.0 - std::ldexp(1.0, -mantissa), (1 << (exponent - 1)) - 1);
    auto const level = magnitudes(exponent, mantissa, largest);
    double const overflow = largest + std::ldexp(1.0, (1 << (exponent - 1)) - 2 - mantissa);
    result r{.floats = 2 * floats_of_a_sign};
    walk(level, overflow, [&](std::uint32_t bits, std::size_t k) {
        r.differences += encode(float_of(bits)) != k;
        r.differences += encode(float_of(bits | 0x80000000u)) != (k | 0x8000u);
    });
    // Infinity stays; every NaN becomes one, of the same sign.
    for (std::uint64_t bits = infinity_bits; bits < floats_of_a_sign; ++bits)
        for (std::uint32_t const sign : {0u, 1u}) {
            unsigned const field = encode(float_of(static_cast<std::uint32_t>(bits) | sign << 31));
            unsigned const top = static_cast<unsigned>(level.size());
            bool const is_wrong = bits == infinity_bits
                                      ? field != (top | sign << 15)
                                      : (field & 0x7fffu) <= top || field >> 15 != sign;
            r.differences += is_wrong ? 1u : 0u;
        }
    return r;
}

/// Blocks of neighbouring floats, each through the scalar encoder and every instruction set.
template <typename Quantizer, typename Expected>
result fields_of_all(Quantizer const& q, qtk::tile_params p, Expected const& expected) {
    constexpr std::size_t count = 1 << 16;
    std::vector<qtk::instruction_set> sets;
    for (int i = 0; i <= static_cast<int>(qtk::instruction_set::avx512); ++i)
        if (auto const set = static_cast<qtk::instruction_set>(i); qtk::is_usable(set))
            sets.push_back(set);
    std::vector<float> x(count);
    std::vector<std::uint8_t> fields(count), wanted(count);
    result r;
    for (std::uint32_t const sign : {0u, 0x80000000u})
        for (std::uint64_t first = 0; first < infinity_bits; first += count) {
            for (std::size_t i = 0; i < count; ++i) {
                auto const bits = static_cast<std::uint32_t>(first + i);
                x[i] = float_of(bits | sign);
                wanted[i] = static_cast<std::uint8_t>(expected(bits, sign != 0));
            }
            r.floats += count;
            for (auto const set : sets) {
                qtk::encode_span(set, q, x, p, fields.data());
                for (std::size_t i = 0; i < count; ++i) r.differences += fields[i] != wanted[i];
            }
        }
    return r;
}

/// Index of the nearest magnitude, for rising magnitudes that are asked for in rising order.
class walker {
  public:
    explicit walker(std::vector<double> levels, bool ties_go_down = false)
        : level_(std::move(levels)), ties_go_down_(ties_go_down) {}
    std::size_t of(std::uint32_t bits) {
        if (bits < last_) k_ = 0;
        last_ = bits;
        auto const x = static_cast<double>(float_of(bits));
        for (; k_ + 1 < level_.size(); ++k_) {
            double const middle = (level_[k_] + level_[k_ + 1]) / 2.0;
            if (x < middle || (x == middle && (ties_go_down_ || k_ % 2 == 0))) break;
        }
        return k_;
    }

  private:
    std::vector<double> level_;
    bool ties_go_down_;
    std::size_t k_ = 0;
    std::uint32_t last_ = 0;
};

template <qtk::format F>
result minifloat(double largest) {
    walker nearest(magnitudes(F.exponent, F.mantissa(), largest));
    constexpr unsigned sign = 1u << (F.bits - 1);
    return fields_of_all(qtk::tile_quantizer<F, qtk::origin::fixed>{}, {1.0f, 0},
                         [&](std::uint32_t bits, bool is_negative) {
                             return nearest.of(bits) | (is_negative ? sign : 0u);
                         });
}

result nf4() {
    // Magnitudes of either side; between 0 and its neighbours, and everywhere, a midpoint goes down.
    std::vector<double> up, down;
    for (float const level : qtk::nf4_levels) {
        if (level >= 0.0f) up.push_back(static_cast<double>(level));
        if (level <= 0.0f) down.insert(down.begin(), -static_cast<double>(level));
    }
    // The library's midpoints are floats: compare with the same.
    auto const index = [](std::vector<double> const& level, double x, bool is_negative) {
        std::size_t k = 0;
        for (; k + 1 < level.size(); ++k) {
            auto const middle = static_cast<double>(
                0.5f * (static_cast<float>(level[k]) + static_cast<float>(level[k + 1])));
            if (is_negative ? x < middle : x <= middle) break;
        }
        return k;
    };
    return fields_of_all(qtk::tile_quantizer<qtk::nf4, qtk::origin::fixed>{}, {1.0f, 0},
                         [&](std::uint32_t bits, bool is_negative) {
                             auto const x = static_cast<double>(float_of(bits));
                             return is_negative ? 7 - index(down, x, true)
                                                : 7 + index(up, x, false);
                         });
}

result fp4() {
    // By rank of magnitude; the fields in that order.
    constexpr unsigned field[] = {0, 1, 6, 7, 4, 5, 2, 3};
    std::vector<float> level;
    for (unsigned const f : field) level.push_back(qtk::fp4_levels[f]);
    return fields_of_all(qtk::tile_quantizer<qtk::fp4, qtk::origin::fixed>{}, {1.0f, 0},
                         [&](std::uint32_t bits, bool is_negative) {
                             float const x = float_of(bits);
                             std::size_t k = 0;
                             while (k + 1 < 8 && x > 0.5f * (level[k] + level[k + 1])) ++k;
                             return field[k] | (is_negative && x > 0.0f ? 8u : 0u);
                         });
}

/// Symmetric i8 and asymmetric i8 under a scale that is no power of two: the quotient of floats, clamped,
/// rounded by the standard library.
template <qtk::origin Zero>
result int8(float scale, int zero) {
    double const lowest = (Zero == qtk::origin::fixed ? 1.0 : 0.0) - zero, highest = 255.0 - zero;
    return fields_of_all(qtk::tile_quantizer<qtk::i8, Zero>{}, {scale, zero},
                         [&](std::uint32_t bits, bool is_negative) {
                             float const x = float_of(bits) / scale;
                             double const v = std::clamp(static_cast<double>(is_negative ? -x : x),
                                                         lowest, highest);
                             return static_cast<int>(std::nearbyint(v)) + zero;
                         });
}

/// The three rules of rounding for every float below 2^22.
result rounded() {
    result r;
    for (std::uint32_t bits = 0; bits <= std::bit_cast<std::uint32_t>(0x1p22f); ++bits)
        for (float const v : {float_of(bits), -float_of(bits)}) {
            ++r.floats;
            r.differences += qtk::round_half_even(v) != std::nearbyint(v);
            r.differences += qtk::round_half_away(v) != std::round(v);
            r.differences += qtk::truncate(v) != std::trunc(v);
        }
    return r;
}

}  // namespace

int main(int argc, char** argv) {
    struct conversion {
        std::string_view name;
        result (*run)();
    };
    constexpr conversion all[] = {
        {"f16", [] { return sixteen_bits(5, 10, qtk::float_to_f16); }},
        {"bf16", [] { return sixteen_bits(8, 7, qtk::float_to_bf16); }},
        {"e4m3", [] { return minifloat<qtk::e4m3>(448.0); }},
        {"e5m2", [] { return minifloat<qtk::e5m2>(57344.0); }},
        {"e3m2", [] { return minifloat<qtk::e3m2>(28.0); }},
        {"e2m1", [] { return minifloat<qtk::e2m1>(6.0); }},
        {"nf4", nf4},
        {"fp4", fp4},
        {"i8", [] { return int8<qtk::origin::fixed>(0.0123f, 128); }},
        {"i8 with a zero point", [] { return int8<qtk::origin::floating>(0.0123f, 37); }},
        {"rounded", rounded}};
    bool is_sound = true;
    for (auto const& [name, run] : all) {
        bool is_wanted = argc < 2;
        for (int i = 1; i < argc; ++i) is_wanted = is_wanted || name.starts_with(argv[i]);
        if (!is_wanted) continue;
        auto const start = std::chrono::steady_clock::now();
        result const r = run();
        std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
        std::printf("%s: %llu floats, %llu differences, %.1f s\n", name.data(),
                    static_cast<unsigned long long>(r.floats),
                    static_cast<unsigned long long>(r.differences), seconds.count());
        std::fflush(stdout);
        is_sound = is_sound && r.differences == 0;
    }
    return is_sound ? 0 : 1;
}
