// SPDX-License-Identifier: Apache-2.0
#include "study.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/eval/mixture.hpp>
#include <qtk/eval/next_passage.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/write_journal.hpp>
#include <qtk/io/xxh64.hpp>
#include <qtk/kernel/parallel.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "format_options.hpp"
#include "terminal.hpp"
#include "work_sharing.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif
#include <algorithm>
#include <filesystem>
#include <utility>

namespace app {
namespace {

[[nodiscard]] std::string checksum(std::span<std::byte const> bytes) {
    qtk::xxh64 sum;
    sum.update(bytes);
    return qtk::detail::hexadecimal(sum.value());
}
template <typename T>
[[nodiscard]] std::string checksum(std::vector<T> const& values) {
    return checksum(std::as_bytes(std::span(values)));
}
[[nodiscard]] std::string checksum(std::string const& text) {
    return checksum(std::as_bytes(std::span(text)));
}

/// Of the files that a model consists of.
[[nodiscard]] std::string checksum_of_model(std::filesystem::path const& path) {
    std::vector<std::filesystem::path> files{path};
    if (std::filesystem::is_directory(path)) {
        files.clear();
        for (auto const& entry : std::filesystem::directory_iterator(path))
            if (entry.is_regular_file()) files.push_back(entry.path());
        std::ranges::sort(files);
    }
    std::string sums;
    for (auto const& file : files) {
        auto const mapped = qtk::mapped_file::open(file);
        sums += file.filename().string() + " " + checksum(std::as_bytes(std::span(mapped.text()))) +
                "\n";
    }
    return checksum(sums);
}

constexpr std::size_t questions_at_once = 12;

/// So many threads as long as it lives: workers, who have one, make a twin with those of the process.
class with_threads {
  public:
    explicit with_threads(std::size_t threads) noexcept : before_(qtk::thread_count()) {
        set(threads);
    }
    with_threads(with_threads const&) = delete;
    with_threads& operator=(with_threads const&) = delete;
    ~with_threads() { set(before_); }

