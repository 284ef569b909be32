// SPDX-License-Identifier: Apache-2.0
//
// Where do figures go? To standard output or to a file, whole or not at all; what people read goes to the
// other stream when standard output belongs to a machine.
#pragma once

#include <qtk/io/atomic_file.hpp>
#include <qtk/stats/bootstrap.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <span>
#include <string>

namespace app {

using json = nlohmann::ordered_json;

/// --json and --csv: empty for none, "-" for standard output, else a file.
struct output_options {
    std::string json_target, csv_target;

    void add_to(CLI::App& command) {
        command.add_flag("--json{-}", json_target,
                         "the figures as JSON, to standard output or --json=FILE");
        command.add_flag("--csv{-}", csv_target,
                         "the figures as CSV, to standard output or --csv=FILE");
    }
    /// The stream for people.
    [[nodiscard]] std::FILE* human() const noexcept {
        return json_target == "-" || csv_target == "-" ? stderr : stdout;
    }
};

/// To standard output for "-", nowhere for "", else to a file, whole or not at all.
inline void deliver(std::string const& target, std::string const& text) {
    if (target.empty()) return;
    if (target == "-") {
        std::fwrite(text.data(), 1, text.size(), stdout);
        return;
    }
    qtk::atomic_file file(target);
    file.write(std::as_bytes(std::span(text)));
    file.commit();
}
inline void deliver(std::string const& target, json const& report) {
    deliver(target, report.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

/// 12.34 [12.01, 12.70]
[[nodiscard]] inline std::string interval_text(qtk::interval_estimate const& e, int digits) {
    return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", e.value, digits, e.low, digits, e.high,
                       digits);
}

[[nodiscard]] inline json interval_json(qtk::interval_estimate const& e) {
    return {{"value", e.value}, {"low", e.low}, {"high", e.high}};
}

}  // namespace app
