// SPDX-License-Identifier: Apache-2.0
//
// How do attention probabilities become codes? They lie in [0, 1], nearly all close to zero, so that
// equal steps waste most codes. Two answers, and what they are compared with:
//
//   log2   FQ-ViT (Lin et al. 2022), log-int-softmax: the code q counts halvings, value 2^-q; with B bits
//          q runs from 0 to 2^B - 1, and what is smaller becomes zero
//   twin   PTQ4ViT (Yuan et al. 2022), Q = 2^(B-1): one bit chooses the step; x >= sigma lies on
//          multiples of 1 / (Q - 1), the rest on multiples of sigma / (Q - 1); sigma = 2^-i
//
//   equal  B bits, for comparison: multiples of 1 / (2^B - 1)
//
// As in FQ-ViT's program, the zero of log2 is one level more than B bits have: its code is empty here.
// log2 rounds on the linear scale, in integers: q is the exponent of n = round(1 / x), plus one if the
// rest of n is at least half the power.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/format/round.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

namespace qtk {

/// floor(log2 n), plus one if n - 2^floor is at least half of 2^floor (FQ-ViT's log_round), n >= 1.
[[nodiscard]] constexpr int log2_rounded(std::uint64_t n) noexcept {
    int const whole = static_cast<int>(std::bit_width(n)) - 1;
    if (whole == 0) return 0;
    return whole + static_cast<int>(n >> (whole - 1) & 1);
}

/// Equal steps for probabilities.
class uniform_probability_quantizer {
  public:
    /// Throws value_error unless there are 1 to 8 bits.
    constexpr explicit uniform_probability_quantizer(int bits)
        : largest_(static_cast<float>((1 << check(bits)) - 1)) {}

    [[nodiscard]] constexpr std::uint8_t encode(float x) const noexcept {
        return static_cast<std::uint8_t>(round_half_even(std::clamp(x, 0.0f, 1.0f) * largest_));
    }
    [[nodiscard]] constexpr float decode(std::uint8_t code) const noexcept {
        return static_cast<float>(code) / largest_;
    }
    /// What encoding leaves of x.
    [[nodiscard]] constexpr float round_trip(float x) const noexcept { return decode(encode(x)); }

    [[nodiscard]] constexpr int largest_code() const noexcept { return static_cast<int>(largest_); }

  private:
    static constexpr int check(int bits) {
        if (bits < 1 || bits > 8)
            throw value_error("uniform_probability_quantizer: expected 1 to 8 bits, found " +
                              std::to_string(bits));
        return bits;
    }
    float largest_;
};

/// Powers of two for probabilities.
class log2_quantizer {
  public:
    /// Throws value_error unless there are 1 to 5 bits: 2^-31 is the least power then.
    constexpr explicit log2_quantizer(int bits) : largest_((1 << check(bits)) - 1) {}

    /// The code of x, in 0 .. 2^B - 1; empty where x becomes zero: x <= 0 and x below the last power by
    /// more than rounding allows. Values above 1 have code 0.
    [[nodiscard]] std::optional<std::uint8_t> encode(float x) const noexcept {
        if (!(x > 0.0f)) return std::nullopt;
        double const inverse = 1.0 / static_cast<double>(std::min(x, 1.0f));
        // Beyond 2^32 nothing has a code.
        if (inverse >= 0x1p33) return std::nullopt;
        return encode_ratio(static_cast<std::uint64_t>(std::floor(inverse + 0.5)));
    }
    /// The code of 1 / ratio, where ratio is round(sum / e) of a softmax in integers.
    [[nodiscard]] constexpr std::optional<std::uint8_t> encode_ratio(
        std::uint64_t ratio) const noexcept {
        int const q = log2_rounded(std::max<std::uint64_t>(ratio, 1));
        if (q > largest_) return std::nullopt;
        return static_cast<std::uint8_t>(q);
    }
    [[nodiscard]] float decode(std::optional<std::uint8_t> code) const noexcept {
        return code ? std::ldexp(1.0f, -static_cast<int>(*code)) : 0.0f;
    }
    /// What encoding leaves of x.
    [[nodiscard]] float round_trip(float x) const noexcept { return decode(encode(x)); }