  private:
    static void set(std::size_t threads) noexcept {
#if defined(_OPENMP)
        omp_set_num_threads(static_cast<int>(threads));
#else
        static_cast<void>(threads);
#endif
    }
    std::size_t before_;
};

}  // namespace

void study_options::add_to(CLI::App& command, bool has_many_models) {
    auto* const model =
        command
            .add_option("--model", models,
                        has_many_models ? "folder or GGUF file; repeatable" : "folder or GGUF file")
            ->type_name("MODEL");
    if (!has_many_models) model->expected(1);
    model->capture_default_str();
    text.add_to(command);
    calibration.add_to(command);
    command
        .add_option("--journal", journal,
                    "file that keeps what is computed, so that a stopped command goes on")
        ->type_name("FILE");
    command.add_option("--seed", seed, "of intervals, samples and questions")
        ->capture_default_str();
    command.add_flag("--json{-}", output.json_target,
                     "every figure as JSON, to standard output or --json=FILE");
    command.add_option("--report", report, "one HTML file with charts and tables")
        ->type_name("FILE");
    add_threads(command);
}

void study_options::require() const {
    text.require();
    calibration.require();
}

fairness_study::fairness_study(study_options const& options, std::size_t index, text_split split,
                               std::shared_ptr<journal> results)
    : index_(index),
      threads_(qtk::thread_count()),
      seed_(options.seed),
      path_(options.models.at(index)),
      original_(language_model::open(path_)),
      calibration_(options.calibration),
      results_(std::move(results)) {
    std::vector<qtk::language_text> const texts = options.text.read_texts();
    std::as_const(original_).network().for_each_linear(
        [&](qtk::linear const& layer) { stored_bytes_.push_back(layer.weight_bytes()); });
    original_.apply(parse_format("fp32"));
    share_floats(original_.network());
    blocks_ = qtk::blocks_of(original_.network());
    everything_ = qtk::whole_network(original_.network());
    model_key_ = results_->has_file() ? checksum_of_model(path_) : std::to_string(index);
    if (split == text_split::whole) {
        texts_.push_back(make_study_text(original_, options.text, texts));
        return;
    }
    auto [first, second] = halves_of(texts);
    texts_.push_back(make_study_text(original_, options.text, std::move(first),
                                     ", the first half of the passages"));
    texts_.push_back(make_study_text(original_, options.text, std::move(second),
                                     ", the second half of the passages"));
}

std::vector<std::string> fairness_study::language_names() const {
    std::vector<std::string> names;
    for (auto const& language : texts_.front().lines) names.push_back(language.language);
    return names;
}

calibration_text const& fairness_study::calibration_for(std::vector<std::string> const& mix) const {
    std::lock_guard const lock(reading_);
    if (auto const known = calibrations_.find(mix); known != calibrations_.end())
        return known->second;
    calibration_options options = calibration_;
    if (!mix.empty()) options.mix = mix;
    return calibrations_.emplace(mix, options.read(original_)).first->second;
}
std::string fairness_study::calibration_sentence(std::vector<std::string> const& methods,
                                                 std::vector<std::string> const& mix) const {
    bool const is_read = std::ranges::any_of(
        methods, [](std::string const& method) { return qtk::parse_method(method).needs_text(); });
    return is_read ? calibration_for(mix).sentence
                   : std::string("The methods read no calibration text.");
}

std::shared_ptr<quantized_twin const> fairness_study::twin_of(quantization const& how) const {
    std::lock_guard const lock(making_);
    if (twin_ && twin_->how == how) return twin_;
    twin_.reset();  // one at a time is in memory
    with_threads const all(threads_);
    twin_ = make_twin(original_, how, calibration_for(how.mix));
    return twin_;
}

std::vector<std::size_t> const& fairness_study::rounded_bytes(std::string const& scheme) const {
    std::vector<std::size_t>& bytes = rounded_bytes_[scheme];
    if (!bytes.empty()) return bytes;
    language_model rounded = original_;
    rounded.apply(parse_format(scheme));
    std::as_const(rounded).network().for_each_linear(
        [&](qtk::linear const& layer) { bytes.push_back(layer.weight_bytes()); });
    return bytes;
}

double fairness_study::bits_per_weight(quantization const& how,
                                       qtk::mixture const& quantized) const {
    std::vector<std::size_t> const& rounded = rounded_bytes(how.scheme);
    double bits = 0.0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < quantized.size(); ++i) {
        auto const modules = qtk::modules_of(original_.network(), i);
        std::size_t layer = 0;
        original_.network().for_each_linear_of(i, [&](qtk::linear const& l) {
            double rows = 0.0;
            for (std::size_t m = 0; m < modules.size(); ++m)
                if (modules[m].layer == layer && (quantized[i] >> m & 1u) != 0)
                    rows += static_cast<double>(modules[m].rows);
            double const share = rows / static_cast<double>(l.out());
            bits += 8.0 * (share * static_cast<double>(rounded[at]) +
                           (1.0 - share) * static_cast<double>(stored_bytes_[at]));
            ++at, ++layer;
        });
    }
    return bits / static_cast<double>(original_.weights());
}

std::vector<std::string> fairness_study::keep_rules(qtk::mixture const& kept) const {
    std::vector<std::string> rules;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        if (kept[i] == 0) continue;
        auto const modules = qtk::modules_of(original_.network(), i);
        std::size_t at = 0;
        original_.network().for_each_linear_of(i, [&](qtk::linear const& layer) {
            if ((kept[i] & qtk::modules_of_layer(modules, at++)) == 0) return;
            // The whole block is one rule: its name ends with its number.
            std::string const number = "." + std::to_string(i) + ".";
            std::size_t const end = layer.name().find(number);
            bool const is_block = kept[i] == everything_[i] && end != std::string::npos;
            std::string const rule = is_block
                                         ? layer.name().substr(0, end + number.size()) + "*=keep"
                                         : layer.name() + ".weight=keep";
            if (rules.empty() || rules.back() != rule) rules.push_back(rule);
        });
    }
    return rules;
}

std::string fairness_study::key_of(quantization const& how, bool is_float) const {
    if (is_float) return checksum(model_key_);
    qtk::layer_format const format = parse_format(how.scheme);
    bool const needs_text = qtk::parse_method(how.method).needs_text() ||
                            format.activations.type == qtk::activation_type::a8_static;
    std::string text = model_key_ + "\n" + how.method + "\n" +
                       qtk::to_string(format.scheme.value_or(qtk::scheme{})) + "\n" + format.name +
                       "\n" + spelled(how.kept);
    if (needs_text)
        for (auto const& window : calibration_for(how.mix).windows) text += checksum(window);
    return checksum(text);
}

