// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/model.hpp>
#include <qtk/energy/published.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using qtk::operand;

namespace {

qtk::layer_work weights_of(int bits, double count = 1e6) {
    return {.macs = count, .weights = count, .weight = operand::integer(bits)};
}

template <typename Table>
double picojoules_of(qtk::layer_work const& work) {
    return qtk::estimate_energy<Table>(std::vector{work}).total().picojoules();
}

}  // namespace

TEST_CASE("no layers need no energy") {
    auto const none = qtk::estimate_energy<qtk::horowitz_45nm>({});
    CHECK(none.total() == qtk::joules{});
    CHECK(none.table == "horowitz_45nm");
}

TEST_CASE("the 1:200 table gives the published savings to four digits after the point") {
    auto const full =
        qtk::estimate_energy<qtk::quadratic_linear_1_200>(std::vector{weights_of(32)});
    std::pair<int, double> const published[] = {{16, 50.1244}, {8, 75.0933}, {6, 81.3258},
                                                {5, 84.4406},  {4, 87.5544}, {3, 90.6673},
                                                {2, 93.7792}};
    for (auto const& [bits, percent] : published) {
        CAPTURE(bits);
        auto const reduced =
            qtk::estimate_energy<qtk::quadratic_linear_1_200>(std::vector{weights_of(bits)});
        CHECK(std::round(1e6 * savings(full, reduced)) == std::round(1e4 * percent));
    }
    CHECK(savings(full, full) == 0.0);
}

TEST_CASE("a layer's energy is split by hand: 45 nm, i4 weights, fp16 activations") {
    // 2 x 3 weights, one token; 50 stored bits; 1.1 pJ a product, 0.9 pJ an fp32 sum.
    auto const work = work_of(qtk::linear_layer{.out = 2,
                                                .in = 3,
                                                .weight = operand::integer(4),
                                                .activation = operand::floating(16),
                                                .weight_storage_bits = 50});
    auto const energy = qtk::estimate_energy<qtk::horowitz_45nm>(
        std::vector{work}, {.watts = 2e-9, .time = std::chrono::milliseconds(10)});
    // Four roundings of a double at most.
    double const slack = 4 * std::numeric_limits<double>::epsilon();
    CHECK(energy.compute.picojoules() == doctest::Approx(6 * (1.1 + 0.9)).epsilon(slack));
    CHECK(energy.dram.picojoules() == doctest::Approx(50 * 20.0).epsilon(slack));
    CHECK(energy.sram.picojoules() == doctest::Approx((50 + 16 * 5) * 100.0 / 64.0).epsilon(slack));
    CHECK(energy.idle.picojoules() == doctest::Approx(20.0).epsilon(slack));
    CHECK(energy.total().picojoules() == doctest::Approx(12 + 1000 + 203.125 + 20).epsilon(slack));
}

TEST_CASE("integer activations are what makes multiplications cheap") {
    qtk::layer_work work{.macs = 1, .weight = operand::integer(8)};
    work.activation = operand::floating(32);
    CHECK(picojoules_of<qtk::tpu_7nm>(work) == doctest::Approx(1.31 + 0.38));
    work.activation = operand::integer(8);
    work.accumulator = operand::integer(32);
    CHECK(picojoules_of<qtk::tpu_7nm>(work) == doctest::Approx(0.07 + 0.03));
}

TEST_CASE("each memory is charged at its own price") {
    qtk::layer_work const work{.moved = {.sram_1mib = 64, .sram_32kib = 64, .sram_8kib = 64}};
    CHECK(picojoules_of<qtk::horowitz_45nm>(work) == doctest::Approx(130));
    CHECK(picojoules_of<qtk::tpu_7nm>(work) == doctest::Approx(30));
    CHECK(picojoules_of<qtk::quadratic_linear_1_200>(work) == 0);
}

TEST_CASE("layers add up") {
    std::vector const layers{weights_of(8, 100), weights_of(4, 300)};
    double const apart = picojoules_of<qtk::quadratic_linear_1_200>(layers[0]) +
                         picojoules_of<qtk::quadratic_linear_1_200>(layers[1]);
    CHECK(qtk::estimate_energy<qtk::quadratic_linear_1_200>(layers).total().picojoules() ==
          doctest::Approx(apart).epsilon(1e-15));
}

TEST_CASE("a table chosen at run time gives the same") {
    std::vector const layers{weights_of(8)};
    auto const energy = qtk::with_energy_table(
        "tpu_7nm", [&](auto const& table) { return qtk::estimate_energy(layers, table); });
    CHECK(energy.total() == qtk::estimate_energy<qtk::tpu_7nm>(layers).total());
    CHECK(energy.table == "tpu_7nm");
}

TEST_CASE("joules of different tables are not compared") {
    std::vector const layers{weights_of(8)};
    CHECK_THROWS_WITH_AS((void)savings(qtk::estimate_energy<qtk::tpu_7nm>(layers),
                                       qtk::estimate_energy<qtk::horowitz_45nm>(layers)),
                         doctest::Contains("tpu_7nm"), qtk::value_error);
    auto const none = qtk::estimate_energy<qtk::tpu_7nm>({});
    CHECK_THROWS_AS((void)savings(none, none), qtk::value_error);
}

TEST_CASE("counts that are none are refused with the layer") {
    std::vector layers{weights_of(8), weights_of(8)};
    layers[1].macs = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH_AS((void)qtk::estimate_energy<qtk::horowitz_45nm>(layers),
                         doctest::Contains("layer 1"), qtk::value_error);
    layers[1] = weights_of(8);
    layers[1].moved.sram_32kib = -1;
    CHECK_THROWS_AS((void)qtk::estimate_energy<qtk::horowitz_45nm>(layers), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::estimate_energy<qtk::horowitz_45nm>({}, {.watts = -1}),
                         doctest::Contains("static power"), qtk::value_error);
    layers[1] = weights_of(0);
    CHECK_THROWS_WITH_AS((void)qtk::estimate_energy<qtk::horowitz_45nm>(layers),
                         doctest::Contains("0 bits"), qtk::value_error);
}
