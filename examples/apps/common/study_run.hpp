// SPDX-License-Identifier: Apache-2.0
//
// What does each format do to one model? All formats in one process, taking turns: speed with its spread,
// speed-up over the first format paired by turn, memory, quality, the text they write, energy.
#pragma once

#include <qtk/stats/bootstrap.hpp>

#include "evaluation_text.hpp"
#include "format_options.hpp"
#include "language_model.hpp"
#include "quality.hpp"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace app {

struct study_options {
    std::vector<std::string> formats;  ///< The first is the baseline.
    head_option head;
    std::string prompt, energy_table = "quadratic_linear_1_200",
                        powercap = "/sys/class/powercap";  ///< Where Linux shows RAPL's counters.
    std::size_t runs = 100, warmup = 10, prompt_tokens = 64, new_tokens = 32;
    std::uint64_t seed = 0;
    text_options text;
    bool has_quality = true;
};

/// One value a turn, and what may be said of them.
struct sample_figures {
    std::vector<double> values;
    double mean = 0.0, sd = 0.0, median = 0.0;
    qtk::interval_estimate interval;  ///< 95 %, Student's.
    sample_figures() = default;
    explicit sample_figures(std::vector<double> values);
};

struct study_row {
    std::string format;
    double bits_per_weight = 0.0;
    std::size_t layer_bytes = 0, model_bytes = 0, kv_bytes = 0, bytes_per_token = 0;
    sample_figures decode, prefill;   ///< Tokens per second.
    qtk::interval_estimate speed_up;  ///< Of decoding; geometric mean of the turns' ratios, 95 %.
    qtk::interval_estimate prefill_speed_up;
    std::optional<quality> figures;  ///< None without a tokenizer.
    double modelled_joules = 0.0;    ///< Per token, of the layers.
    /// Per token, where there is a meter: of the prompt, of those decoded one by one, and all joules per new one.
    std::optional<double> prefill_joules, decode_joules, measured_joules;
    std::optional<double> outliers;
    std::vector<std::int32_t> tokens;  ///< Of the last turn.
    std::string text;
    bool is_noisy = false;        ///< Its runs varied or drifted.
    std::size_t same_tokens = 0;  ///< Before the text parts from the baseline's.
};

struct study_result {
    std::string model, protocol;
    std::string energy_table, energy_note;  ///< The table's name; source and what it ignores.
    std::size_t parameters = 0;
    std::string prompt;
    std::vector<study_row> rows;
    double bandwidth = 0.0, load_before = 0.0, load_after = 0.0;
    std::string meter;                ///< What is measured, or why nothing is.
    std::vector<std::string> doubts;  ///< Why the speeds may not be trusted; empty: they may.
};

/// Told what is being done.
using study_progress = std::function<void(std::string const&)>;

[[nodiscard]] study_result run_study(language_model const& base, study_options const& options,
                                     study_progress const& progress);

}  // namespace app