    [[nodiscard]] constexpr int largest_code() const noexcept { return largest_; }

  private:
    static constexpr int check(int bits) {
        if (bits < 1 || bits > 5)
            throw value_error("log2_quantizer: expected 1 to 5 bits, found " +
                              std::to_string(bits));
        return bits;
    }
    int largest_;
};

/// Two uniform grids for probabilities. The top of the fine grid is sigma, which itself is encoded on the
/// coarse one: values that were quantized are not encoded again.
class twin_quantizer {
  public:
    /// sigma = 2^-split. Throws value_error unless there are 3 to 8 bits and split lies in 0 .. 19.
    explicit twin_quantizer(int bits, int split)
        : steps_(static_cast<float>((1 << (check(bits, split) - 1)) - 1)),
          sigma_(std::ldexp(1.0f, -split)) {}

    [[nodiscard]] float sigma() const noexcept { return sigma_; }
    /// Of either grid: a field above it is the code of the coarse one, plus this and one.
    [[nodiscard]] int largest_code() const noexcept { return static_cast<int>(steps_); }
    /// The step of the grid that x lies on.
    [[nodiscard]] float step(float x) const noexcept {
        return (x >= sigma_ ? 1.0f : sigma_) / steps_;
    }
    /// The field: the upper bit is set on the coarse grid, the others count steps.
    [[nodiscard]] std::uint8_t encode(float x) const noexcept {
        bool const is_coarse = x >= sigma_;
        float const code = round_half_even(std::clamp(x / step(x), 0.0f, steps_));
        return static_cast<std::uint8_t>(static_cast<int>(code) +
                                         (is_coarse ? static_cast<int>(steps_) + 1 : 0));
    }
    [[nodiscard]] float decode(std::uint8_t field) const noexcept {
        int const half = static_cast<int>(steps_) + 1;
        bool const is_coarse = field >= half;
        return static_cast<float>(is_coarse ? field - half : field) *
               ((is_coarse ? 1.0f : sigma_) / steps_);
    }
    /// What encoding leaves of x.
    [[nodiscard]] float round_trip(float x) const noexcept { return decode(encode(x)); }

  private:
    static int check(int bits, int split) {
        if (bits < 3 || bits > 8 || split < 0 || split > 19)
            throw value_error(
                "twin_quantizer: expected 3 to 8 bits and a split from 0 to 19, found " +
                std::to_string(bits) + " and " + std::to_string(split));
        return bits;
    }
    float steps_, sigma_;
};

/// The split in 0 .. 19 that leaves the least squared error of these probabilities; the first of equal
/// ones. Differs from the paper, which weighs errors of the layer's output by the gradient.
[[nodiscard]] inline twin_quantizer fit_twin(std::span<float const> probabilities, int bits) {
    twin_quantizer best(bits, 0);
    double least = std::numeric_limits<double>::infinity();
    for (int split = 0; split < 20; ++split) {
        twin_quantizer const q(bits, split);
        double error = 0.0;
        for (float const x : probabilities) {
            double const e = static_cast<double>(q.round_trip(x)) - static_cast<double>(x);
            error += e * e;
        }
        if (error < least) {
            least = error;
            best = q;
        }
    }
    return best;
}

static_assert(log2_rounded(1) == 0 && log2_rounded(2) == 1 && log2_rounded(3) == 2 &&
              log2_rounded(5) == 2 && log2_rounded(6) == 3);
static_assert(log2_quantizer(4).encode_ratio(1u << 15) == 15 &&
              !log2_quantizer(4).encode_ratio(1u << 16));

}  // namespace qtk
