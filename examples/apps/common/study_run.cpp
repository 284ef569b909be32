// SPDX-License-Identifier: Apache-2.0
#include "study_run.hpp"

#include <qtk/core/random.hpp>
#include <qtk/energy/meter.hpp>
#include <qtk/energy/model.hpp>
#include <qtk/stats/rank_test.hpp>
#include <qtk/stats/student.hpp>
#include <qtk/stats/summary.hpp>

#include <fmt/format.h>

#include "energy_table_option.hpp"
#include "environment.hpp"
#include "generation.hpp"
#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace app {
namespace {

/// The geometric mean of turn-by-turn ratios with Student's interval on their logarithms.
qtk::interval_estimate paired_ratio(std::span<double const> a, std::span<double const> b) {
    std::vector<double> logarithms;
    for (std::size_t i = 0; i < a.size(); ++i) logarithms.push_back(std::log(a[i] / b[i]));
    if (logarithms.size() < 2) {
        double const ratio = std::exp(qtk::mean(logarithms));
        return {ratio, ratio, ratio};
    }
    qtk::interval_estimate const t = qtk::t_interval(logarithms);
    return {std::exp(t.value), std::exp(t.low), std::exp(t.high)};
}

qtk::operand operand_of(qtk::layer_format const& format) {
    using enum qtk::layer_format::storage;
    if (format.scheme) return qtk::operand_of(format.scheme->element);
    if (format.weights == bf16) return qtk::operand::bfloat16();
    return qtk::operand::floating(format.weights == f16 ? 16 : 32);
}

double modelled_joules(language_model const& model, qtk::layer_format const& format,
                       any_energy_table const& table) {
    std::vector<qtk::layer_work> work;
    model.network().for_each_linear([&](qtk::linear const& layer) {
        work.push_back(
            qtk::work_of({.out = static_cast<double>(layer.out()),
                          .in = static_cast<double>(layer.in()),
                          .weight = operand_of(format),
                          .weight_storage_bits = 8.0 * static_cast<double>(layer.weight_bytes())}));
    });
    return qtk::estimate_energy(std::span<qtk::layer_work const>(work), table).total().count();
}

/// What in the turns of a format says that the machine did not hold still.
void add_doubts(study_row const& row, std::vector<std::string>& doubts) {
    std::vector<double> const& values = row.decode.values;
    if (values.size() < 6) {
        doubts.push_back(fmt::format("{}: {} runs are too few to tell noise from a difference",
                                     row.format, values.size()));
        return;
    }
    if (double const variation = row.decode.sd / row.decode.mean; variation > 0.10)
        doubts.push_back(
            fmt::format("{}: single runs vary by {:.0f} % (standard deviation over "
                        "mean); less than 10 % is usual on a quiet machine",
                        row.format, 100.0 * variation));
    std::span<double const> const all(values);
    auto const early = all.first(values.size() / 2), late = all.last(values.size() / 2);
    double const drift = qtk::mean(late) / qtk::mean(early) - 1.0;
    if (std::fabs(drift) > 0.05 && qtk::mann_whitney_u(early, late).p < 0.01)
        doubts.push_back(
            fmt::format("{}: the second half of the runs is {:.0f} % {} than the first", row.format,
                        100.0 * std::fabs(drift), drift > 0.0 ? "faster" : "slower"));
}

}  // namespace

sample_figures::sample_figures(std::vector<double> all) : values(std::move(all)) {
    mean = qtk::mean(values);
    median = qtk::median(values);
    interval = {mean, mean, mean};
    if (values.size() < 2) return;
    sd = qtk::standard_deviation(values);
    interval = qtk::t_interval(values);
}

