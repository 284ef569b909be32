// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/encode_row.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <cstring>
#include <limits>
#include <vector>

namespace {

using qtk::origin;
using qtk::rounding;

/// What quantize_row means: extremes, fit, encode and pack, one step after the other.
template <typename Q>
void check_row(Q const& q, std::vector<float> const& x, std::size_t tile) {
    constexpr int bits = Q::element.bits;
    std::size_t const tiles = (x.size() + tile - 1) / tile;
    std::vector<qtk::tile_params> expected(tiles);
    std::vector<std::uint8_t> fields(x.size());
    std::vector<float> values(x.size());
    qtk::dither_source const dither{.seed = 3, .first = 77};
    for (std::size_t j = 0; j < tiles; ++j) {
        std::size_t const left = j * tile, width = std::min(tile, x.size() - left);
        qtk::interval range;
        for (float const v : std::span(x).subspan(left, width))
            range = {std::min(range.lowest, v), std::max(range.highest, v)};
        expected[j] = q.fit(range);
        qtk::encode_span_scalar(q, std::span(x).subspan(left, width), expected[j],
                                fields.data() + left, dither.from(left));
        for (std::size_t i = left; i < left + width; ++i)
            values[i] = q.decode(fields[i], expected[j]);
    }
    std::vector<std::uint8_t> packed(qtk::packed_bytes(x.size(), bits) + 1, 0xcd);
    qtk::pack_fields(fields, bits, packed);
    for (qtk::instruction_set const set : cases::usable_sets()) {
        CAPTURE(qtk::name_of(set));
        CAPTURE(x.size());
        CAPTURE(tile);
        std::vector<qtk::tile_params> params(tiles);
        std::vector<std::uint8_t> codes(packed.size(), 0xcd);
        REQUIRE(qtk::quantize_row(set, q, std::span<float const>(x), tile, dither, params.data(),
                                  codes.data()));
        REQUIRE(params == expected);
        REQUIRE(codes == packed);
        // Without the promise that extremes give, the same codes.
        qtk::encode_row(set, q, params.data(), std::span<float const>(x), 0, tile, false, dither,
                        codes.data());
        REQUIRE(codes == packed);
        qtk::level_rule const rule(Q::element);
        for (bool const is_large : {false, true}) {
            std::vector<float> fake(x.size());
            REQUIRE(qtk::fake_quantize_row(set, q, rule, std::span<float const>(x), tile, dither,
                                           is_large, params.data(), fake.data()));
            REQUIRE(std::memcmp(fake.data(), values.data(), x.size() * sizeof(float)) == 0);
        }
    }
}

template <typename Q>
void check_rows(Q const& q) {
    std::string const name{qtk::name_of(Q::element)};
    CAPTURE(name);
    for (std::size_t const cols : {1u, 15u, 64u, 127u, 1025u, 4100u}) {
        std::vector<float> x = qtk::gaussian_vector(cols, cols);
        for (std::size_t i = 0; i < cols; i += 5) x[i] = 0.25f * static_cast<float>(i % 16);
        for (std::size_t const tile : {1u, 5u, 16u, 24u, 32u, 64u, 128u, 130u, 1000u, 5000u})
            check_row(q, x, tile);
    }
}

}  // namespace

TEST_CASE("one pass over a row is measuring, fitting, encoding and packing it") {
    using enum qtk::scale_type;
    check_rows(qtk::tile_quantizer<qtk::i4, origin::fixed>{});
    check_rows(qtk::tile_quantizer<qtk::i4, origin::floating>{f16});
    check_rows(qtk::tile_quantizer<qtk::i8, origin::floating, rounding::nearest_away>{bf16});
    check_rows(qtk::tile_quantizer<qtk::i3, origin::fixed>{});
    check_rows(qtk::tile_quantizer<qtk::i2, origin::floating, rounding::stochastic>{});
    check_rows(qtk::tile_quantizer<qtk::nf4, origin::fixed>{});
    check_rows(qtk::tile_quantizer<qtk::fp4, origin::fixed, rounding::stochastic>{});
    check_rows(qtk::tile_quantizer<qtk::e2m1, origin::fixed>{e8m0});
    check_rows(qtk::tile_quantizer<qtk::e3m2, origin::fixed>{});
    check_rows(qtk::tile_quantizer<qtk::e4m3, origin::fixed, rounding::nearest_away>{f16});
}

TEST_CASE("a value that is not finite and a scale that does not fit are reported") {
    qtk::tile_quantizer<qtk::i4, origin::fixed> const q(qtk::scale_type::f16);
    for (qtk::instruction_set const set : cases::usable_sets())
        for (float const bad : {std::numeric_limits<float>::quiet_NaN(),
                                -std::numeric_limits<float>::infinity(), 1e8f}) {
            std::vector<float> x(300, 1.0f);
            x[290] = bad;
            std::vector<qtk::tile_params> params(3);
            std::vector<std::uint8_t> codes(150);
            CHECK_FALSE(qtk::quantize_row(set, q, std::span<float const>(x), 128, {}, params.data(),
                                          codes.data()));
            CHECK_FALSE(qtk::fake_quantize_row(set, q, qtk::level_rule(qtk::i4),
                                               std::span<float const>(x), 128, {}, false,
                                               params.data(), x.data()));
        }
}

TEST_CASE("blocks of a row are whole tiles and whole bytes") {
    for (std::size_t const tile : {1u, 3u, 16u, 100u, 127u, 128u, 600u, 2000u}) {
        std::size_t const block = qtk::detail::tiles_at_once(tile, 100'000);
        CHECK(block % tile == 0);
        CHECK(block % 8 == 0);
        CHECK(block / tile <= qtk::encode_block_values);
    }
    CHECK(qtk::detail::tiles_at_once(100, 90) == 90);
}
