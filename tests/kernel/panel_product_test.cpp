// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/panel_product.hpp>
#include <qtk/kernel/avx512/panel_product.hpp>
#include <qtk/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

namespace {

std::vector<qtk::panel_engine> engines() {
    std::vector<qtk::panel_engine> all{qtk::scalar::engine};
#if QTK_HAS_X86
    if (qtk::cpu().avx2) all.push_back(qtk::avx2::engine);
    if (qtk::cpu().avx512) all.push_back(qtk::avx512::engine);
#endif
    return all;
}

/// Weights that know their place: 3 panels.
struct plain_panels {
    float const* w;
    std::size_t depth;
    void load(std::size_t p, std::size_t k, std::size_t n, float* to) const noexcept {
        std::copy_n(w + (p * depth + k) * 32, n * 32, to);
    }
    void prepare(float*, std::size_t) const noexcept {}
};

}  // namespace

TEST_CASE("a tile is one chain of fused products for each result, and goes on where c stands") {
    constexpr std::size_t n = 37, stride = 41;
    std::vector<float> const x = qtk::gaussian_vector(12 * stride, 1);
    alignas(64) std::array<float, n * 32> w;
    std::vector<float> const values = qtk::gaussian_vector(w.size(), 2);
    std::copy(values.begin(), values.end(), w.begin());
    for (qtk::panel_engine const& engine : engines())
        for (std::size_t rows = 1; rows <= engine.most_rows; ++rows)
            for (std::size_t const words : {1u, 4u, 37u})
                for (bool const is_first : {true, false}) {
                    alignas(64) std::array<float, 13 * 32> c, expected;
                    for (std::size_t i = 0; i < c.size(); ++i)
                        c[i] = expected[i] = static_cast<float>(i);
                    engine.tiles[rows - 1](x.data(), stride, w.data(), words, c.data(), is_first);
                    for (std::size_t r = 0; r < rows; ++r)
                        qtk::scalar::multiply_row(x.data() + r * stride, stride, w.data(), words,
                                                  expected.data() + 32 * r, is_first);
                    REQUIRE(c == expected);
                }
}

TEST_CASE("the cut into pieces changes no bit, for few rows and for many, streamed or not") {
    for (auto const& [rows, depth] :
         {std::pair{1u, 0u}, std::pair{1u, 1u}, std::pair{3u, 300u}, std::pair{16u, 128u},
          std::pair{17u, 257u}, std::pair{40u, 700u}}) {
        CAPTURE(rows);
        CAPTURE(depth);
        std::vector<float> const x = qtk::gaussian_vector(rows * depth + 1, 3),
                                 w = qtk::gaussian_vector(11 * depth * 32 + 1, 4);
        std::vector<float> expected(rows * 352);
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t p = 0; p < 11; ++p)
                qtk::scalar::multiply_row(x.data() + r * depth, 0, w.data() + p * depth * 32, depth,
                                          expected.data() + r * 352 + 32 * p, true);
        for (qtk::panel_engine const& engine : engines()) {
            std::vector<float> y(rows * 352, 7.0f);
            qtk::detail::product_by_pieces(engine, plain_panels{w.data(), depth}, {x.data(), depth},
                                           {0, rows, 0, 11},
                                           qtk::matrix_view<float>(y.data(), rows, 352));
            REQUIRE(cases::same_bits(y, expected));
        }
    }
}

TEST_CASE("large aligned results go past the caches and arrive") {
    constexpr std::size_t rows = 33, cols = 32768, depth = 3;
    std::vector<float> const x = qtk::gaussian_vector(rows * depth, 5),
                             w = qtk::gaussian_vector(cols * depth, 6);
    for (qtk::panel_engine const& engine : engines()) {
        qtk::aligned_bytes bytes((rows * cols + 16) * sizeof(float));
        // One float off a line they must take the other way.
        for (std::size_t const off : {0u, 1u}) {
            float* const y = bytes.as<float>() + off;
            qtk::output_rows const to(qtk::matrix_view<float>(y, rows, cols));
            CHECK(qtk::detail::is_streamed(to) == (off == 0));
            std::fill_n(y, rows * cols, 7.0f);
            qtk::detail::product_by_pieces(engine, plain_panels{w.data(), depth}, {x.data(), depth},
                                           {0, rows, 0, cols / 32}, to);
            std::array<float, 32> expected;
            for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t p = 0; p < cols / 32; ++p) {
                    qtk::scalar::multiply_row(x.data() + r * depth, 0, w.data() + p * depth * 32,
                                              depth, expected.data(), true);
                    REQUIRE(std::memcmp(y + r * cols + 32 * p, expected.data(), sizeof(expected)) ==
                            0);
                }
        }
    }
}
