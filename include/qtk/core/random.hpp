// SPDX-License-Identifier: Apache-2.0
//
// Where does chance come from? One generator, splitmix64 (Steele, Lea, Flood 2014), the same on
// every platform and standard library. Used as a stream (tests, bootstrap) and as a hash of (seed,
// index), so that stochastic rounding gives the same codes for every thread count and order of
// work.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

namespace qtk {

/// The output function of splitmix64: a bijection of 64-bit words that leaves no visible pattern.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t z) noexcept {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/// A stream of 64-bit words; models std::uniform_random_bit_generator.
class splitmix64 {
  public:
    using result_type = std::uint64_t;

    explicit constexpr splitmix64(std::uint64_t seed) noexcept : state_(seed) {}
    static constexpr result_type min() noexcept { return 0; }
    static constexpr result_type max() noexcept { return ~result_type{0}; }
    constexpr result_type operator()() noexcept { return mix64(state_ += golden_gamma); }

    static constexpr std::uint64_t golden_gamma = 0x9E3779B97F4A7C15ull;

  private:
    std::uint64_t state_;
};

/// The middle of one of 2^53 equal cells of (0, 1): never 0, never 1.
[[nodiscard]] constexpr double open_unit(std::uint64_t word) noexcept {
    double const unit = (static_cast<double>(word >> 11) + 0.5) / 0x1p53;
    return unit < 1.0 ? unit : 1.0 - 0x1p-53;  // the last middle has no double: it rounds to 1
}

/// A float in [0, 1) from the top 24 bits.
[[nodiscard]] constexpr float half_open_unit(std::uint64_t word) noexcept {
    return static_cast<float>(word >> 40) * 0x1p-24f;
}

/// The `index`-th word of the stream that starts at `seed`, without the words before it.
[[nodiscard]] constexpr std::uint64_t word_at(std::uint64_t seed, std::uint64_t index) noexcept {
    return mix64(seed + (index + 1) * splitmix64::golden_gamma);
}

/// An index below n, n positive, every one equally likely (Lemire 2019: multiply, reject the rare
/// biased words).
template <typename Generator>
[[nodiscard]] constexpr std::uint64_t uniform_index(Generator& random, std::uint64_t n) {
    __extension__ using wide = unsigned __int128;
    wide product = wide{random()} * n;
    if (static_cast<std::uint64_t>(product) < n) {
        std::uint64_t const biased = (0 - n) % n;
        while (static_cast<std::uint64_t>(product) < biased) product = wide{random()} * n;
    }
    return static_cast<std::uint64_t>(product >> 64);
}

/// n standard normal floats: Box-Muller pairs (cosine first) in double precision, cast to float.
[[nodiscard]] inline std::vector<float> gaussian_vector(std::size_t n, std::uint64_t seed) {
    std::vector<float> values(n);
    splitmix64 random(seed);
    for (std::size_t i = 0; i < n; i += 2) {
        double const radius = std::sqrt(-2.0 * std::log(open_unit(random())));
        double const angle = 2.0 * std::numbers::pi * open_unit(random());
        values[i] = static_cast<float>(radius * std::cos(angle));
        if (i + 1 < n) values[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
    return values;
}

static_assert(open_unit(0) > 0.0 && open_unit(~std::uint64_t{0}) < 1.0);
static_assert(word_at(42, 0) == splitmix64(42)());

}  // namespace qtk
