// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/eval/bit_flips.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

qtk::any_qmatrix codes_of(char const* scheme, std::size_t rows, std::size_t cols) {
    std::vector<float> const w = qtk::gaussian_vector(rows * cols, 7);
    return qtk::quantize_any(qtk::matrix_view<float const>(w.data(), rows, cols),
                             qtk::parse_scheme(scheme));
}

std::size_t different_bits(qtk::any_qmatrix const& a, qtk::any_qmatrix const& b) {
    std::size_t bits = 0;
    for (std::size_t i = 0; i < a.codes().size(); ++i)
        bits += static_cast<std::size_t>(
            std::popcount(static_cast<unsigned>(a.codes()[i] ^ b.codes()[i])));
    return bits;
}

}  // namespace

TEST_CASE("the flips that are counted are the bits that differ, and nothing else differs") {
    for (char const* scheme : {"i2/tensor", "i3/channel", "i4/g32/asym", "i8/channel", "nf4/g64"}) {
        CAPTURE(scheme);
        // 37 columns: rows end within a byte.
        auto const q = codes_of(scheme, 50, 37);
        auto const hit = qtk::flip_bits(q, 0.05, 1);
        CHECK(hit.flips > 0);
        CHECK(different_bits(q, hit.matrix) == hit.flips);
        CHECK(std::equal(q.scales().begin(), q.scales().end(), hit.matrix.scales().begin()));
        CHECK(std::equal(q.zeros().begin(), q.zeros().end(), hit.matrix.zeros().begin()));
    }
}

TEST_CASE("as many bits flip as the rate says, in every place of a field alike") {
    auto const q = codes_of("i4/channel", 200, 250);
    for (double const rate : {0.001, 0.01, 0.3}) {
        auto const hit = qtk::flip_bits(q, rate, 3);
        double const bits = 4.0 * 200 * 250, expected = bits * rate;
        // Five standard deviations of a binomial.
        CHECK(std::fabs(static_cast<double>(hit.flips) - expected) <
              5.0 * std::sqrt(expected * (1.0 - rate)));
    }
    auto const hit = qtk::flip_bits(q, 0.1, 4);
    std::size_t by_place[4] = {};
    for (std::size_t r = 0; r < q.rows(); ++r)
        for (std::size_t c = 0; c < q.cols(); ++c)
            for (unsigned bit = 0; bit < 4; ++bit)
                by_place[bit] += (unsigned{q.field(r, c)} ^ hit.matrix.field(r, c)) >> bit & 1u;
    for (std::size_t const n : by_place)
        CHECK(std::fabs(static_cast<double>(n) - 5000.0) < 5.0 * std::sqrt(5000.0 * 0.9));
}

TEST_CASE(
    "a rate of zero flips nothing, of one everything, and the seed decides what lies between") {
    auto const q = codes_of("i3/tensor", 9, 21);
    CHECK(qtk::flip_bits(q, 0.0, 5).matrix == q);
    CHECK(qtk::flip_bits(q, 1.0, 5).flips == 3u * 9 * 21);
    CHECK(qtk::flip_bits(q, 0.2, 5).matrix == qtk::flip_bits(q, 0.2, 5).matrix);
    CHECK(qtk::flip_bits(q, 0.2, 5).matrix != qtk::flip_bits(q, 0.2, 6).matrix);
    CHECK(qtk::flip_bits(codes_of("i3/tensor", 0, 21), 0.5, 5).flips == 0);
    for (double const rate : {-0.1, 1.5, std::nan("")})
        CHECK_THROWS_AS((void)qtk::flip_bits(q, rate, 5), qtk::value_error);
}

TEST_CASE("floats flip in all of their 32 bits") {
    std::vector<float> const before = qtk::gaussian_vector(20000, 8);
    std::vector<float> after = before;
    std::size_t const flips = qtk::flip_bits(std::span<float>(after), 0.01, 9);
    std::uint32_t hit = 0;
    std::size_t bits = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
        auto const x =
            std::bit_cast<std::uint32_t>(before[i]) ^ std::bit_cast<std::uint32_t>(after[i]);
        hit |= x;
        bits += static_cast<std::size_t>(std::popcount(x));
    }
    CHECK(bits == flips);
    CHECK(hit == ~std::uint32_t{0});
    CHECK(std::fabs(static_cast<double>(flips) - 6400.0) < 5.0 * std::sqrt(6400.0));
}
