// SPDX-License-Identifier: Apache-2.0
//
// How much does a network bear when memory forgets? Bits of its weights are flipped at random, each with the
// same probability and independently of the others, as a supply voltage that is too low does it (Stutz et al. 2021,
// "Bit Error Robustness for Energy-Efficient DNN Accelerators", section 3). Codes are hit as they are stored: the
// bits of each field, not the padding at the end of a row, and neither scales nor zero points. Beside it the same
// for floats, for comparison.
//
// Which bits are hit depends on the rate and the seed alone.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>
#include <qtk/format/qmatrix.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {

/// f(i) for each of `count` bits that is hit, ascending: the distance to the next one is drawn, not every bit.
template <typename F>
void for_each_hit(std::uint64_t count, double rate, std::uint64_t seed, F&& f) {
    if (!(rate >= 0.0 && rate <= 1.0))
        throw value_error("bit flips: expected a rate from 0 to 1, found " + std::to_string(rate));
    if (rate == 0.0) return;
    splitmix64 random(seed);
    double const per_distance = rate < 1.0 ? 1.0 / std::log1p(-rate) : 0.0;
    for (std::uint64_t at = 0;; ++at) {
        double const gap = std::floor(std::log(open_unit(random())) * per_distance);
        if (!(gap < static_cast<double>(count - at))) return;
        at += static_cast<std::uint64_t>(gap);
        if (at >= count) return;
        f(at);
        if (at + 1 >= count) return;
    }
}

}  // namespace detail

/// Codes after the flips, and how many bits were flipped.
struct flipped_codes {
    any_qmatrix matrix;
    std::size_t flips = 0;
};

/// Throws value_error for a rate outside 0 to 1.
[[nodiscard]] inline flipped_codes flip_bits(any_qmatrix const& q, double rate,
                                             std::uint64_t seed) {
    flipped_codes result{q, 0};
    auto const bits = static_cast<std::uint64_t>(q.scheme().element.bits);
    std::uint64_t const row_bits = bits * q.cols();
    std::vector<std::uint8_t> fields(q.cols());
    std::uint64_t open =
        std::numeric_limits<std::uint64_t>::max();  // the row whose fields are read
    auto const close = [&] {
        if (open < q.rows()) result.matrix.set_row(static_cast<std::size_t>(open), fields);
    };
    detail::for_each_hit(row_bits * q.rows(), rate, seed, [&](std::uint64_t hit) {
        std::uint64_t const row = hit / row_bits, place = hit % row_bits;
        if (row != open) {
            close();
            open = row;
            for (std::size_t c = 0; c < q.cols(); ++c)
                fields[c] = q.field(static_cast<std::size_t>(row), c);
        }
        std::uint8_t& field = fields[static_cast<std::size_t>(place / bits)];
        field = static_cast<std::uint8_t>(field ^ (1u << (place % bits)));
        ++result.flips;
    });
    close();
    return result;
}

/// Flips bits of floats in place; returns how many. What was finite may become infinite or NaN.
inline std::size_t flip_bits(std::span<float> values, double rate, std::uint64_t seed) {
    std::size_t flips = 0;
    detail::for_each_hit(std::uint64_t{32} * values.size(), rate, seed, [&](std::uint64_t hit) {
        float& value = values[static_cast<std::size_t>(hit / 32)];
        value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^
                                     (std::uint32_t{1} << (hit % 32)));
        ++flips;
    });
    return flips;
}

}  // namespace qtk
