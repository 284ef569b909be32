// SPDX-License-Identifier: Apache-2.0
#include "conversion_command.hpp"

#include <qtk/io/safetensors_header.hpp>

#include <fmt/format.h>

#include "environment.hpp"
#include "output.hpp"
#include "terminal.hpp"
#include <chrono>
#include <unordered_map>

namespace app {
namespace {

/// Kept, f16, or the type that is used in place of another.
[[nodiscard]] std::string becomes(conversion_step const& step) {
    std::string const text = to_string(step.action);
    return step.wanted.empty() ? text : text + " for " + step.wanted;
}

[[nodiscard]] double percent(std::uint64_t part, std::uint64_t whole) noexcept {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

[[nodiscard]] double bits_a_weight(conversion_figures const& f) noexcept {
    return f.weights == 0 ? 0.0
                          : 8.0 * static_cast<double>(f.bytes_out) / static_cast<double>(f.weights);
}

[[nodiscard]] json to_json(conversion const& plan, conversion_figures const& f) {
    json tensors = json::array();
    for (conversion_step const& step : plan.steps) {
        json row{{"name", step.name},
                 {"from", step.from},
                 {"to", to_string(step.action)},
                 {"shape", step.shape},
                 {"bytes_out", step.bytes()}};
        if (step.name != step.origin) row["origin"] = step.origin;
        if (!step.wanted.empty()) row["wanted"] = step.wanted;
        tensors.push_back(std::move(row));
    }
    return {{"output", plan.target.string()},
            {"bytes", plan.size},
            {"weights", f.weights},
            {"bits_per_weight", bits_a_weight(f)},
            {"bytes_in", f.bytes_in},
            {"bytes_out", f.bytes_out},
            {"fallback",
             {{"tensors", f.fallback_tensors},
              {"weights_percent", percent(f.fallback_weights, f.quantized_weights)},
              {"bytes_percent", percent(f.fallback_bytes, f.quantized_bytes)}}},
            {"tensors", std::move(tensors)}};
}

void show_plan(std::FILE* to, conversion const& plan) {
    text_table table({"tensor", "from", "to", "shape", "bytes"});
    for (conversion_step const& step : plan.steps)
        table.add({shown(step.name), step.from, becomes(step), qtk::to_string(step.shape),
                   with_commas(step.bytes())});
    fmt::print(to, "{}\n", table.str());
}

void show_fallback(std::FILE* to, conversion_figures const& f) {
    if (f.fallback_tensors == 0) return;
    fmt::print(to,
               "Fallback: {} tensor(s), {:.1f} % of the quantized weights and {:.1f} % of their "
               "bytes, have rows that are no whole blocks and got another type.\n",
               f.fallback_tensors, percent(f.fallback_weights, f.quantized_weights),
               percent(f.fallback_bytes, f.quantized_bytes));
}

}  // namespace

conversion_figures figures_of(model_input const& input, conversion const& plan) {
    conversion_figures f;
    for (input_tensor const& tensor : input.tensors()) f.bytes_in += tensor.bytes;
    for (conversion_step const& step : plan.steps) {
        std::uint64_t const weights = std::uint64_t{step.rows->rows()} * step.rows->cols();
        f.weights += weights;
        f.bytes_out += step.bytes();
        if (!is_for_matrices(step.action) && step.wanted.empty()) continue;
        f.quantized_weights += weights;
        f.quantized_bytes += step.bytes();
        if (step.wanted.empty()) continue;
        ++f.fallback_tensors;
        f.fallback_weights += weights;
        f.fallback_bytes += step.bytes();
    }
    return f;
}

void run_conversion(model_input const& input, conversion const& plan,
                    conversion_options const& options, bool is_dry, std::string const& json_target,
                    std::string const& schema) {
    std::FILE* const human = json_target == "-" ? stderr : stdout;
    conversion_figures const f = figures_of(input, plan);
    json report{{"schema", schema}, {"input", input.path().string()}, {"dry_run", is_dry}};
    report.update(to_json(plan, f));
    report["notes"] = plan.notes;
    require_startable(plan, options);
    require_other_file(json_target, plan.inputs);
    require_other_file(json_target, {plan.target});
    for (std::string const& note : plan.notes) fmt::print(human, "Note: {}.\n", note);
    if (is_dry) {
        std::uint64_t const memory = peak_memory() + working_memory(plan, options);
        auto const free = free_bytes(plan.target);
        report["peak_memory_estimate"] = memory;
        if (free) report["free_bytes"] = *free;
        show_plan(human, plan);
        show_fallback(human, f);
        fmt::print(
            human, "{} would have {} ({} bytes), {:.3f} bits a weight; {}; about {} of memory.\n",
            plan.target.string(), size_text(plan.size), with_commas(plan.size), bits_a_weight(f),
            !free ? std::string("free space unknown")
                  : size_text(*free) + " are free" +
                        (*free < plan.size ? ", which is NOT enough" : ""),
            size_text(memory));
        fmt::print(human, "Nothing was written.\n");
        deliver(json_target, report);
        return;
    }
    auto const began = std::chrono::steady_clock::now();
    std::size_t resumed = 0;
    {
        progress_line const line;
        resumed =
            convert(plan, options, [&](std::string const& name, std::size_t i, std::size_t n) {
                line.show(fmt::format("{} of {}  {}", i + 1, n, shown(name)));
            });
    }
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    report["seconds"] = seconds;
    report["resumed_tensors"] = resumed;
    report["peak_memory"] = peak_memory();
    if (resumed > 0)
        fmt::print(human, "Of {} tensors {} were finished by an earlier run.\n", plan.steps.size(),
                   resumed);
    show_fallback(human, f);
    fmt::print(human, "{}: {} from {}, {:.3f} bits a weight, {:.2f} s, peak memory {}.\n",
               plan.target.string(), size_text(plan.size), size_text(f.bytes_in), bits_a_weight(f),
               seconds, size_text(peak_memory()));
    deliver(json_target, report);
}

}  // namespace app
