// SPDX-License-Identifier: Apache-2.0
//
// Do the quantizers lose exactly what theory and independent implementations say? Two tables: the
// mean squared error on N(0, 1) at the best fixed scale (Max 1960 for uniform levels), integrated
// cell by cell over the real codes; and the normalized error of group schemes on a fixed Gaussian
// vector of 2^20 values.
#include <qtk/core/dispatch.hpp>
#include <qtk/core/random.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/mse.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

namespace {

using qtk::origin;
using qtk::tile_params;
using qtk::tile_quantizer;

struct gaussian_row {
    int bits;
    double symmetric_step, symmetric_mse, twos_complement_step, twos_complement_mse;
};
constexpr gaussian_row gaussian_table[] = {
    {2, 1.224006, 0.19017404, 1.048385, 0.14943107},
    {3, 0.650770, 0.04685997, 0.601824, 0.04063825},
    {4, 0.353411, 0.01288939, 0.338608, 0.01186404},
    {5, 0.193249, 0.00369322, 0.188792, 0.00352596},
    {6, 0.105488, 0.00106929, 0.104179, 0.00104285},
    {7, 0.057261, 3.0862e-4, 0.056887, 3.0458e-4},
    {8, 0.030870, 8.831e-5, 0.030766, 8.771e-5},
};

struct group_row {
    int bits;
    std::size_t group;
    double symmetric, affine;
};
constexpr group_row group_table[] = {
    {2, 32, 0.43144736, 0.16508239},  {2, 64, 0.51358246, 0.20818039},
    {2, 128, 0.58593642, 0.25194788}, {2, 4096, 0.82107500, 0.46050202},
    {3, 32, 0.05121874, 0.02999573},  {3, 64, 0.06294211, 0.03804003},
    {3, 128, 0.07462861, 0.04628138}, {3, 4096, 0.13248039, 0.08861813},
    {4, 32, 0.00939078, 0.00651827},  {4, 64, 0.01154315, 0.00828002},
    {4, 128, 0.01370325, 0.01008179}, {4, 4096, 0.02436248, 0.01930877},
    {5, 32, 0.00204560, 0.00152732},  {5, 64, 0.00251300, 0.00193800},
    {5, 128, 0.00297994, 0.00235870}, {5, 4096, 0.00529671, 0.00451024},
    {6, 32, 0.00047911, 0.00037029},  {6, 64, 0.00058848, 0.00046960},
    {6, 128, 0.00069852, 0.00057194}, {6, 4096, 0.00124277, 0.00109261},
    {8, 32, 0.00002854, 0.00002257},  {8, 64, 0.00003507, 0.00002867},
    {8, 128, 0.00004153, 0.00003493}, {8, 4096, 0.00007406, 0.00006673},
};

struct codebook_row {
    std::size_t block;
    double nf4, fp4;
};
constexpr codebook_row codebook_table[] = {
    {32, 0.00762998, 0.01301899},
    {64, 0.00844775, 0.01484625},
    {128, 0.00914293, 0.01648486},
    {256, 0.00972668, 0.01806415},
};

double density(double x) {
    return std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
}
double below(double x) {
    return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

/// The integral of (x - v)^2 over the standard normal density from a to b.
double cell_error(double a, double b, double v) {
    auto const edge = [&](double x) { return std::isinf(x) ? 0.0 : (x - 2.0 * v) * density(x); };
    return (1.0 + v * v) * (below(b) - below(a)) - (edge(b) - edge(a));
}

/// The mean squared error of Q's codes with parameters p: a cell ends where the value of encode's
/// field changes, found by bisection.
template <typename Q>
double gaussian_mse(tile_params p) {
    Q const q;
    auto const level = [&](float x) { return q.decode(q.encode(x, p), p); };
    double sum = 0.0, left = -std::numeric_limits<double>::infinity();
    constexpr float end = 100.0f;
    for (float from = -end; from < end;) {
        float low = from, high = end;
        while (level(low) < level(end) && std::nextafter(low, high) < high) {
            float const middle = 0.5f * (low + high);
            (level(middle) <= level(from) ? low : high) = middle;
        }
        bool const is_last = level(from) >= level(end);
        double const right =
            is_last ? std::numeric_limits<double>::infinity() : static_cast<double>(low);
        sum += cell_error(left, right, static_cast<double>(level(from)));
        left = right;
        from = high;
        if (is_last) break;
    }
    return sum;
}

/// Where f is least between a and b: golden section, until the section is narrower than 1e-5 of b.
template <typename F>
double argmin(double a, double b, F&& f) {
    constexpr double ratio = std::numbers::phi - 1.0;
    double const enough = 1e-5 * b;
    double x = b - ratio * (b - a), y = a + ratio * (b - a);
    double at_x = f(x), at_y = f(y);
    while (b - a > enough) {
        if (at_x < at_y) {
            b = std::exchange(y, x);
            at_y = at_x;
            at_x = f(x = b - ratio * (b - a));
        } else {
            a = std::exchange(x, y);
            at_x = at_y;
            at_y = f(y = a + ratio * (b - a));
        }
    }
    return 0.5 * (a + b);
}

/// Checks the error at the table's scale, and that this scale is the best one, to 0.1 %.
template <typename Q>
void check_best_scale(double scale, double mse, int zero) {
    auto const error_at = [&](double s) { return gaussian_mse<Q>({static_cast<float>(s), zero}); };
    CHECK(error_at(scale) == doctest::Approx(mse).epsilon(0.001));
    CHECK(argmin(0.7 * scale, 1.4 * scale, error_at) == doctest::Approx(scale).epsilon(0.001));
}

/// f.operator()<Element>() for the signed integer of that width.
template <typename F>
void with_signed(int bits, F&& f) {
    qtk::dispatch_format(qtk::format{.bits = bits}, std::forward<F>(f));
}

/// sum (x - x')^2 / sum x^2 over neighbouring groups.
template <typename Q, typename Range = qtk::minmax_range>
double nmse(std::span<float const> values, std::size_t group, Q const& q = Q{},
            Range const& range = {}) {
    double error = 0.0, signal = 0.0;
    for (std::size_t at = 0; at < values.size(); at += group) {
        auto const tile = values.subspan(at, group);
        auto const p = q.fit(qtk::estimate_range(range, tile, q));
        for (float const x : tile) {
            auto const e =
                static_cast<double>(x) - static_cast<double>(q.decode(q.encode(x, p), p));
            error += e * e;
            signal += static_cast<double>(x) * static_cast<double>(x);
        }
    }
    return error / signal;
}

std::vector<float> const& sample() {
    static std::vector<float> const values = qtk::gaussian_vector(std::size_t{1} << 20, 42);
    return values;
}

}  // namespace

TEST_CASE("uniform quantizers lose what theory says at the best step") {
    for (auto const& row : gaussian_table) {
        CAPTURE(row.bits);
        with_signed(row.bits, [&]<qtk::format Element>() {
            int const middle = 1 << (row.bits - 1);
            check_best_scale<tile_quantizer<Element, origin::fixed>>(row.symmetric_step,
                                                                     row.symmetric_mse, middle);
            check_best_scale<tile_quantizer<Element, origin::floating>>(
                row.twos_complement_step, row.twos_complement_mse, middle);
        });
    }
}

TEST_CASE("16 levels that are not uniform lose what theory says at the best scale") {
    check_best_scale<tile_quantizer<qtk::nf4, origin::fixed>>(2.863063, 0.00989932, 0);
    check_best_scale<tile_quantizer<qtk::fp4, origin::fixed>>(2.563623, 0.01658612, 0);
    check_best_scale<tile_quantizer<qtk::e2m1, origin::fixed>>(0.487079, 0.01268490, 0);
}

TEST_CASE("searching for the least squared error finds the best scale of theory") {
    // One tile: a step of the search is 1 % of its interval, some 2 % of the best scale, and next to
    // a minimum that costs far less. The rest of the 1 % is the sample's own deviation.
    auto const tile = std::span(sample()).first(std::size_t{1} << 17);
    auto const check = [&]<typename Q>(double mse) {
        CHECK(nmse<Q>(tile, tile.size(), Q{}, qtk::mse_range{}) ==
              doctest::Approx(mse).epsilon(0.01));
    };
    check.template operator()<tile_quantizer<qtk::i3, origin::fixed>>(0.04685997);
    check.template operator()<tile_quantizer<qtk::i4, origin::fixed>>(0.01288939);
    check.template operator()<tile_quantizer<qtk::nf4, origin::fixed>>(0.00989932);
    check.template operator()<tile_quantizer<qtk::e2m1, origin::fixed>>(0.01268490);
}

TEST_CASE("integer groups lose what an independent implementation measured") {
    for (auto const& row : group_table) {
        CAPTURE(row.bits);
        CAPTURE(row.group);
        with_signed(row.bits, [&]<qtk::format Element>() {
            CHECK(nmse<tile_quantizer<Element, origin::fixed>>(sample(), row.group) ==
                  doctest::Approx(row.symmetric).epsilon(0.001));
            CHECK(nmse<tile_quantizer<Element, origin::floating>>(sample(), row.group) ==
                  doctest::Approx(row.affine).epsilon(0.001));
        });
    }
}

TEST_CASE("nf4 and fp4 blocks lose what an independent implementation measured") {
    for (auto const& row : codebook_table) {
        CAPTURE(row.block);
        CHECK(nmse<tile_quantizer<qtk::nf4, origin::fixed>>(sample(), row.block) ==
              doctest::Approx(row.nf4).epsilon(0.001));
        CHECK(nmse<tile_quantizer<qtk::fp4, origin::fixed>>(sample(), row.block) ==
              doctest::Approx(row.fp4).epsilon(0.001));
    }
}

TEST_CASE("mxfp4 and nvfp4 lose what ggml's MXFP4 and NVFP4 do") {
    qtk::quantizer_for<qtk::mxfp4> const mx(qtk::scale_type::e8m0);
    CHECK(nmse(sample(), 32, mx) == doctest::Approx(0.01320538).epsilon(0.001));
    qtk::quantizer_for<qtk::nvfp4> const nv(qtk::scale_type::e4m3);
    CHECK(nmse(sample(), 16, nv) == doctest::Approx(0.00902976).epsilon(0.001));
}