study_result run_study(language_model const& base, study_options const& options,
                       study_progress const& progress) {
    auto const formats = parse_formats(options.formats);
    auto const head = options.head.parse();
    any_energy_table const table = find_energy_table(options.energy_table);

    study_result result;
    result.energy_table = table.name;
    result.energy_note = qtk::report_line(table);
    result.model = base.name();
    result.parameters = base.parameters();
    result.load_before = environment::now().load;
    std::vector<std::int32_t> prompt;
    if (base.has_tokenizer()) {
        prompt = base.encode(options.prompt);
        result.prompt = options.prompt;
    } else {
        qtk::splitmix64 random(7);
        for (std::size_t i = 0; i < options.prompt_tokens; ++i)
            prompt.push_back(
                static_cast<std::int32_t>(random() % base.network().config().vocabulary));
        result.prompt = fmt::format("{} random tokens", prompt.size());
    }

    std::vector<language_model> models;
    for (qtk::layer_format const& format : formats) {
        progress("quantizing to " + format.name);
        models.push_back(base);
        models.back().apply(format, head);
        study_row row;
        row.format = format.name;
        row.bits_per_weight = models.back().bits_per_weight();
        row.layer_bytes = models.back().layer_bytes();
        row.model_bytes = models.back().model_bytes();
        row.bytes_per_token = models.back().bytes_per_token();
        row.modelled_joules = modelled_joules(models.back(), format, table);
        result.rows.push_back(std::move(row));
    }

    qtk::rapl_meter meter(options.powercap);
    result.meter = meter.description();
    std::vector<std::vector<double>> decode(formats.size()), prefill(formats.size());
    struct phase {
        double joules = 0.0;
        std::size_t tokens = 0;
    };
    std::vector<phase> reading(formats.size()), writing(formats.size());
    std::vector<std::size_t> made_tokens(formats.size());
    std::function<double()> const counter =
        meter.is_present() ? std::function<double()>([&] { return meter.read().count(); })
                           : nullptr;
    for (std::size_t turn = 0; turn < options.warmup + options.runs; ++turn)
        for (std::size_t step = 0; step < formats.size(); ++step) {
            // Each turn starts with another format: none is always the first after the pause.
            std::size_t const i = (step + turn) % formats.size();
            progress(fmt::format("run {} of {}: {}", turn + 1, options.warmup + options.runs,
                                 formats[i].name));
            generation const made = generate(models[i].network(), prompt,
                                             {.tokens = options.new_tokens,
                                              .sampling = {},
                                              .kv = {},
                                              .stop = {},
                                              .meter = counter});
            result.rows[i].kv_bytes = made.kv_bytes;
            result.rows[i].tokens = made.tokens;
            if (turn < options.warmup) continue;
            reading[i].joules += made.prefill_joules;
            reading[i].tokens += made.prompt;
            writing[i].joules += made.decode_joules;
            writing[i].tokens += made.decoded;
            made_tokens[i] += made.tokens.size();
            decode[i].push_back(made.decode_rate());
            prefill[i].push_back(made.prefill_rate());
        }
    for (std::size_t i = 0; i < formats.size(); ++i) {
        study_row& row = result.rows[i];
        row.decode = sample_figures(decode[i]);
        row.prefill = sample_figures(prefill[i]);
        row.speed_up = paired_ratio(decode[i], decode[0]);
        row.prefill_speed_up = paired_ratio(prefill[i], prefill[0]);
        if (meter.is_present()) {
            row.prefill_joules = reading[i].joules / static_cast<double>(reading[i].tokens);
            row.decode_joules = writing[i].joules / static_cast<double>(writing[i].tokens);
            row.measured_joules =
                (reading[i].joules + writing[i].joules) / static_cast<double>(made_tokens[i]);
        }
        auto const& first = result.rows[0].tokens;
        row.same_tokens = static_cast<std::size_t>(std::ranges::mismatch(row.tokens, first).in1 -
                                                   row.tokens.begin());
        if (base.has_tokenizer()) row.text = base.tokenizer().decode(row.tokens);
        std::size_t const before = result.doubts.size();
        add_doubts(row, result.doubts);
        row.is_noisy = result.doubts.size() > before;
    }
    environment const where = environment::now();
    result.load_after = where.load;
    if (result.load_before > static_cast<double>(where.cores) * 0.5)
        result.doubts.push_back(
            fmt::format("the machine was busy before the study: load {:.1f} on "
                        "{} cores",
                        result.load_before, where.cores));
    progress("measuring the bandwidth of the memory");
    result.bandwidth = read_bandwidth(where.threads);

    if (base.has_tokenizer() && options.has_quality) {
        evaluation_text const text = options.text.read(base);
        result.protocol = text.sentence;
        for (std::size_t i = 0; i < formats.size(); ++i)
            result.rows[i].figures = measure_quality(
                models[0], models[i], text, options.seed, [&](std::size_t done, std::size_t total) {
                    progress(fmt::format("{}: window {} of {}", formats[i].name, done, total));
                });
    }
    for (std::size_t i = 0; i < formats.size(); ++i)
        result.rows[i].outliers = models[i].outlier_fraction();
    return result;
}

}  // namespace app
