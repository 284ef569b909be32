// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/encode.hpp>
#include <qtk/kernel/avx512/encode.hpp>
#include <qtk/kernel/encode.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace {

using qtk::origin;
using qtk::rounding;

/// Gaussian values among those where rules of rounding differ: halves of a scale, levels and their
/// middles, both zeros, the smallest float, and values far outside.
std::vector<float> awkward_values(std::size_t n, float scale, std::uint64_t seed) {
    std::vector<float> x = qtk::gaussian_vector(n, seed);
    qtk::splitmix64 random(seed);
    for (float& v : x) {
        std::uint64_t const word = random();
        auto const small = static_cast<float>(static_cast<int>(word >> 32 & 0x1ff) - 256);
        switch (word & 7) {
            case 0:
            case 1:
                v = 0.5f * small * scale;
                break;
            case 2:
                v = 0.0625f * small * scale;
                break;
            case 3: {
                auto const& ranks = qtk::detail::nf4_ranks;
                v = ranks.midpoint(word >> 8 & 7) * scale;
                break;
            }
            case 4:
                v = qtk::detail::fp4_ranks.midpoint((word >> 8) % 7) * scale;
                break;
            case 5:
                v *= 40.0f * scale;
                break;
            case 6: {
                float const edge[] = {0.0f,
                                      -0.0f,
                                      3e38f,
                                      -3e38f,
                                      std::numeric_limits<float>::denorm_min(),
                                      -std::numeric_limits<float>::min()};
                v = edge[(word >> 8) % 6];
                break;
            }
            default:
                v *= scale;
                break;
        }
    }
    return x;
}

/// Encodes with both twins, from pointers that are aligned to nothing; says whether they agree and
/// leave what lies behind alone.
template <typename Q>
bool agrees(qtk::instruction_set set, Q const& q, std::span<float const> x, qtk::tile_params p,
            qtk::dither_source dither, std::size_t shift, bool is_bounded) {
    std::vector<std::uint8_t> fast(x.size() + shift + 1, 0xcd), slow = fast;
    if (!x.empty())
        qtk::encode_tiles(set, q, &p, x, 0, x.size(), is_bounded, false, dither,
                          fast.data() + shift);
    qtk::encode_span_scalar(q, x, p, slow.data() + shift, dither);
    return fast == slow;
}

template <qtk::format F, origin Zero, rounding Round>
void check_format() {
    qtk::tile_quantizer<F, Zero, Round> const q;
    std::string const name{qtk::name_of(F)};
    CAPTURE(name);
    int const middle = qtk::symmetric_zero(F);
    for (float const scale : {1.0f, 0.037f, 0x1p-20f, 1e-39f, 0x1.fffffep-3f})
        for (int const zero : {middle, 0, F.patterns() - 1}) {
            if (zero != middle && Zero == origin::fixed) continue;
            CAPTURE(scale);
            CAPTURE(zero);
            std::vector<float> const x = awkward_values(1023 + 3, scale, 7u + F.bits * 16u);
            std::vector<float> tame = x;
            for (float& v : tame)
                if (std::fabs(v) > 2000.0f * scale) v = 0.0f;
            for (qtk::instruction_set const set : cases::usable_sets()) {
                CAPTURE(qtk::name_of(set));
                for (std::size_t const n : cases::odd_lengths)
                    for (std::size_t shift = 0; shift < 4; ++shift) {
                        auto const part = [&](std::vector<float> const& all) {
                            return std::span<float const>(all).subspan(shift, n);
                        };
                        qtk::dither_source const dither{.seed = 5, .first = n};
                        REQUIRE(agrees(set, q, part(x), {scale, zero}, dither, shift, false));
                        REQUIRE(agrees(set, q, part(tame), {scale, zero}, dither, shift, true));
                    }
            }
        }
}

template <rounding Round>
void check_every_format() {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        auto const check = [&]<qtk::format F>() {
            // Away and stochastic do the same for uB as for iB.
            if constexpr (F.kind != qtk::numeral::unsigned_integer ||
                          Round == rounding::nearest_even) {
                check_format<F, origin::fixed, Round>();
                if constexpr (F.is_integer()) check_format<F, origin::floating, Round>();
            }
        };
        (check.template operator()<qtk::known_formats[I].value>(), ...);
    }
    (std::make_index_sequence<qtk::known_formats.size()>{});
}

}  // namespace

