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
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <vector>

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

/// Of an option that names a file to write: before the work, not after it, is looked whether that can be done.
[[nodiscard]] inline CLI::Validator file_to_write() {
    return {[](std::string& file) {
                if (file != "-" && !file.empty()) qtk::atomic_file::require_possible(file);
                return std::string();
            },
            ""};
}

/// The folder for files to come, and those above it. Throws qtk::write_error.
inline void make_folders(std::filesystem::path const& folder) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure)
        qtk::detail::throw_write_error(folder.string(), "make the folder", failure.value());
}

/// Are both names of one file, be it there already or not?
[[nodiscard]] inline bool is_same_file(std::filesystem::path const& a,
                                       std::filesystem::path const& b) {
    std::error_code failure;
    if (std::filesystem::equivalent(a, b, failure)) return true;
    return std::filesystem::weakly_canonical(a, failure) ==
           std::filesystem::weakly_canonical(b, failure);
}
/// Figures replace the file that is there, but never a model: throws qtk::value_error.
inline void require_other_file(std::string const& target,
                               std::vector<std::filesystem::path> const& models) {
    if (target.empty() || target == "-") return;
    for (std::filesystem::path const& model : models)
        if (is_same_file(target, model))
            throw qtk::value_error(
                target + ": figures would take the place of the model. Hint: another name");
}

/// To standard output for "-", nowhere for "", else to a file, whole or not at all.
inline void deliver(std::string const& target, std::string const& text) {
    if (target.empty()) return;
    if (target == "-") {
        std::fwrite(text.data(), 1, text.size(), stdout);  // run_program() looks whether it arrived
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
