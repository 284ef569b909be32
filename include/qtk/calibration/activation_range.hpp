// SPDX-License-Identifier: Apache-2.0
//
// Which interval do the static activations of a layer cover, if the estimator is chosen at run time? Any of
// range/, over what calibration has kept of a layer's input:
//
//   minmax | mse | percentile[:KEEP] | entropy | average[:RATE]
//
// min-max knows all values; the others see the sample of rows. The moving average takes the sample in 32
// parts, as the batches of a training are taken.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/static_activations.hpp>
#include <qtk/range/entropy.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/moving_average.hpp>
#include <qtk/range/mse.hpp>
#include <qtk/range/percentile.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace qtk {

using activation_range =
    std::variant<minmax_range, mse_range, percentile_range, entropy_range, moving_average_range>;

/// Throws value_error that shows what was expected.
[[nodiscard]] inline activation_range parse_activation_range(std::string_view text) {
    std::size_t const end = std::min(text.find(':'), text.size());
    std::string_view const name = text.substr(0, end);
    auto const share = [&](float usual) {
        if (end == text.size()) return usual;
        std::string_view const number = text.substr(end + 1);
        float value = 0.0f;
        auto const [stop, failure] =
            std::from_chars(number.data(), number.data() + number.size(), value);
        if (failure != std::errc{} || stop != number.data() + number.size() || !(value > 0.0f) ||
            value > 1.0f)
            throw value_error("range \"" + std::string(text) +
                              "\": expected a share in (0, 1] behind the colon, found \"" +
                              std::string(number) + "\"");
        return value;
    };
    if (name == "percentile") return percentile_range{.keep = share(0.999f)};
    if (name == "average") return moving_average_range(share(0.1f));
    if (text == "minmax") return minmax_range{};
    if (text == "mse") return mse_range{};
    if (text == "entropy") return entropy_range{};
    throw value_error(
        "range: expected minmax, mse, percentile[:KEEP], entropy or average[:RATE], found \"" +
        std::string(text) + "\"");
}

/// The grid with the codes of `codes` for the inputs that were seen. Throws value_error if none were.
[[nodiscard]] inline activation_grid calibrated_grid(input_statistics const& seen,
                                                     activation_range const& range,
                                                     activation_grid const& codes) {
    matrix_view<float const> const rows = seen.rows();
    bool const has_all = std::holds_alternative<minmax_range>(range);
    if (seen.count() == 0 || (!has_all && rows.rows == 0))
        throw value_error("static activations: there are no rows to calibrate with");
    if (has_all) return fit_activation_grid(seen.range(), codes);
    std::span<float const> const values(rows.data, rows.size());
    if (auto const* const average = std::get_if<moving_average_range>(&range)) {
        moving_average_range moving = *average;
        constexpr std::size_t parts = 32;
        for (std::size_t i = 0; i < parts; ++i) {
            std::size_t const first = rows.rows * i / parts, last = rows.rows * (i + 1) / parts;
            moving.observe(values.subspan(first * rows.cols, (last - first) * rows.cols));
        }
        return fit_activation_grid(moving.current(), codes);
    }
    return std::visit([&](auto const& how) { return static_activation_grid(rows, how, codes); },
                      range);
}

}  // namespace qtk
