// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/activation_range.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>

namespace {

/// Normal values without sign, one of them far out.
qtk::input_statistics seen_by(std::size_t kept_rows) {
    qtk::matrix x(500, 20);
    std::ranges::copy(qtk::gaussian_vector(x.view().size(), 5), x.data());
    for (float& v : x.view().flat()) v = std::max(v, 0.0f);
    x(100, 3) = 40.0f;
    qtk::input_statistics seen(20, {.has_hessian = false, .kept_rows = kept_rows});
    seen.add(x.view());
    return seen;
}
float highest(qtk::activation_grid const& grid) {
    return grid.scale * static_cast<float>(grid.highest);
}

}  // namespace

TEST_CASE("estimators are read by name, and wrong ones are shown") {
    using qtk::parse_activation_range;
    CHECK(std::holds_alternative<qtk::minmax_range>(parse_activation_range("minmax")));
    CHECK(std::holds_alternative<qtk::mse_range>(parse_activation_range("mse")));
    CHECK(std::holds_alternative<qtk::entropy_range>(parse_activation_range("entropy")));
    CHECK(std::holds_alternative<qtk::moving_average_range>(parse_activation_range("average:0.5")));
    CHECK(std::get<qtk::percentile_range>(parse_activation_range("percentile")).keep == 0.999f);
    CHECK(std::get<qtk::percentile_range>(parse_activation_range("percentile:0.9")).keep == 0.9f);
    for (char const* const text :
         {"", "max", "mse:2", "percentile:", "percentile:0", "percentile:1.5", "average:x"})
        CHECK_THROWS_AS((void)parse_activation_range(text), qtk::value_error);
}

TEST_CASE("min-max holds the outlier, the others let it go by their rules") {
    qtk::input_statistics const seen = seen_by(500);
    auto const codes = qtk::activation_codes(4, false);
    auto const of = [&](char const* range) {
        return highest(calibrated_grid(seen, qtk::parse_activation_range(range), codes));
    };
    CHECK(of("minmax") == 40.0f);
    CHECK(of("mse") < 20.0f);
    CHECK(of("percentile:0.99") < 4.0f);
    CHECK(of("entropy") < 40.0f);
    CHECK(of("average") < 10.0f);
    CHECK(of("average") > 2.0f);
}

TEST_CASE("without a sample there is min-max alone, without rows nothing") {
    qtk::input_statistics const seen = seen_by(0);
    CHECK(highest(calibrated_grid(seen, qtk::minmax_range{}, qtk::activation_codes(4))) == 40.0f);
    CHECK_THROWS_AS((void)calibrated_grid(seen, qtk::mse_range{}, qtk::activation_codes(4)),
                    qtk::value_error);
    CHECK_THROWS_AS((void)calibrated_grid(qtk::input_statistics(3), qtk::minmax_range{}, {}),
                    qtk::value_error);
}
