// SPDX-License-Identifier: Apache-2.0
//
// qtk generate: a model goes on with a text.
#include <qtk/io/utf8.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "format_options.hpp"
#include "generation.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include <memory>

namespace app {
namespace {

struct generate_options {
    std::string model = QTK_DATA_DIR "/polyglot-llama", prompt, format = "stored";
    kv_option kv;
    head_option head;
    std::string json_target;
    generation_options how;
    bool goes_on = false;
};

/// Prints tokens as their characters become whole.
class text_stream {
  public:
    text_stream(qtk::tokenizer const& tokenizer, std::FILE* out)
        : tokenizer_(tokenizer), out_(out) {}
    void operator()(std::int32_t token) {
        waiting_ += tokenizer_.piece(token);
        show(false);
    }
    void finish() { show(true); }

  private:
    /// What is no UTF-8 is shown as U+FFFD, byte by byte; the start of a character may wait for its end.
    void show(bool is_end) {
        constexpr std::size_t longest = 4;
        std::string out;
        while (!waiting_.empty()) {
            std::size_t const whole = std::min(qtk::find_utf8_fault(waiting_), waiting_.size());
            out += waiting_.substr(0, whole);
            waiting_.erase(0, whole);
            if (waiting_.empty() || (!is_end && waiting_.size() < longest)) break;
            out += "\xef\xbf\xbd";
            waiting_.erase(0, 1);
        }
        std::fwrite(out.data(), 1, out.size(), out_);
        std::fflush(out_);
    }

    qtk::tokenizer const& tokenizer_;
    std::FILE* out_;
    std::string waiting_;
};

void run(generate_options const& options) {
    qtk::layer_format const format = parse_format(options.format);
    auto const head = options.head.parse();
    qtk::require_sampling(options.how.sampling);
    generation_options how = options.how;
    how.kv = options.kv.parse();

    language_model model = language_model::open(options.model);
    model.apply(format, head);
    if (!options.goes_on) how.stop = model.stop();
    std::vector<std::int32_t> const prompt = model.encode(options.prompt);
    bool const is_machine = options.json_target == "-";
    std::FILE* const human = is_machine ? stderr : stdout;
    text_stream stream(model.tokenizer(), human);
    fmt::print(human, "{}", options.prompt);
    std::fflush(human);
    generation const made =
        generate(model.network(), prompt, how, [&](std::int32_t token) { stream(token); });
    stream.finish();
    fmt::print(human, "\n");
    fmt::print(stderr,
               "[{} {}: prompt {} tokens in {:.1f} ms ({:.0f} tokens/s), then {} tokens at {:.1f} "
               "tokens/s; weights {:.1f} MB, cache {:.1f} MB ({}, {:.0f} bytes a token), peak "
               "memory {:.0f} MB]\n",
               model.name(), format.name, made.prompt, 1e3 * made.prefill_seconds,
               made.prefill_rate(), made.decoded, made.decoded > 0 ? made.decode_rate() : 0.0,
               1e-6 * static_cast<double>(model.layer_bytes()),
               1e-6 * static_cast<double>(made.kv_bytes), to_string(how.kv),
               qtk::kv_bytes_per_token(model.network().config(), how.kv),
               1e-6 * static_cast<double>(peak_memory()));
    if (options.json_target.empty()) return;
    json report{{"schema", "qtk.generate/1"},
                {"model", model.name()},
                {"format", format.name},
                {"prompt", options.prompt},
                {"text", model.tokenizer().decode(made.tokens)},
                {"tokens", made.tokens},
                {"prompt_tokens", made.prompt},
                {"prompt_ids", prompt},
                {"prefill_seconds", made.prefill_seconds},
                {"decode_seconds", made.decode_seconds},
                {"decoded_tokens", made.decoded},
                {"layer_bytes", model.layer_bytes()},
                {"kv", to_string(how.kv)},
                {"kv_bytes", made.kv_bytes},
                {"kv_bytes_per_token", qtk::kv_bytes_per_token(model.network().config(), how.kv)},
                {"peak_memory_bytes", peak_memory()},
                {"environment", environment::now().to_json()}};
    if (auto const fraction = model.outlier_fraction()) report["outlier_columns"] = *fraction;
    deliver(options.json_target, report);
}

}  // namespace

void add_generate(CLI::App& program) {
    auto const options = std::make_shared<generate_options>();
    CLI::App& command = *program.add_subcommand("generate", "Go on with a text");
    command.add_option("--model", options->model, "Hugging Face folder or GGUF file")
        ->capture_default_str()
        ->type_name("MODEL");
    command.add_option("--prompt", options->prompt, "the text to go on with")->required();
    command.add_option("--format", options->format, format_help)
        ->capture_default_str()
        ->type_name("FORMAT");
    options->head.add_to(command);
    command.add_option("--tokens", options->how.tokens, "at most so many new tokens")
        ->capture_default_str();
    command
        .add_option("--temperature", options->how.sampling.temperature,
                    "0: always the most likely token")
        ->capture_default_str();
    command.add_option("--top-k", options->how.sampling.top_k, "0: all")->capture_default_str();
    command.add_option("--top-p", options->how.sampling.top_p, "nucleus, in (0, 1]")
        ->capture_default_str();
    command.add_option("--seed", options->how.sampling.seed, "of the draws")->capture_default_str();
    options->kv.add_to(command);
    command.add_flag("--ignore-eos", options->goes_on, "go on after the end of the text");
    command.add_flag("--json{-}", options->json_target,
                     "figures and tokens as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run(*options); });
}

}  // namespace app
