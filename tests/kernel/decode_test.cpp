// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

TEST_CASE("the fast decoder gives the bits of its scalar twin for every format and field") {
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        auto const level = qtk::levels_of(element);
        for (std::size_t const n :
             {0u, 1u, 2u, 3u, 5u, 7u, 8u, 9u, 15u, 17u, 31u, 33u, 64u, 127u, 1023u}) {
            std::vector<std::uint8_t> fields(n);
            for (std::size_t i = 0; i < n; ++i)
                fields[i] =
                    static_cast<std::uint8_t>(i % static_cast<std::size_t>(element.patterns()));
            std::vector<float> fast(n + 1, 7.0f), exact(n + 1, 7.0f);
            qtk::tile_params const p{.scale = 0.37f, .zero = element.is_integer() ? 2 : 0};
            qtk::decode_span(element, fields, p, level, fast.data());
            qtk::decode_span_scalar(element, fields, p, level, exact.data());
            for (std::size_t i = 0; i <= n; ++i)
                REQUIRE(std::bit_cast<std::uint32_t>(fast[i]) ==
                        std::bit_cast<std::uint32_t>(exact[i]));
        }
    }
}

TEST_CASE("rows decode to what their codes, zeros and scales say, whatever shares a scale") {
    auto const values = qtk::gaussian_vector(7 * 45, 2);
    qtk::matrix_view<float const> const w(values.data(), 7, 45);
    for (char const* const spelling :
         {"i4/g16/asym", "i3/tensor", "i8/channel/sym/f16", "u5/b3x10/asym/bf16", "nf4/g7",
          "fp4/g32/sym/f16", "mxfp4", "nvfp4", "e4m3/g16/sym/e8m0"}) {
        CAPTURE(spelling);
        auto const q = qtk::quantize_any(w, qtk::parse_scheme(spelling));
        auto const level = qtk::levels_of(q.scheme().element);
        std::vector<float> rows(5 * 45);
        qtk::decode_rows(q, 2, 5, rows.data());
        for (std::size_t r = 0; r < 5; ++r)
            for (std::size_t c = 0; c < 45; ++c) {
                auto const p = q.params((r + 2) / q.grid().rows, c / q.grid().cols);
                int const zero = q.scheme().element.is_integer() ? p.zero : 0;
                REQUIRE(rows[r * 45 + c] ==
                        (level[q.field(r + 2, c)] - static_cast<float>(zero)) * p.scale);
            }
    }
}
