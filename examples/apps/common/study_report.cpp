// SPDX-License-Identifier: Apache-2.0
#include "study_report.hpp"

#include <qtk/energy/joules.hpp>

#include <fmt/format.h>

#include "chart.hpp"
#include "html_page.hpp"
#include "terminal.hpp"
#include <utility>

namespace app {
namespace {

std::string mega(std::size_t bytes) {
    return fmt::format("{:.1f}", 1e-6 * static_cast<double>(bytes));
}

std::vector<std::string> header_of(study_result const& study) {
    std::vector<std::string> header{
        "format", "bits/weight",     "layers MB",        "tokens/s",    "sd",
        "median", "speed-up [95 %]", "prefill speed-up", "energy/token"};
    if (study.rows.front().measured_joules)
        header.insert(header.end(), {"measured: decode/token", "prefill/token"});
    if (study.rows.front().figures) {
        header.push_back("perplexity [95 %]");
        header.push_back("KL");
        header.push_back("same tokens");
    }
    return header;
}
std::vector<std::string> cells_of(study_row const& row) {
    std::vector<std::string> cells{row.format,
                                   fmt::format("{:.3f}", row.bits_per_weight),
                                   mega(row.layer_bytes),
                                   interval_text(row.decode.interval, 1),
                                   fmt::format("{:.1f}", row.decode.sd),
                                   fmt::format("{:.1f}", row.decode.median),
                                   interval_text(row.speed_up, 2),
                                   interval_text(row.prefill_speed_up, 2),
                                   qtk::to_string(qtk::joules(row.modelled_joules))};
    if (row.measured_joules)
        for (double const measured : {*row.decode_joules, *row.prefill_joules})
            cells.push_back(qtk::to_string(qtk::joules(measured)));
    if (row.figures) {
        cells.push_back(interval_text(row.figures->geomean, 2));
        cells.push_back(fmt::format("{:.5f}", row.figures->divergence.kl));
        cells.push_back(fmt::format("{} of {}", row.same_tokens, row.tokens.size()));
    }
    return cells;
}

/// What may be concluded about the speed of a row.
std::string verdict(study_row const& row, study_row const& baseline) {
    if (&row == &baseline) return "baseline";
    // Noise of 10 % and more in single runs: an interval that ends close to 1 may have got there by it.
    bool const is_noisy = row.is_noisy || baseline.is_noisy;
    bool const is_clear = row.speed_up.low > 1.1 || row.speed_up.high < 0.9;
    if (is_noisy && !is_clear) return "too noisy to conclude";
    if (row.speed_up.low > 1.0) return fmt::format("faster than {}", baseline.format);
    if (row.speed_up.high < 1.0) return fmt::format("slower than {}", baseline.format);
    return fmt::format("no difference from {} can be told", baseline.format);
}

json sample_json(sample_figures const& s) {
    return {{"mean", s.mean},          {"sd", s.sd},
            {"median", s.median},      {"low", s.interval.low},
            {"high", s.interval.high}, {"values", s.values}};
}

std::vector<std::string> conclusions(study_result const& study) {
    std::vector<std::string> sentences;
    for (study_row const& row : study.rows) {
        if (&row == &study.rows.front()) continue;
        sentences.push_back(fmt::format(
            "{}: {} ({}); {:.2f} times the bytes of the layers{}.", row.format,
            verdict(row, study.rows.front()), interval_text(row.speed_up, 2),
            static_cast<double>(row.layer_bytes) /
                static_cast<double>(study.rows.front().layer_bytes),
            row.figures ? fmt::format("; perplexity times {}", interval_text(row.figures->ratio, 4))
                        : std::string()));
    }
    return sentences;
}

std::string doubt_sentence(study_result const& study) {
    return study.doubts.empty()
               ? "The machine held still: no format varied by more than 10 % or drifted."
               : "Too noisy to conclude about speed where named:";
}

void add_charts(html_page& page, study_result const& study) {
    std::vector<chart_bar> speed, memory, gain, energy;
    std::vector<chart_point> trade;
    for (study_row const& row : study.rows) {
        speed.push_back(
            {row.format, row.decode.mean, row.decode.interval.low, row.decode.interval.high});
        double const mb = 1e-6 * static_cast<double>(row.model_bytes);
        memory.push_back({row.format, mb, mb, mb});
        gain.push_back({row.format, row.speed_up.value, row.speed_up.low, row.speed_up.high});
        double const microjoules = 1e6 * row.decode_joules.value_or(row.modelled_joules);
        energy.push_back({row.format, microjoules, microjoules, microjoules});
        if (row.figures)
            trade.push_back({row.format, row.bits_per_weight, row.figures->geomean.value});
    }
    bool const is_measured = study.rows.front().measured_joules.has_value();
    page.figure(draw_bars("Speed: decoding, batch 1", "tokens/s (mean, 95 % interval)", speed));
    page.figure(draw_bars("Memory: layers, embedding, head", "MB", memory));
    page.figure(draw_bars("Speed-up over " + study.rows.front().format,
                          "ratio, paired by turn (95 % interval)", gain, 1.0));
    if (!trade.empty())
        page.figure(draw_points("Perplexity against bits per weight", "bits per weight",
                                "perplexity (geometric mean)", trade));
    page.figure(draw_bars(is_measured ? "Energy per decoded token, measured (packages)"
                                      : "Energy per token, modelled (layers)",
                          "microjoules", energy));
}

void add_size_chart(html_page& page, std::vector<study_result> const& studies) {
    std::vector<chart_line> lines;
    for (std::size_t i = 1; i < studies.front().rows.size(); ++i) {
        chart_line line{studies.front().rows[i].format, {}};
        for (study_result const& study : studies)
            line.points.push_back({study.model, 1e-6 * static_cast<double>(study.parameters),
                                   study.rows[i].speed_up.value});
        lines.push_back(std::move(line));
    }
    if (lines.empty()) return;
    page.figure(draw_lines("Model size against speed-up", "million parameters",
                           "speed-up of decoding over " + studies.front().rows.front().format,
                           lines));
}

void add_texts(html_page& page, study_result const& study) {
    page.heading("What they write", 3);
    page.paragraph("After: ", study.prompt);
    std::vector<std::vector<std::string>> rows;
    for (study_row const& row : study.rows)
        rows.push_back({row.format, row.text,
                        row.same_tokens == row.tokens.size()
                            ? std::string("nowhere")
                            : fmt::format("{} tokens", row.same_tokens)});
    page.table({"format", "text", "parts after"}, rows, {1});
}

}  // namespace

std::string study_table(study_result const& study) {
    text_table table(header_of(study));
    for (study_row const& row : study.rows) table.add(cells_of(row));
    std::string text = table.str() +
                       "\nModelled energy, one token at batch 1: " + study.energy_note + ".\n" +
                       doubt_sentence(study) + "\n";
    for (std::string const& doubt : study.doubts) text += "  " + doubt + "\n";
    for (study_row const& row : study.rows)
        if (row.outliers)
            text += fmt::format("{}: {:.2f} % of the columns of activations were outliers.\n",
                                row.format, 100.0 * *row.outliers);
    return text;
}

json study_json(std::vector<study_result> const& studies, study_options const& options,
                environment const& where) {
    json report{{"schema", "qtk.study/1"},
                {"environment", where.to_json()},
                {"runs", options.runs},
                {"warmup", options.warmup},
                {"new_tokens", options.new_tokens},
                {"seed", options.seed},
                {"energy_table", studies.front().energy_table},
                {"energy_note", studies.front().energy_note},
                {"models", json::array()}};
    for (study_result const& study : studies) {
        json model{{"model", study.model},
                   {"parameters", study.parameters},
                   {"prompt", study.prompt},
                   {"protocol", study.protocol},
                   {"read_bandwidth", study.bandwidth},
                   {"meter", study.meter},
                   {"load_before", study.load_before},
                   {"load_after", study.load_after},
                   {"doubts", study.doubts},
                   {"rows", json::array()}};
        for (study_row const& row : study.rows) {
            json figures{{"format", row.format},
                         {"bits_per_weight", row.bits_per_weight},
                         {"layer_bytes", row.layer_bytes},
                         {"model_bytes", row.model_bytes},
                         {"kv_bytes", row.kv_bytes},
                         {"bytes_per_token", row.bytes_per_token},
                         {"decode_tokens_per_second", sample_json(row.decode)},
                         {"prefill_tokens_per_second", sample_json(row.prefill)},
                         {"speed_up", interval_json(row.speed_up)},
                         {"prefill_speed_up", interval_json(row.prefill_speed_up)},
                         {"modelled_joules_per_token", row.modelled_joules},
                         {"tokens", row.tokens},
                         {"text", row.text},
                         {"same_tokens", row.same_tokens}};
            if (row.measured_joules) {
                figures["measured_joules_per_token"] = *row.measured_joules;
                figures["measured_prefill_joules_per_token"] = *row.prefill_joules;
                figures["measured_decode_joules_per_token"] = *row.decode_joules;
            }
            if (row.outliers) figures["outlier_columns"] = *row.outliers;
            if (row.figures) {
                json ppl = json::object();
                for (auto const& [language, estimate] : row.figures->perplexity)
                    ppl[language] = interval_json(estimate);
                figures["ppl"] = ppl;
                figures["ppl_geomean"] = interval_json(row.figures->geomean);
                figures["ppl_ratio"] = interval_json(row.figures->ratio);
                figures["p_value"] = row.figures->p_value;
                figures["kl"] = row.figures->divergence.kl;
                figures["top1_agreement"] = row.figures->divergence.agreement;
            }
            model["rows"].push_back(std::move(figures));
        }
        report["models"].push_back(std::move(model));
    }
    return report;
}

std::string study_markdown(std::vector<study_result> const& studies, study_options const& options,
                           environment const& where) {
    std::string text =
        fmt::format("## {}: {} runs after {}, {} new tokens a run\n\n{}\n\n", where.date,
                    options.runs, options.warmup, options.new_tokens, where.describe());
    for (study_result const& study : studies) {
        text +=
            fmt::format("### {} ({} parameters)\n\n", study.model, with_commas(study.parameters));
        if (!study.protocol.empty()) text += study.protocol + "\n\n";
        auto const line = [](std::vector<std::string> const& cells) {
            std::string row = "|";
            for (std::string const& cell : cells) row += " " + cell + " |";
            return row + "\n";
        };
        auto const header = header_of(study);
        text += line(header) + "|";
        for (std::size_t i = 0; i < header.size(); ++i) text += "---|";
        text += "\n";
        for (study_row const& row : study.rows) text += line(cells_of(row));
        text += "\n";
        for (std::string const& sentence : conclusions(study)) text += "- " + sentence + "\n";
        text += "\nModelled energy, one token at batch 1: " + study.energy_note + ".\n\n" +
                doubt_sentence(study) + "\n";
        for (std::string const& doubt : study.doubts) text += "- " + doubt + "\n";
        text += "\n";
    }
    return text;
}

std::string study_html(std::vector<study_result> const& studies, study_options const& options,
                       environment const& where) {
    html_page page("What quantization costs and saves");
    page.paragraph(fmt::format(
        "{} · {} runs after {} warm-up runs, {} new tokens a run, formats in one process and "
        "taking turns.\n{}",
        where.date, options.runs, options.warmup, options.new_tokens, where.describe()));
    if (!can_draw())
        page.note(
            "There are no charts: gnuplot was not found on this machine. The tables hold the same "
            "figures.",
            note_kind::doubt);
    for (study_result const& study : studies) {
        page.heading(fmt::format("{}, {} parameters", study.model, with_commas(study.parameters)));
        std::string state = doubt_sentence(study);
        for (std::string const& doubt : study.doubts) state += "\n" + doubt;
        page.note(state, study.doubts.empty() ? note_kind::calm : note_kind::doubt);
        page.list(conclusions(study));
        std::vector<std::vector<std::string>> rows;
        for (study_row const& row : study.rows) rows.push_back(cells_of(row));
        page.table(header_of(study), rows);
        add_charts(page, study);
        if (&study == &studies.back()) add_size_chart(page, studies);
        bool const is_measured = study.rows.front().measured_joules.has_value();
        page.paragraph(fmt::format("Energy is {} ({}). Memory is read at {:.1f} GB/s here. {}",
                                   is_measured ? "measured and modelled" : "modelled",
                                   study.energy_note + "; " + study.meter, study.bandwidth * 1e-9,
                                   study.protocol));
        if (!study.rows.front().text.empty()) add_texts(page, study);
    }
    return page.str();
}

}  // namespace app
