// SPDX-License-Identifier: Apache-2.0
//
// `qtk inspect`: what is in a model file, and is all of it sound?
#include <qtk/io/gguf.hpp>
#include <qtk/io/safetensors_header.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "conversion.hpp"
#include "model_input.hpp"
#include "output.hpp"
#include "terminal.hpp"
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct inspect_options {
    std::vector<std::string> paths;
    std::string json_target;
    bool validates = false;
};

/// An array shows so many elements.
constexpr std::size_t most_elements = 6;

[[nodiscard]] json number_of(qtk::gguf_kind kind, std::byte const* at) {
    return qtk::detail::with_gguf_number(kind, at, [](auto v) { return json(v); });
}

/// A value as JSON; a long array is its length and its first elements.
[[nodiscard]] json to_json(qtk::gguf_value const& value) {
    if (!value.is_array()) {
        if (auto const text = value.as<std::string>()) return *text;
        return number_of(value.kind(), value.payload().data());
    }
    json first = json::array();
    std::size_t const n = std::min<std::size_t>(most_elements, value.size());
    for (std::size_t i = 0; i < n; ++i)
        if (value.element() == qtk::gguf_kind::string)
            first.push_back(std::string(value.strings()[i]));
        else
            first.push_back(number_of(value.element(),
                                      value.payload().data() + i * qtk::bytes_of(value.element())));
    if (n == value.size()) return first;
    return {{"type", "array of " + std::string(qtk::name_of(value.element()))},
            {"length", value.size()},
            {"first", std::move(first)}};
}

/// The same for people, on one line.
[[nodiscard]] std::string text_of(qtk::gguf_value const& value) {
    if (!value.is_array()) {
        if (auto const text = value.as<std::string_view>()) return qtk::quoted(*text, 80);
        return number_of(value.kind(), value.payload().data()).dump();
    }
    std::string text = value.describe() + ":";
    for (std::size_t i = 0; i < std::min<std::size_t>(most_elements, value.size()); ++i)
        text += " " + (value.element() == qtk::gguf_kind::string
                           ? qtk::quoted(value.strings()[i], 24)
                           : number_of(value.element(),
                                       value.payload().data() + i * qtk::bytes_of(value.element()))
                                 .dump());
    return text + (value.size() > most_elements ? " ..." : "");
}

struct totals {
    std::uint64_t tensors = 0, weights = 0, bytes = 0;
    [[nodiscard]] double bits_per_weight() const noexcept {
        return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
    }
};
[[nodiscard]] totals totals_of(model_input const& input) {
    totals t;
    for (input_tensor const& tensor : input.tensors()) {
        ++t.tensors;
        t.weights += std::uint64_t{tensor.rows->rows()} * tensor.rows->cols();
        t.bytes += tensor.bytes;
    }
    return t;
}

[[nodiscard]] std::string format_of(model_input const& input) {
    if (qtk::gguf_file const* const gguf = input.gguf())
        return fmt::format("GGUF version {}, alignment {}", gguf->version(), gguf->alignment());
    return input.is_folder() ? "Hugging Face folder" : "safetensors";
}

[[nodiscard]] json report_of(model_input const& input) {
    json report{{"schema", "qtk.inspect/1"},
                {"path", input.path().string()},
                {"format", format_of(input)},
                {"architecture", input.architecture()}};
    json files = json::array(), metadata = json::object(), tensors = json::array();
    for (auto const& file : input.files()) files.push_back(file.string());
    for (auto const& [key, value] : input.metadata()) metadata[key] = value;
    if (input.gguf() != nullptr)
        for (auto const& [key, value] : input.gguf()->metadata().entries())
            metadata[std::string(key)] = to_json(value);
    for (input_tensor const& t : input.tensors())
        tensors.push_back(
            {{"name", t.name}, {"type", t.type}, {"shape", t.shape}, {"bytes", t.bytes}});
    totals const sum = totals_of(input);
    report["files"] = std::move(files);
    report["metadata"] = std::move(metadata);
    report["tensors"] = std::move(tensors);
    report["weights"] = sum.weights;
    report["bytes"] = sum.bytes;
    report["bits_per_weight"] = sum.bits_per_weight();
    return report;
}

void show(std::FILE* to, model_input const& input) {
    fmt::print(to, "{}: {}{}\n", shown(input.path().string()), format_of(input),
               input.architecture().empty() ? "" : ", architecture " + shown(input.architecture()));
    for (auto const& [key, value] : input.metadata())
        fmt::print(to, "  {} = {}\n", shown(key), qtk::quoted(value, 80));
    if (input.gguf() != nullptr)
        for (auto const& [key, value] : input.gguf()->metadata().entries())
            fmt::print(to, "  {} = {}\n", shown(key), text_of(value));
    text_table table({"tensor", "type", "shape", "bytes"});
    for (input_tensor const& t : input.tensors())
        table.add({shown(t.name), t.type, qtk::to_string(t.shape), with_commas(t.bytes)});
    totals const sum = totals_of(input);
    fmt::print(to, "\n{}\n{} tensors, {} weights, {} ({} bytes), {:.3f} bits a weight\n",
               table.str(), sum.tensors, with_commas(sum.weights), size_text(sum.bytes),
               with_commas(sum.bytes), sum.bits_per_weight());
}

void run_inspect(inspect_options const& options) {
    model_input const input = model_input::open({options.paths.begin(), options.paths.end()});
    require_other_file(options.json_target, input.files());
    json report = report_of(input);
    if (options.validates) {
        progress_line const line;
        std::size_t undecoded = 0, i = 0;
        for (input_tensor const& tensor : input.tensors()) {
            line.show(fmt::format("{} of {}  {}", ++i, input.tensors().size(), shown(tensor.name)));
            if (tensor.rows->has_floats())
                require_finite_rows(*tensor.rows,
                                    input.path().string() + ": tensor " + qtk::quoted(tensor.name));
            else
                ++undecoded;
        }
        report["validated"] = input.tensors().size() - undecoded;
        report["not_decoded"] = undecoded;
    }
    if (options.json_target != "-") {
        show(stdout, input);
        if (options.validates)
            fmt::print("Every value of {} tensors is finite; {} have no decoder here.\n",
                       report["validated"].get<std::size_t>(),
                       report["not_decoded"].get<std::size_t>());
    }
    deliver(options.json_target, report);
}

}  // namespace

void add_inspect(CLI::App& program) {
    auto const options = std::make_shared<inspect_options>();
    CLI::App& command =
        *program.add_subcommand("inspect", "What is in a model file, and is all of it sound?");
    command
        .add_option("path", options->paths,
                    "a Hugging Face folder, .safetensors files or a .gguf file")
        ->required()
        ->expected(1, 4096)
        ->type_name("MODEL");
    command.add_flag("--validate", options->validates,
                     "read everything: every tensor decodes to finite values");
    command.add_flag("--json{-}", options->json_target,
                     "all of it as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run_inspect(*options); });
}

}  // namespace app
