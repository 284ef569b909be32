// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/format/gguf_k_search.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

/// sum x^2 (x - s l)^2 with the codes of round(x / s).
double weighted_error(std::span<float const> x, double scale, int nmax) {
    double error = 0.0;
    for (float const v : x) {
        double const value = static_cast<double>(v);
        double const code = std::fmin(std::fmax(std::nearbyint(value / scale), -nmax), nmax - 1);
        error += value * value * (value - scale * code) * (value - scale * code);
    }
    return error;
}

}  // namespace

TEST_CASE("values on a grid are found exactly") {
    std::vector<float> x(32);
    for (std::size_t i = 0; i < 32; ++i) x[i] = 0.25f * static_cast<float>(i % 16) - 1.5f;
    std::vector<float> const weights(32, 1.0f);
    auto const [scale, minimum] = qtk::detail::affine_run({}, x, weights);
    CHECK(scale == 0.25f);
    CHECK(minimum == 1.5f);
    std::array<int, 16> codes{};
    std::vector<float> y(16);
    for (std::size_t i = 0; i < 16; ++i)
        y[i] = 0.5f * static_cast<float>(static_cast<int>(i % 8) - 4);
    CHECK(qtk::detail::descended_run(4, y, codes) == 0.5f);
    CHECK(codes[0] == -4);
    CHECK(codes[7] == 3);
}

TEST_CASE("a lowest value above zero is taken for zero") {
    std::vector<float> const x{1.0f, 2.0f, 3.0f, 4.0f}, weights(4, 1.0f);
    CHECK(qtk::detail::affine_run({}, x, weights).minimum >= 0.0f);
    std::vector<float> const same(4, -2.0f);
    auto const [scale, minimum] = qtk::detail::affine_run({}, same, weights);
    CHECK(scale == 0.0f);
    CHECK(minimum == 2.0f);
    std::vector<float> const zeros(4);
    CHECK(qtk::detail::affine_run({}, zeros, weights).scale == 0.0f);
}

TEST_CASE("a searched scale is no worse than the scale of the largest value") {
    for (std::uint64_t seed = 1; seed < 50; ++seed) {
        std::vector<float> const x = qtk::gaussian_vector(16, seed);
        std::array<int, 16> codes{};
        double const plain = static_cast<double>(qtk::detail::largest_with_sign(x)) / -32.0;
        double const found = static_cast<double>(qtk::detail::signed_run(32, x, codes));
        CHECK(weighted_error(x, found, 32) <= weighted_error(x, plain, 32) * (1.0 + 1e-5));
        for (int const code : codes) CHECK((code >= -32 && code <= 31));
        CHECK(std::fabs(qtk::detail::levels_run(x)) <=
              2.0f * qtk::detail::magnitude_of(qtk::detail::largest_with_sign(x)) / 100.0f);
    }
}

TEST_CASE("runs without a value have no scale") {
    std::vector<float> const x(16, 1e-16f);
    std::array<int, 16> codes;
    codes.fill(5);
    CHECK(qtk::detail::signed_run(32, x, codes) == 0.0f);
    CHECK(codes[0] == 0);
    CHECK(qtk::detail::descended_run(4, x, codes) == 0.0f);
    CHECK(qtk::detail::levels_run(x) == 0.0f);
}

TEST_CASE("scales of scales that are whole multiples are found exactly") {
    std::vector<float> const x{0.5f, 1.0f, 7.5f, 0.0f, 3.0f}, weights{1.0f, 2.0f, 1.0f, 5.0f, 1.0f};
    std::array<int, 5> codes{};
    CHECK(qtk::detail::positive_run(15, x, codes, weights) == 0.5f);
    CHECK(codes == std::array{1, 2, 15, 0, 6});
    std::vector<float> const zeros(5);
    CHECK(qtk::detail::positive_run(15, zeros, codes, weights) == 0.0f);
    CHECK(codes == std::array{0, 0, 0, 0, 0});
}

TEST_CASE("weights decide between values that no scale suits together") {
    std::vector<float> const x{-4.0f, 1.4f, 1.4f, 1.4f}, first{1.0f, 0.0f, 0.0f, 0.0f},
        others{0.0f, 1.0f, 1.0f, 1.0f};
    std::array<int, 4> codes{};
    CHECK(qtk::detail::signed_run(4, x, codes, first) == doctest::Approx(1.0f));
    float const scale = qtk::detail::signed_run(4, x, codes, others);
    CHECK(scale * static_cast<float>(codes[1]) == doctest::Approx(1.4f));
    std::array<float, 4> best{};
    auto const found = qtk::detail::affine_run(qtk::detail::affine_search{}, x, others, best);
    CHECK(found.scale * best[1] - found.minimum == doctest::Approx(1.4f));
}