void fairness_study::ask(std::vector<json> const& requests, std::string const& label,
                         std::function<void(std::size_t, json const&)> const& received) const {
    std::vector<std::string> texts;
    for (json const& request : requests) texts.push_back(request.dump());
    if (texts.empty()) return;
    // With all threads, before pieces of work take them.
    static_cast<void>(twin_of(quantization_of(requests.front()["how"])));
    progress_line const line;
    std::size_t done = 0;
    line.show(fmt::format("{}: 0 of {}", label, texts.size()));
    share_out(
        texts, [&](std::string const& request) { return answer(json::parse(request)); },
        [&](std::size_t i, std::string const& text) {
            received(i, json::parse(text));
            line.show(fmt::format("{}: {} of {}", label, ++done, texts.size()));
        });
}

std::vector<passage_losses> fairness_study::losses(quantization const& how,
                                                   std::vector<qtk::mixture> const& mixtures,
                                                   std::size_t part) const {
    study_text const& text = texts_.at(part);
    std::string const quantized_key = key_of(how), float_key = key_of(how, true);
    std::vector<std::vector<std::string>> keys(text.languages.size());  // of windows
    auto const key_in = [&](std::string const& window, qtk::mixture const& m) {
        return (m == nothing() ? float_key : quantized_key) + window + spelled(m);
    };
    std::vector<json> requests;
    for (std::size_t l = 0; l < text.languages.size(); ++l)
        for (std::size_t w = 0; w < text.windows[l].size(); ++w) {
            qtk::passage_window const& window = text.windows[l][w];
            keys[l].push_back("/" + checksum(std::as_bytes(window.window.tokens)) + "-" +
                              checksum(window.place) + "/");
            json missing = json::array();
            for (qtk::mixture const& m : mixtures)
                if (results_->find(key_in(keys[l][w], m)) == nullptr) missing.push_back(spelled(m));
            if (!missing.empty())
                requests.push_back({{"study", index_},
                                    {"how", to_json(how)},
                                    {"part", part},
                                    {"language", l},
                                    {"window", w},
                                    {"mixtures", missing}});
        }
    ask(requests, how.name() + ": window", [&](std::size_t i, json const& nll) {
        json const& asked = requests[i];
        std::string const& window =
            keys[asked["language"].get<std::size_t>()][asked["window"].get<std::size_t>()];
        std::vector<std::pair<std::string, std::vector<double>>> entries;
        for (std::size_t m = 0; m < nll.size(); ++m)
            entries.emplace_back(
                key_in(window, parse_mixture(asked["mixtures"][m].get<std::string>())),
                nll[m].get<std::vector<double>>());
        results_->add(std::move(entries));
    });
    std::vector<passage_losses> all;
    for (qtk::mixture const& m : mixtures) {
        passage_losses found;
        for (std::size_t l = 0; l < text.languages.size(); ++l) {
            std::vector<double> sums(text.sizes[l].size());
            for (std::size_t w = 0; w < text.windows[l].size(); ++w) {
                auto const* const nll = results_->find(key_in(keys[l][w], m));
                for (std::size_t p = 0; p < nll->size(); ++p)
                    sums[text.windows[l][w].first + p] += (*nll)[p];
            }
            found.emplace_back();
            for (std::size_t const p : text.scored_passages(l)) found.back().push_back(sums[p]);
        }
        all.push_back(std::move(found));
    }
    return all;
}

namespace {

[[nodiscard]] std::vector<qtk::passage_choice> questions_about(std::size_t lines,
                                                               std::uint64_t seed) {
    return qtk::passage_choices(lines, {.seed = seed});
}

}  // namespace

std::vector<std::size_t> fairness_study::question_lines(std::size_t language) const {
    std::vector<std::size_t> lines;
    for (auto const& choice : questions_about(texts_.front().languages[language].passages, seed_))
        lines.push_back(choice.line);
    return lines;
}

