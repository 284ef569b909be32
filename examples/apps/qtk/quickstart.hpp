// SPDX-License-Identifier: Apache-2.0
//
// How much does each scheme cost this model? One row a scheme: size, error, perplexity and modelled energy.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/stats/bootstrap.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {

struct quickstart_options {
    std::string model;                   ///< A Hugging Face folder.
    std::string corpus;                  ///< Folder of LANG.txt; lines 81 to 160 are evaluated.
    std::vector<std::string> texts;      ///< LANG=FILE, instead of the corpus; whole files.
    std::vector<std::string> languages;  ///< Of the corpus.
    std::vector<std::string> schemes;
    std::string windows = "8";  ///< A number or "all".
    std::string energy_table = "quadratic_linear_1_200";
    std::string json, csv;  ///< Empty: none; "-": standard output.
    std::string save;       ///< Folder for the quantized models; empty: none.
    std::uint64_t seed = 0;
    bool is_forced = false;
};

/// The scheme of a row: one of qtk's, or a float baseline (16 or 32 bits, no scheme).
struct row_scheme {
    std::string name;
    std::optional<qtk::scheme> quantized;
    int float_bits = 32;
    bool is_bfloat = false;
};

struct quickstart_row {
    row_scheme scheme;
    double bits_per_weight = 0.0;
    std::size_t bytes = 0, model_bytes = 0;
    std::optional<double> sqnr_db_mean, sqnr_db_min;
    std::string worst_layer;
    std::vector<std::pair<std::string, qtk::interval_estimate>> perplexity;  ///< By language.
    qtk::interval_estimate geomean;
    double joules_per_token = 0.0;
};

/// fp32, fp16, bf16 or what parse_scheme takes; throws qtk::value_error.
[[nodiscard]] row_scheme parse_row_scheme(std::string const& text);

/// Runs the whole study and writes table, JSON and CSV where the options say.
void run_quickstart(quickstart_options const& options);

}  // namespace app
