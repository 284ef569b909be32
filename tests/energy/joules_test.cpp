// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/joules.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <concepts>
#include <limits>
#include <type_traits>

namespace {

template <typename A, typename B>
concept can_multiply = requires(A a, B b) {
    a* b;
};
template <typename A, typename B>
concept can_add = requires(A a, B b) {
    a + b;
};

// Only what means something exists: no square joules, no sum with a bare number, no silent start.
static_assert(!can_multiply<qtk::joules, qtk::joules>);
static_assert(!can_add<qtk::joules, double>);
static_assert(!std::is_convertible_v<double, qtk::joules>);
static_assert(std::same_as<decltype(qtk::joules{} / qtk::joules(1)), double>);

}  // namespace

TEST_CASE("no energy is zero joules") {
    CHECK(qtk::joules{}.count() == 0.0);
    CHECK(to_string(qtk::joules{}) == "0 J");
}

TEST_CASE("what is not a number of joules is written as such") {
    double const infinity = std::numeric_limits<double>::infinity();
    CHECK(to_string(qtk::joules(infinity)) == "inf J");
    CHECK(to_string(qtk::joules(-infinity)) == "-inf J");
    CHECK(to_string(qtk::joules(std::numeric_limits<double>::quiet_NaN())) == "nan J");
}

TEST_CASE("units differ by powers of a thousand") {
    using namespace qtk::energy_literals;
    CHECK(qtk::picojoules(640) == 640_pJ);
    CHECK(640_pJ == qtk::joules(640e-12));
    CHECK(qtk::nanojoules(1.5) == qtk::joules(1.5e-9));
    CHECK(2.5_uJ == qtk::joules(2.5e-6));
    CHECK(7_uJ == qtk::joules(7e-6));
    CHECK(1.25_mJ == qtk::joules(1.25e-3));
    CHECK(3_mJ == qtk::joules(3e-3));
    CHECK(2.5_J == qtk::joules(2.5));
    CHECK(2_J == qtk::joules(2));
    CHECK(3.2_pJ == qtk::joules(3.2e-12));
    CHECK((2_J).picojoules() == 2e12);
}

TEST_CASE("energies add, scale and compare") {
    using namespace qtk::energy_literals;
    CHECK(2_J + 3_J == 5_J);
    CHECK(2_J - 3_J == qtk::joules(-1));
    CHECK(2_J * 4.0 == 8_J);
    CHECK(4.0 * 2_J == 8_J);
    CHECK(8_J / 4.0 == 2_J);
    CHECK(8_J / 2_J == 4.0);
    CHECK(1_mJ > 999_uJ);
    qtk::joules sum;
    sum += 3_J;
    sum -= 1_J;
    CHECK(sum == 2_J);
}

TEST_CASE("watts over seconds are joules") {
    CHECK(qtk::power_over(12.5, std::chrono::milliseconds(200)) == qtk::joules(2.5));
}

TEST_CASE("three digits are shown in the unit that suits them") {
    CHECK(to_string(qtk::joules(1.2345e-3)) == "1.23 mJ");
    CHECK(to_string(qtk::picojoules(640)) == "640 pJ");
    CHECK(to_string(qtk::picojoules(0.03)) == "30.0 fJ");
    CHECK(to_string(qtk::microjoules(45.67)) == "45.7 uJ");
    CHECK(to_string(qtk::joules(-0.25)) == "-250 mJ");
    CHECK(to_string(qtk::joules(1)) == "1.00 J");
    CHECK(to_string(qtk::joules(3.6e6)) == "3.60 MJ");
}

TEST_CASE("rounding up moves to the next unit") {
    CHECK(to_string(qtk::picojoules(999.4)) == "999 pJ");
    CHECK(to_string(qtk::picojoules(999.6)) == "1.00 nJ");
    CHECK(to_string(qtk::joules(99.96)) == "100 J");
}

TEST_CASE("beyond the named units the exponent is written out") {
    CHECK(to_string(qtk::joules(1.5e-16)) == "1.50e-16 J");
    CHECK(to_string(qtk::joules(1e-15)) == "1.00 fJ");
    CHECK(to_string(qtk::joules(999e9)) == "999 GJ");
    CHECK(to_string(qtk::joules(-1e12)) == "-1.00e+12 J");
}
