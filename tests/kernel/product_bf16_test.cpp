// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/product_bf16.hpp>
#include <qtk/kernel/avx2/product_bf16.hpp>
#include <qtk/kernel/avx512/product_bf16.hpp>
#include <qtk/kernel/portable/product_bf16.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <bit>
#include <cmath>
#include <limits>

namespace {

/// Every upper half, with lower halves at and around the tie.
std::vector<float> floats_around_bf16() {
    std::vector<float> x(1 << 16);
    qtk::splitmix64 random(3);
    for (std::size_t i = 0; i < x.size(); ++i) {
        std::uint32_t const low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
        x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(i << 16) |
                                    low[qtk::uniform_index(random, 6)]);
    }
    return x;
}

void check_rounding(void (*round)(float*, std::size_t)) {
    std::vector<float> const x = floats_around_bf16();
    std::vector<float> rounded = x;
    round(rounded.data(), rounded.size());
    for (std::size_t i = 0; i < x.size(); ++i)
        REQUIRE(std::bit_cast<std::uint32_t>(rounded[i]) == std::uint32_t{qtk::float_to_bf16(x[i])}
                                                                << 16);
}

}  // namespace

#if QTK_HAS_XSIMD
TEST_CASE("portable vectors round to bf16 as float_to_bf16 does") {
    check_rounding([](float* x, std::size_t n) { qtk::portable::round_to_bf16(x, n); });
}
#endif

#if QTK_HAS_X86

TEST_CASE("floats are rounded to bf16 as float_to_bf16 rounds them") {
    if (qtk::cpu().avx2)
        check_rounding([](float* x, std::size_t n) { qtk::avx2::round_to_bf16(x, n); });
    if (qtk::cpu().avx512)
        check_rounding([](float* x, std::size_t n) { qtk::avx512::round_to_bf16(x, n); });
    if (!qtk::cpu().avx512_bf16) return;
    std::vector<float> const x = floats_around_bf16();
    std::vector<float> paired = x;
    qtk::avx512::pair_floats(paired.data(), paired.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (!std::isnormal(x[i]))
            continue;  // below 2^-126 is zero there; NaN has more than one form
        std::uint32_t const pair = std::bit_cast<std::uint32_t>(paired[i / 2]);
        REQUIRE((pair >> (16 * (i % 2)) & 0xffffu) == qtk::float_to_bf16(x[i]));
    }
}

TEST_CASE("the product without the instruction is the chain of rounded factors") {
    if (!qtk::cpu().avx512) return;
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        cases::product const p(s, {21, 40, 256});
        if (!p.packed.view().layout.is_dense()) continue;
        std::vector<float> y(21 * 40);
        qtk::detail::product_by_pieces(
            qtk::avx512::engine, qtk::avx512::rounded_panels(p.packed.view()), {p.x.data(), 256},
            {0, 21, 0, 2}, qtk::matrix_view<float>(y.data(), 21, 40));
        for (std::size_t i = 0; i < y.size(); ++i) {
            float sum = 0.0f;
            for (std::size_t k = 0; k < 256; ++k)
                sum = std::fma(qtk::scalar::rounded_to_bf16(p.x[i / 40 * 256 + k]),
                               qtk::scalar::rounded_to_bf16(p.decoded[i % 40 * 256 + k]), sum);
            REQUIRE(y[i] == sum);
        }
    }
}

#endif
