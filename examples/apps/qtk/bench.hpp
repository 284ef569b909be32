// SPDX-License-Identifier: Apache-2.0
//
// What `qtk bench` is asked for, on the CPU and on a device, and how it says what came out.
#pragma once

#include <qtk/stats/summary.hpp>

#include <fmt/format.h>

#include "format_options.hpp"
#include "output.hpp"
#include <cstddef>
#include <string>
#include <vector>

namespace app {

struct bench_options {
    std::string model = QTK_DATA_DIR "/polyglot-llama", synthetic, device = "cpu";
    kv_option kv;
    head_option head;
    std::vector<std::string> formats{"fp32", "fp16", "w8a8", "w4a8", "w4"};
    std::size_t prompt_tokens = 128, new_tokens = 32, runs = 5, warmup = 1;
    output_options output;
};

/// Mean and standard deviation; one run has none.
struct spread {
    double mean = 0.0, sd = 0.0;
    explicit spread(std::vector<double> const& values)
        : mean(qtk::mean(values)), sd(values.size() > 1 ? qtk::standard_deviation(values) : 0.0) {}
    [[nodiscard]] std::string text(int digits) const {
        return fmt::format("{:.{}f} ± {:.{}f}", mean, digits, sd, digits);
    }
    [[nodiscard]] json to_json(std::vector<double> const& values) const {
        return {{"mean", mean}, {"sd", sd}, {"values", values}};
    }
};

/// The linear layers of a model on the first CUDA device. Throws qtk::value_error where there is none.
void run_on_device(bench_options const& options);

}  // namespace app
