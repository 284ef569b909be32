// SPDX-License-Identifier: Apache-2.0
#include "calibration_text.hpp"

#include <qtk/core/error.hpp>
#include <qtk/eval/perplexity.hpp>
#include <qtk/io/utf8.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "evaluation_text.hpp"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

namespace app {
namespace {

/// "de:2" as a language and its weight.
[[nodiscard]] std::pair<std::string, double> parse_share(std::string const& text) {
    std::size_t const colon = text.find(':');
    if (colon == text.npos && !text.empty()) return {text, 1.0};
    double weight = 0.0;
    char const* const end = text.data() + text.size();
    auto const [stop, failure] =
        std::from_chars(text.data() + std::min(colon, text.size() - 1) + 1, end, weight);
    if (text.empty() || colon == 0 || failure != std::errc{} || stop != end || !(weight > 0.0) ||
        !std::isfinite(weight))
        throw qtk::value_error("--mix: expected LANG or LANG:WEIGHT with a weight above 0, found " +
                               qtk::quoted(text));
    return {text.substr(0, colon), weight};
}

}  // namespace

std::vector<std::size_t> windows_of_mix(std::vector<std::size_t> const& available,
                                        std::vector<double> const& weights) {
    double unit = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < available.size(); ++i)
        unit = std::min(unit, static_cast<double>(available[i]) / weights[i]);
    std::vector<std::size_t> counts;
    for (std::size_t i = 0; i < available.size(); ++i)
        counts.push_back(std::clamp<std::size_t>(
            static_cast<std::size_t>(std::llround(unit * weights[i])), 1, available[i]));
    return counts;
}

void calibration_options::add_to(CLI::App& command) {
    command
        .add_option("--calibrate", texts,
                    "[LANG=]FILE to calibrate on, instead of lines 1 to 80 of the embedded "
                    "corpus; repeatable")
        ->type_name("[LANG=]FILE");
    command
        .add_option("--mix", mix,
                    "languages of the calibration, LANG or LANG:WEIGHT; all of each where there "
                    "is none")
        ->delimiter(',')
        ->type_name("LANG[:WEIGHT]");
    command
        .add_option("--calibration-windows", windows, "windows of each language at most, or all")
        ->capture_default_str()
        ->type_name("N|all");
    command.add_option("--calibration-window", window,
                       "tokens of a window; 0: 256, or the context");
}

void calibration_options::require() const {
    static_cast<void>(parse_windows(windows));
    for (std::string const& share : mix) static_cast<void>(parse_share(share));
}

calibration_text calibration_options::read(language_model const& model) const {
    std::vector<qtk::language_text> read;
    std::vector<double> weights;
    std::vector<std::pair<std::string, double>> shares;
    for (std::string const& share : mix) shares.push_back(parse_share(share));
    if (texts.empty()) {
        if (shares.empty())
            for (std::string_view const language : qtk::corpus_languages)
                shares.emplace_back(language, 1.0);
        for (auto const& [language, weight] : shares) {
            std::string_view const one = language;
            auto found = qtk::read_corpus(corpus, qtk::calibration_lines, std::span(&one, 1));
            read.push_back(std::move(found.front()));
            weights.push_back(weight);
        }
    }
    for (std::string const& text : texts) {
        std::size_t const equals = text.find('=');
        bool const has_name = equals != text.npos && equals > 0;
        std::string const name = has_name ? text.substr(0, equals) : "text";
        auto const share = std::ranges::find(shares, name, &std::pair<std::string, double>::first);
        if (!shares.empty() && share == shares.end()) continue;
        read.push_back({name, qtk::read_lines(has_name ? text.substr(equals + 1) : text)});
        weights.push_back(share == shares.end() ? 1.0 : share->second);
    }
    if (read.empty())
        throw qtk::value_error("--mix: none of the --calibrate texts has such a name");
    auto const tokens = qtk::tokenize(read, model.tokenizer(), model.bos());
    std::size_t const context = model.network().config().context;
    qtk::perplexity_protocol protocol;
    protocol.window = protocol.stride = window > 0 ? window : std::min<std::size_t>(256, context);
    protocol.windows = parse_windows(windows);
    std::vector<std::vector<qtk::token_window>> cut;
    std::vector<std::size_t> available;
    for (auto const& text : tokens) {
        cut.push_back(qtk::named_windows(text, protocol));
        available.push_back(cut.back().size());
    }
    if (!mix.empty()) available = windows_of_mix(available, weights);
    calibration_text result;
    std::string counts;
    for (std::size_t i = 0; i < cut.size(); ++i) {
        for (std::size_t w = 0; w < available[i]; ++w)
            result.windows.emplace_back(cut[i][w].tokens.begin(), cut[i][w].tokens.end());
        counts += fmt::format("{}{} {}", i == 0 ? "" : ", ", tokens[i].language, available[i]);
    }
    result.sentence = fmt::format(
        "Calibrated on {} windows of {} tokens ({}) of {}.", result.windows.size(), protocol.window,
        counts,
        texts.empty() ? std::filesystem::path(corpus).filename().string() + ", lines 1 to 80"
                      : std::string("the given text"));
    return result;
}

}  // namespace app
