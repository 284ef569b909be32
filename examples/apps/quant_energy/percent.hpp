// SPDX-License-Identifier: Apache-2.0
//
// How is a share of one written for people? In percent with one decimal, its interval in brackets.
#pragma once

#include <qtk/stats/bootstrap.hpp>

#include <fmt/format.h>

#include <string>

namespace app {

[[nodiscard]] inline std::string percent(double share) {
    return fmt::format("{:.1f}", 100.0 * share);
}
[[nodiscard]] inline std::string percent(qtk::interval_estimate const& e) {
    return fmt::format("{:.1f} [{:.1f}, {:.1f}]", 100.0 * e.value, 100.0 * e.low, 100.0 * e.high);
}

}  // namespace app