std::vector<std::vector<double>> fairness_study::margins(quantization const& how,
                                                         qtk::mixture const& quantized) const {
    study_text const& text = texts_.front();
    std::string const key =
        key_of(how, quantized == nothing()) + "/task/" + std::to_string(seed_) + "/";
    std::vector<json> requests;
    std::vector<std::string> keys;
    std::vector<std::vector<std::string>> pieces(text.lines.size());
    for (std::size_t l = 0; l < text.lines.size(); ++l) {
        std::size_t const questions = question_lines(l).size();
        for (std::size_t q = 0; q < questions; q += questions_at_once) {
            pieces[l].push_back(key + checksum(text.lines[l].text) + "/" + std::to_string(q) + "/" +
                                spelled(quantized));
            if (results_->find(pieces[l].back()) != nullptr) continue;
            keys.push_back(pieces[l].back());
            requests.push_back({{"study", index_},
                                {"how", to_json(how)},
                                {"language", l},
                                {"question", q},
                                {"mixture", spelled(quantized)}});
        }
    }
    ask(requests, how.name() + ": questions", [&](std::size_t i, json const& margins) {
        results_->add({{keys[i], margins.get<std::vector<double>>()}});
    });
    std::vector<std::vector<double>> all(text.lines.size());
    for (std::size_t l = 0; l < all.size(); ++l)
        for (std::string const& piece : pieces[l]) {
            auto const& found = *results_->find(piece);
            all[l].insert(all[l].end(), found.begin(), found.end());
        }
    return all;
}

std::string fairness_study::answer(json const& request) const {
    auto const made = twin_of(quantization_of(request["how"]));
    auto const language = request["language"].get<std::size_t>();
    if (request.contains("question")) {
        bool const is_original = parse_mixture(request["mixture"].get<std::string>()) == nothing();
        auto const lines =
            qtk::tokens_of_lines(texts_.front().lines[language].text, original_.tokenizer());
        auto const choices = questions_about(lines.size(), seed_);
        auto const first = request["question"].get<std::size_t>();
        auto const some =
            std::span(choices).subspan(first, std::min(questions_at_once, choices.size() - first));
        return json(qtk::next_passage_margins(
                        is_original ? original_.network() : made->quantized.network(), lines,
                        original_.bos(), some))
            .dump();
    }
    std::vector<qtk::mixture> mixtures;
    for (auto const& text : request["mixtures"])
        mixtures.push_back(parse_mixture(text.get<std::string>()));
    study_text const& text = texts_.at(request["part"].get<std::size_t>());
    auto const& window = text.windows[language][request["window"].get<std::size_t>()];
    return json(qtk::mixture_losses(*made->mixed, mixtures, window)).dump();
}

void quantization_grid::add_to(CLI::App& command) {
    command.add_option("--schemes", schemes, "formats with codes")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("FORMAT");
    command.add_option("--methods", methods, method_help)
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("METHOD");
}
void quantization_grid::require() const {
    static_cast<void>(parse_formats(schemes, "--schemes"));
    if (methods.empty()) throw qtk::value_error("--methods: expected at least one method");
    for (std::string const& method : methods) static_cast<void>(qtk::parse_method(method));
}

json report_head(std::string const& schema, fairness_study const& study,
                 std::string const& calibration, study_options const& options) {
    return {{"schema", schema},
            {"model", study.model().name()},
            {"protocol", study.text().sentence},
            {"calibration", calibration},
            {"seed", options.seed},
            {"environment", environment::now().to_json()}};
}

void print_header(std::FILE* human, fairness_study const& study, std::string const& calibration,
                  std::size_t part) {
    fmt::print(human, "{}: {} blocks, {} linear layers.\n{}\n{}\n", study.model().name(),
               study.blocks().size(), study.model().layers(), study.text(part).sentence,
               calibration);
    if (std::string const ranks = describe_ranks(); !ranks.empty())
        fmt::print(human, "Run by {}.\n", ranks);
    fmt::print(human,
               "Costs are increases of the loss relative to the float model's; intervals draw "
               "passages within each language, 95 %.\n");
}

void run_study(study_options const& options, text_split split,
               std::function<void(study_list const&)> const& command) {
    options.require();
    bool const has_file = !options.journal.empty() && is_first_rank();
    auto const results =
        has_file ? std::make_shared<journal>(options.journal) : std::make_shared<journal>();
    study_list studies;
    for (std::size_t i = 0; i < options.models.size(); ++i)
        studies.push_back(std::make_unique<fairness_study>(options, i, split, results));
    if (is_first_rank()) {
        if (results->found() > 0)
            fmt::print(options.output.human(), "{} results are taken from {}.\n",
                       with_commas(results->found()), options.journal);
        return command(studies);
    }
    serve([&](std::string const& text) {
        auto const request = json::parse(text);
        return studies.at(request["study"].get<std::size_t>())->answer(request);
    });
}

}  // namespace app
