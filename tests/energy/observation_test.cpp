// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/observation.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/published.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using qtk::kernel_observation;
using qtk::layer_work;
using qtk::operand;

namespace {

layer_work macs_of(operand weight, operand activation, double macs, qtk::traffic moved = {}) {
    return {.macs = macs, .weight = weight, .activation = activation, .moved = moved};
}

std::vector<kernel_observation> three() {
    return {
        {"a", {macs_of(operand::integer(8), operand::integer(4), 10.0, {.dram = 5.0})}, 2.0, 4.0},
        {"b",
         {macs_of(operand::integer(2), operand::integer(16), 1.0, {.sram_8kib = 3.0}),
          macs_of(operand::integer(4), operand::floating(16), 7.0)},
         0.0,
         2.0},
        {"c", {}, 1.0, 1.0}};
}

}  // namespace

TEST_CASE("nothing observed has no columns") {
    CHECK(qtk::columns_in({}).empty());
    CHECK(qtk::amounts_of({}, {}).values.empty());
}

TEST_CASE("columns are multiplications by kind and product of widths, memories, and time") {
    auto const columns = qtk::columns_in(three());
    std::vector<std::string> names;
    for (auto const& column : columns) names.push_back(column.name() + ", " + column.unit());
    // 4 x 8 and 2 x 16 are one price; an int4 weight that meets a half is a half.
    CHECK(names == std::vector<std::string>{"mul integer 4x8, pJ", "mul float 16x16, pJ",
                                            "bits dram, pJ/bit", "bits sram_8kib, pJ/bit",
                                            "time, W"});
}

TEST_CASE("amounts are joules a unit of the coefficient over the joules measured") {
    auto const observations = three();
    auto const amounts = qtk::amounts_of(observations, qtk::columns_in(observations));
    CHECK(amounts.rows == 3);
    std::vector<double> const expected = {10e-12 / 4, 0,         5e-12 / 4, 0,         2.0 / 4,
                                          1e-12 / 2,  7e-12 / 2, 0,         3e-12 / 2, 0,
                                          0,          0,         0,         0,         1.0};
    REQUIRE(amounts.values.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(amounts.values[i] == doctest::Approx(expected[i]).epsilon(1e-15));
}

TEST_CASE("amounts times prices are what the model predicts") {
    auto const observations = three();
    auto const columns = qtk::columns_in(observations);
    using table = qtk::horowitz_45nm;
    for (auto const& one : observations) {
        double sum = 0.0;
        for (auto const& column : columns) {
            using what = qtk::energy_column::what;
            auto const number = [&](int bits) { return operand{column.kind, bits}; };
            double const price =
                column.counts == what::time ? 3.0
                : column.counts == what::bits
                    ? table::e_bit(column.level).count()
                    : table::e_mul(number(column.weight_bits), number(column.activation_bits))
                          .count();
            sum += qtk::amount_of(column, one) * price;
        }
        // The model adds the additions, which a fitted table has inside its multiplications.
        for (auto const& work : one.works)
            sum += work.macs * table::e_add(work.accumulator).count();
        CHECK(qtk::predicted_energy(one, table{}, 3.0).count() ==
              doctest::Approx(sum).epsilon(1e-14));
    }
}

TEST_CASE("columns that always come together have no condition, and are named") {
    std::vector<kernel_observation> observations;
    for (double const macs : {1e12, 2e12, 5e12})
        observations.push_back(
            {"x",
             {macs_of(operand::integer(8), operand::integer(8), macs, {.dram = 3.0 * macs})},
             1.0,
             1.0});
    auto const alike = qtk::amounts_of(observations, qtk::columns_in(observations));
    CHECK(std::isinf(alike.condition()));
    CHECK(alike.most_alike() == "mul integer 8x8 and bits dram");
    observations[1].works[0].moved.dram = 0.0;
    CHECK(qtk::amounts_of(observations, qtk::columns_in(observations)).condition() < 20.0);
}

TEST_CASE("an observation that cannot be is refused by name") {
    auto const refused = [](auto damage, char const* what) {
        auto observations = three();
        damage(observations[1]);
        CHECK_THROWS_WITH_AS((void)qtk::amounts_of(observations, qtk::columns_in(observations)),
                             doctest::Contains(what), qtk::value_error);
    };
    refused([](auto& o) { o.joules = 0.0; }, "observation \"b\": 0.000000 J");
    refused([](auto& o) { o.joules = std::numeric_limits<double>::infinity(); }, "inf J");
    refused([](auto& o) { o.seconds = -1.0; }, "-1.000000 s");
    refused(
        [](auto& o) {
            o.works[0].macs = -5.0, o.works[1].weight = operand::integer(16),
            o.works[1].activation = operand::integer(2), o.works[1].macs = 1.0;
        },
        "mul integer 4x8 is -4");
}
