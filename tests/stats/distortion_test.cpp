// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/distortion.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace {

double const infinity = std::numeric_limits<double>::infinity();
// Each figure here is a handful of double operations.
double const slack = 8 * std::numeric_limits<double>::epsilon();

}  // namespace

TEST_CASE("nothing has no distortion to speak of") {
    qtk::distortion const none;
    CHECK(none.count() == 0);
    CHECK_THROWS_AS((void)none.mse(), qtk::value_error);
    CHECK_THROWS_AS((void)none.nmse(), qtk::value_error);
    CHECK_THROWS_AS((void)none.sqnr_db(), qtk::value_error);
    CHECK_THROWS_AS((void)none.cosine(), qtk::value_error);
    CHECK_THROWS_AS((void)none.max_error(), qtk::value_error);
}

TEST_CASE("two lengths do not compare") {
    float const three[] = {1, 2, 3};
    CHECK_THROWS_WITH_AS((void)qtk::distortion_of(three, std::span(three).first(2)),
                         doctest::Contains("3 values but the approximation has 2"),
                         qtk::shape_error);
}

TEST_CASE("an exact copy has infinite SQNR") {
    float const values[] = {1, -2, 3};
    qtk::distortion const d = qtk::distortion_of(values, values);
    CHECK(d.mse() == 0.0);
    CHECK(d.nmse() == 0.0);
    CHECK(d.sqnr_db() == infinity);
    CHECK(d.cosine() == doctest::Approx(1.0).epsilon(slack));
    CHECK(d.cosine() <= 1.0);
    CHECK(d.max_error() == 0.0);
}

TEST_CASE("a zero signal met exactly is an exact copy") {
    float const zeros[] = {0, 0};
    qtk::distortion const d = qtk::distortion_of(zeros, zeros);
    CHECK(d.nmse() == 0.0);
    CHECK(d.sqnr_db() == infinity);
    CHECK(d.cosine() == 1.0);
}

TEST_CASE("any error on a zero signal is infinitely loud") {
    float const zeros[] = {0, 0}, some[] = {0, 1};
    qtk::distortion const d = qtk::distortion_of(zeros, some);
    CHECK(d.mse() == 0.5);
    CHECK(d.nmse() == infinity);
    CHECK(d.sqnr_db() == -infinity);
    CHECK(d.cosine() == 0.0);
}

TEST_CASE("an approximation by zero loses the whole signal") {
    float const some[] = {3, 4}, zeros[] = {0, 0};
    qtk::distortion const d = qtk::distortion_of(some, zeros);
    CHECK(d.nmse() == 1.0);
    CHECK(d.sqnr_db() == 0.0);
    CHECK(d.cosine() == 0.0);
    CHECK(d.max_error() == 4.0);
}

TEST_CASE("every figure by hand") {
    float const reference[] = {3, 4}, approximation[] = {3, 5};
    qtk::distortion const d = qtk::distortion_of(reference, approximation);
    CHECK(d.count() == 2);
    CHECK(d.mse() == 0.5);
    CHECK(d.nmse() == 1.0 / 25.0);
    CHECK(d.sqnr_db() == doctest::Approx(10.0 * std::log10(25.0)).epsilon(slack));
    CHECK(d.cosine() == doctest::Approx(29.0 / (5.0 * std::sqrt(34.0))).epsilon(slack));
    CHECK(d.max_error() == 1.0);
}

TEST_CASE("the opposite of the signal points the other way") {
    double const reference[] = {1, 2, 3}, opposite[] = {-1, -2, -3};
    qtk::distortion const d = qtk::distortion_of(reference, opposite);
    CHECK(d.cosine() == doctest::Approx(-1.0).epsilon(slack));
    CHECK(d.nmse() == 4.0);
    CHECK(d.max_error() == 6.0);
}

TEST_CASE("NaN anywhere is NaN everywhere") {
    float const nan = std::numeric_limits<float>::quiet_NaN();
    float const clean[] = {1, 2, 3}, broken[] = {1, nan, 9}, zeros[] = {0, 0, 0};
    for (auto const& d : {qtk::distortion_of(clean, broken), qtk::distortion_of(broken, clean),
                          qtk::distortion_of(broken, broken), qtk::distortion_of(zeros, broken),
                          qtk::distortion_of(broken, zeros)}) {
        CHECK(std::isnan(d.mse()));
        CHECK(std::isnan(d.nmse()));
        CHECK(std::isnan(d.sqnr_db()));
        CHECK(std::isnan(d.cosine()));
        CHECK(std::isnan(d.max_error()));
    }
}

TEST_CASE("pieces give what the whole gives") {
    std::vector<float> const reference = qtk::gaussian_vector(5000, 1);
    std::vector<float> const approximation = qtk::gaussian_vector(5000, 2);
    qtk::distortion const whole = qtk::distortion_of(reference, approximation);
    qtk::distortion pieces;
    for (std::size_t at = 0; at < 5000; at += 1250)
        pieces.add(std::span(reference).subspan(at, 1250),
                   std::span(approximation).subspan(at, 1250));
    pieces.add(std::span<float const>{}, std::span<float const>{});
    CHECK(pieces.count() == whole.count());
    // 1024 additions a block, each off by half a unit in the last place.
    double const rounding = 1024 * std::numeric_limits<double>::epsilon();
    CHECK(pieces.mse() == doctest::Approx(whole.mse()).epsilon(rounding));
    CHECK(pieces.cosine() == doctest::Approx(whole.cosine()).epsilon(rounding));
    CHECK(pieces.max_error() == whole.max_error());
}

TEST_CASE("scaling both by a power of two changes no ratio") {
    std::vector<float> reference = qtk::gaussian_vector(1000, 3);
    std::vector<float> approximation = qtk::gaussian_vector(1000, 4);
    qtk::distortion const before = qtk::distortion_of(reference, approximation);
    for (float& value : reference) value *= 0.125f;
    for (float& value : approximation) value *= 0.125f;
    qtk::distortion const after = qtk::distortion_of(reference, approximation);
    CHECK(after.sqnr_db() == before.sqnr_db());
    CHECK(after.cosine() == before.cosine());
    CHECK(after.mse() == before.mse() / 64.0);
}

TEST_CASE("uniform rounding costs a twelfth of the squared step") {
    // 2^16 multiples of 2^-16 of a step: the error is spread evenly by construction.
    std::vector<float> reference(65536), rounded(65536);
    for (std::size_t i = 0; i < reference.size(); ++i) {
        reference[i] = static_cast<float>(i) * 0x1p-16f;
        rounded[i] = std::nearbyint(reference[i]);
    }
    // Sum of (k / n)^2 over k = -n/2 .. n/2 - 1, over n: 1/12 + 1/(6 n^2).
    double const expected = 1.0 / 12.0 + 1.0 / (6.0 * 65536.0 * 65536.0);
    CHECK(qtk::distortion_of(reference, rounded).mse() ==
          doctest::Approx(expected).epsilon(1024 * std::numeric_limits<double>::epsilon()));
}

TEST_CASE("float inputs overflow nothing") {
    float const largest = std::numeric_limits<float>::max();
    float const reference[] = {largest, largest}, approximation[] = {-largest, largest};
    qtk::distortion const d = qtk::distortion_of(reference, approximation);
    CHECK(d.nmse() == 2.0);
    CHECK(d.cosine() == 0.0);
    CHECK(d.max_error() == 2.0 * static_cast<double>(largest));
}