TEST_CASE("an empty span writes nothing") {
    qtk::tile_quantizer<qtk::i4, origin::fixed> const q;
    std::uint8_t untouched = 0xcd;
    qtk::encode_span(q, {}, {1.0f, 8}, &untouched);
    for (qtk::instruction_set const set : cases::usable_sets())
        qtk::encode_span(set, q, {}, {1.0f, 8}, &untouched);
    CHECK(untouched == 0xcd);
}

TEST_CASE("ties, clamps and zero points by hand") {
    std::vector<float> x;
    std::vector<std::uint8_t> expected;
    // Four times over, so that a vector is filled.
    for (int i = 0; i < 4; ++i) {
        x.insert(x.end(), {-9.0f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f, 6.0f, 7.4f});
        expected.insert(expected.end(), {1, 6, 8, 8, 10, 10, 14, 15});
    }
    std::vector<std::uint8_t> fields(x.size());
    qtk::encode_span(qtk::tile_quantizer<qtk::i4, origin::fixed>{}, x, {1.0f, 8}, fields.data());
    CHECK(fields == expected);
    qtk::encode_span(qtk::tile_quantizer<qtk::i4, origin::floating>{}, x, {1.0f, 3}, fields.data());
    std::vector<std::uint8_t> const shifted{0, 1, 3, 3, 5, 5, 9, 10};
    CHECK(std::vector(fields.begin(), fields.begin() + 8) == shifted);
}

TEST_CASE("half to even has the bits of its scalar twin in every format") {
    check_every_format<rounding::nearest_even>();
}
TEST_CASE("half away from zero has the bits of its scalar twin in every format") {
    check_every_format<rounding::nearest_away>();
}
TEST_CASE("stochastic rounding has the bits of its scalar twin in every format") {
    check_every_format<rounding::stochastic>();
}

TEST_CASE("stochastic rounding depends on the position alone, not on where a span starts") {
    qtk::tile_quantizer<qtk::i4, origin::fixed, rounding::stochastic> const q;
    std::vector<float> const x = qtk::gaussian_vector(200, 3);
    std::vector<std::uint8_t> whole(x.size()), parts(x.size());
    qtk::encode_span(q, x, {0.3f, 8}, whole.data(), {.seed = 9});
    for (std::size_t first = 0; first < x.size(); first += 37) {
        std::size_t const n = std::min<std::size_t>(37, x.size() - first);
        qtk::encode_span(q, std::span(x).subspan(first, n), {0.3f, 8}, parts.data() + first,
                         {.seed = 9, .first = first});
    }
    CHECK(whole == parts);
}

TEST_CASE("a quotient by product gives the code of the division, next to every tie") {
    // Two floats around each half for random scales, and for the mantissa that the product fails.
    qtk::splitmix64 random(23);
    auto const check = [&]<typename Q>(Q const& q, int zero) {
        for (int round = 0; round < 300; ++round) {
            float const scale = std::bit_cast<float>(
                static_cast<std::uint32_t>((round % 10 == 0 ? 0x7fffffu : random() & 0x7fffffu) |
                                           (67 + random() % 120) << 23));
            std::vector<float> x;
            for (int k = 0; k < 256; ++k) {
                float const tie = (static_cast<float>(k) + 0.5f) * scale;
                for (int step = -2; step <= 2; ++step) {
                    x.push_back(std::bit_cast<float>(
                        static_cast<std::uint32_t>(std::bit_cast<std::int32_t>(tie) + step)));
                    x.push_back(-x.back());
                }
            }
            for (qtk::instruction_set const set : cases::usable_sets()) {
                CAPTURE(scale);
                CAPTURE(qtk::name_of(set));
                REQUIRE(agrees(set, q, x, {scale, zero}, {}, 0, true));
            }
        }
    };
    check(qtk::tile_quantizer<qtk::i8, origin::fixed>{}, 128);
    check(qtk::tile_quantizer<qtk::i8, origin::floating>{}, 3);
    check(qtk::tile_quantizer<qtk::i8, origin::floating, rounding::nearest_away>{}, 250);
    check(qtk::tile_quantizer<qtk::i4, origin::fixed>{}, 8);
    check(qtk::tile_quantizer<qtk::e4m3, origin::fixed>{}, 0);
    check(qtk::tile_quantizer<qtk::e2m1, origin::fixed, rounding::nearest_away>{}, 0);
}
