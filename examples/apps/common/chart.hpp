// SPDX-License-Identifier: Apache-2.0
//
// How do figures look? Bars with intervals, points with names, and lines, as SVG that gnuplot draws; where
// gnuplot is not installed there is no chart, and the caller says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace app {

struct chart_bar {
    std::string name;
    double value = 0.0, low = 0.0, high = 0.0;  ///< low = high = value: no interval.
};

struct chart_point {
    std::string name;
    double x = 0.0, y = 0.0;
};

struct chart_line {
    std::string name;
    std::vector<chart_point> points;
};

/// Is gnuplot there?
[[nodiscard]] bool can_draw();

/// Horizontal bars from 0, to the left where negative, the first on top; a line at `reference` if it is not 0.
[[nodiscard]] std::optional<std::string> draw_bars(std::string const& title,
                                                   std::string const& axis,
                                                   std::vector<chart_bar> const& bars,
                                                   double reference = 0.0);
/// The x axis is logarithmic.
[[nodiscard]] std::optional<std::string> draw_points(std::string const& title,
                                                     std::string const& x_axis,
                                                     std::string const& y_axis,
                                                     std::vector<chart_point> const& points);
/// The x axis is logarithmic.
[[nodiscard]] std::optional<std::string> draw_lines(std::string const& title,
                                                    std::string const& x_axis,
                                                    std::string const& y_axis,
                                                    std::vector<chart_line> const& lines);

}  // namespace app
