// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/tile_method.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

/// The method that chooses what round to nearest does.
struct minmax_method {
    qtk::any_qmatrix quantize(qtk::scheme const& s, qtk::matrix_view<float const> w,
                              qtk::quantize_options const& options) const {
        return qtk::quantize_tiles(s, w, options,
                                   [](qtk::any_quantizer const& q, qtk::tile_values const& tile) {
                                       return q.fit(qtk::minmax_range{}.estimate(tile.values));
                                   });
    }
};

constexpr char const* spellings[] = {"i4/g16/asym",     "i3/channel", "u4/tensor/asym",
                                     "i4/b2x9/sym/f16", "nf4/g32",    "e3m2/g8",
                                     "mxfp4",           "nvfp4",      "i2/g64/stochastic"};

}  // namespace

TEST_CASE(
    "with the intervals of min-max the bytes are those of round to nearest, for every scheme") {
    auto const values = qtk::gaussian_vector(7 * 75, 3);
    qtk::matrix_view<float const> const w(values.data(), 7, 70, 75);
    for (char const* const text : spellings) {
        CAPTURE(text);
        qtk::scheme const s = qtk::parse_scheme(text);
        CHECK(qtk::quantize_any(w, s, minmax_method{}, {.seed = 5}) ==
              qtk::quantize_any(w, s, qtk::minmax_range{}, {.seed = 5}));
    }
    qtk::matrix_view<float const> const none(values.data(), 0, 70, 75);
    CHECK(qtk::quantize_any(none, qtk::nvfp4, minmax_method{}).size() == 0);
}

TEST_CASE("values that are no numbers are treated as round to nearest treats them") {
    auto values = qtk::gaussian_vector(4 * 32, 4);
    values[5] = std::numeric_limits<float>::quiet_NaN();
    values[70] = -std::numeric_limits<float>::infinity();
    qtk::matrix_view<float const> const w(values.data(), 4, 32);
    for (char const* const text : {"i4/g16/asym", "nvfp4", "i8/tensor"})
        for (auto const policy :
             {qtk::nonfinite::propagate, qtk::nonfinite::saturate, qtk::nonfinite::zero}) {
            CAPTURE(text);
            qtk::scheme const s = qtk::parse_scheme(text);
            qtk::matrix const a =
                qtk::dequantize(qtk::quantize_any(w, s, minmax_method{}, {.on_nonfinite = policy}));
            qtk::matrix const b = qtk::dequantize(
                qtk::quantize_any(w, s, qtk::minmax_range{}, {.on_nonfinite = policy}));
            for (std::size_t i = 0; i < values.size(); ++i)
                CHECK((a.data()[i] == b.data()[i] ||
                       (std::isnan(a.data()[i]) && std::isnan(b.data()[i]))));
        }
    CHECK_THROWS_AS((void)qtk::quantize_any(w, qtk::mxfp4, minmax_method{}), qtk::nonfinite_error);
}

TEST_CASE("a scale too large for its type is an error that names the tile") {
    std::vector<float> values(8, 1.0f);
    values[6] = 3e6f;
    qtk::matrix_view<float const> const w(values.data(), 2, 4);
    CHECK_THROWS_WITH_AS((void)qtk::quantize_any(w, qtk::parse_scheme("i4/g2/sym/f16"),
                                                 minmax_method{}, {.name = "w"}),
                         "w: tile (1, 1) needs a larger scale than f16 can hold. Hint: store "
                         "scales as bf16 or f32",
                         qtk::value_error);
}

#if defined(_OPENMP)
TEST_CASE("1 and 3 threads give the same bytes") {
    auto const values = qtk::gaussian_vector(64 * 96, 9);
    qtk::matrix_view<float const> const w(values.data(), 64, 96);
    int const before = omp_get_max_threads();
    for (char const* const text : spellings) {
        qtk::scheme const s = qtk::parse_scheme(text);
        omp_set_num_threads(1);
        auto const one = qtk::quantize_any(w, s, minmax_method{});
        omp_set_num_threads(3);
        CHECK(one == qtk::quantize_any(w, s, minmax_method{}));
    }
    omp_set_num_threads(before);
}
#endif
