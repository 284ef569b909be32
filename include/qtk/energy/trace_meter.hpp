// SPDX-License-Identifier: Apache-2.0
//
// What would a meter have said? A recorded trace of time and energy, played back: tests and
// calibrations that need joules but no hardware, the same on every machine. In a file it is CSV with
// the header `seconds,joules` and one point a line, both counted from anywhere, time rising, energy
// never falling. Between points energy is a straight line, as if power were constant.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/meter.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace qtk {

struct trace_point {
    double seconds = 0.0, joules = 0.0;
    friend constexpr bool operator==(trace_point, trace_point) noexcept = default;
};

/// Models energy_meter. Time stands still until advance() moves it.
class trace_meter {
  public:
    /// Without points there is no meter. value_error for points out of order or not finite, with
    /// the index.
    explicit trace_meter(std::vector<trace_point> points, std::string const& name = "trace")
        : points_(std::move(points)) {
        for (std::size_t i = 0; i < points_.size(); ++i) {
            trace_point const& p = points_[i];
            bool const is_finite = std::isfinite(p.seconds) && std::isfinite(p.joules);
            if (!is_finite || (i > 0 && (!(p.seconds > points_[i - 1].seconds) ||
                                         p.joules < points_[i - 1].joules)))
                throw value_error(name + ": point " + std::to_string(i) + " (" +
                                  std::to_string(p.seconds) + " s, " + std::to_string(p.joules) +
                                  " J); expected finite values, rising time and energy that never "
                                  "falls");
        }
        description_ = points_.empty()
                           ? "no trace meter: " + name + " has no points"
                           : "recorded trace " + name + " of " + std::to_string(duration()) + " s";
    }

    [[nodiscard]] bool is_present() const noexcept { return !points_.empty(); }
    [[nodiscard]] std::string const& description() const noexcept { return description_; }

    /// From the first point to the last, in seconds.
    [[nodiscard]] double duration() const noexcept {
        return points_.empty() ? 0.0 : points_.back().seconds - points_.front().seconds;
    }
    [[nodiscard]] double elapsed() const noexcept { return elapsed_; }

    /// The recorded program goes on for this long; value_error past the end of the trace.
    void advance(double seconds) {
        // Steps that add up to the whole trace may pass its end by their rounding.
        double const slack = 1e-9 * duration();
        if (!(seconds >= 0.0) || elapsed_ + seconds > duration() + slack)
            throw value_error("trace meter: " + std::to_string(seconds) + " s more after " +
                              std::to_string(elapsed_) + " s; the trace has " +
                              std::to_string(duration()) + " s");
        elapsed_ = std::min(elapsed_ + seconds, duration());
    }

    [[nodiscard]] joules read() const {
        if (!is_present()) throw value_error(description_);
        double const at = points_.front().seconds + elapsed_;
        auto const after =
            std::upper_bound(points_.begin(), points_.end(), at,
                             [](double time, trace_point const& p) { return time < p.seconds; });
        auto const before = after - 1;
        double level = before->joules;
        if (after != points_.end())
            level = std::lerp(before->joules, after->joules,
                              (at - before->seconds) / (after->seconds - before->seconds));
        return joules(level - points_.front().joules);
    }

  private:
    std::vector<trace_point> points_;
    double elapsed_ = 0.0;
    std::string description_;
};
static_assert(energy_meter<trace_meter>);

/// The points of a CSV text; io_error with `path`, the line and what was found there.
[[nodiscard]] inline std::vector<trace_point> parse_trace(std::string_view text,
                                                          std::string const& path) {
    std::vector<trace_point> points;
    for (std::size_t line = 1; !text.empty(); ++line) {
        std::size_t const end = std::min(text.find('\n'), text.size());
        std::string_view row = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (row.ends_with('\r')) row.remove_suffix(1);
        auto const refuse = [&](char const* expected) {
            throw io_error(path, "line " + std::to_string(line) + ": expected " + expected +
                                     ", found \"" + std::string(row.substr(0, 60)) + "\"");
        };
        if (line == 1) {
            if (row != "seconds,joules") refuse("the header seconds,joules");
            continue;
        }
        trace_point point;
        char const* const last = row.data() + row.size();
        auto const [comma, first_fault] = std::from_chars(row.data(), last, point.seconds);
        if (first_fault != std::errc{} || comma == last || *comma != ',')
            refuse("two numbers with a comma");
        auto const [rest, second_fault] = std::from_chars(comma + 1, last, point.joules);
        if (second_fault != std::errc{} || rest != last) refuse("two numbers with a comma");
        points.push_back(point);
    }
    return points;
}

}  // namespace qtk
