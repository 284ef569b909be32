// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/table.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {

// A table fitted at run time is as good a model as a published one.
struct fitted {
    std::string name = "fitted", citation = "a meter";
    double per_mac = 1.0;
    [[nodiscard]] qtk::joules e_mul(qtk::operand, qtk::operand) const {
        return qtk::picojoules(per_mac);
    }
    [[nodiscard]] qtk::joules e_add(qtk::operand) const { return {}; }
    [[nodiscard]] qtk::joules e_bit(qtk::memory_level) const { return {}; }
    [[nodiscard]] qtk::traffic moved(qtk::layer_work const& work) const { return work.moved; }
};
static_assert(qtk::energy_table<fitted>);
static_assert(!qtk::energy_table<double>);

// e_mul in bare numbers is not a table: its unit would be anyone's guess.
struct without_units : fitted {
    [[nodiscard]] double e_mul(qtk::operand, qtk::operand) const { return 1.0; }
};
static_assert(!qtk::energy_table<without_units>);

constexpr qtk::detail::priced_size points[] = {{8, 3.0}, {16, 5.0}, {32, 10.0}};

}  // namespace

TEST_CASE("published points are met exactly") {
    for (auto const& [size, picojoules] : points)
        CHECK(qtk::detail::price(points, size) == qtk::picojoules(picojoules));
}

TEST_CASE("between points the price is linear") {
    CHECK(qtk::detail::price(points, 12) == qtk::picojoules(4.0));
    CHECK(qtk::detail::price(points, 20) == qtk::picojoules(6.25));
}

TEST_CASE("outside the points the price is in proportion to the nearest one") {
    CHECK(qtk::detail::price(points, 4) == qtk::picojoules(1.5));
    CHECK(qtk::detail::price(points, 64) == qtk::picojoules(20.0));
}

TEST_CASE("a larger operation never costs less") {
    for (double size = 1; size < 100; ++size)
        CHECK(qtk::detail::price(points, size) < qtk::detail::price(points, size + 1));
}

TEST_CASE("widths that no circuit has are refused") {
    CHECK(qtk::detail::width(qtk::operand::integer(1)) == 1.0);
    CHECK(qtk::detail::width(qtk::operand::integer(64)) == 64.0);
    CHECK_THROWS_WITH_AS((void)qtk::detail::width(qtk::operand::integer(0)),
                         doctest::Contains("0 bits"), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::detail::width(qtk::operand::integer(65)), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::detail::adder_width(qtk::operand_of(qtk::nf4)),
                         doctest::Contains("codebook"), qtk::value_error);
}

TEST_CASE(
    "a report says whose coefficients they are, and what they leave out or that they are silent") {
    CHECK(qtk::report_line(fitted{}) ==
          "energy table fitted: a meter; does not say what it ignores");
    struct frank : fitted {
        std::string ignores = "everything but products";
    };
    CHECK(qtk::report_line(frank{}) ==
          "energy table fitted: a meter; ignores everything but products");
}
