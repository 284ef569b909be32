// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/dispatch.hpp>
#include <qtk/kernel/encode.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

constexpr std::size_t lengths[] = {0, 1, 2, 3, 5, 7, 8, 9, 15, 17, 31, 33, 64, 127, 1023};

template <typename Q>
void check_twins() {
    auto values = qtk::gaussian_vector(1024, 3);
    for (std::size_t i = 0; i < 40; ++i)
        values[i] = 0.25f * (static_cast<float>(i) - 20.0f);  // ties
    Q const q;
    for (qtk::interval const range : {qtk::interval{-3.5f, 3.5f}, qtk::interval{-0.1f, 2.0f}}) {
        auto const p = q.fit(range);
        for (std::size_t const n : lengths) {
            // Starting at 1: no vector is aligned.
            std::span<float const> const x(values.data() + 1, n);
            std::vector<std::uint8_t> fast(n + 1, 0xee), exact(n + 1, 0xee);
            qtk::encode_span(q, x, p, fast.data(), {.seed = 5, .first = 100});
            qtk::encode_span_scalar(q, x, p, exact.data(), {.seed = 5, .first = 100});
            REQUIRE(fast == exact);
            REQUIRE(fast[n] == 0xee);  // nothing is written past the end
        }
    }
}

}  // namespace

TEST_CASE("the fast encoder gives the bits of its scalar twin for every format and rounding") {
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        qtk::dispatch_format(element, []<qtk::format Element>() {
            using enum qtk::rounding;
            using qtk::origin;
            using qtk::tile_quantizer;
            check_twins<tile_quantizer<Element, origin::fixed, nearest_even>>();
            check_twins<tile_quantizer<Element, origin::fixed, nearest_away>>();
            check_twins<tile_quantizer<Element, origin::fixed, stochastic>>();
            if constexpr (Element.is_integer()) {
                check_twins<tile_quantizer<Element, origin::floating, nearest_even>>();
                check_twins<tile_quantizer<Element, origin::floating, nearest_away>>();
                check_twins<tile_quantizer<Element, origin::floating, stochastic>>();
            }
        });
    }
}
