// SPDX-License-Identifier: Apache-2.0
//
// How are number formats of layers asked for? One spelling in every command, and one flag for the head,
// which stays as the file has it where nobody asks; one flag for keys and values.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/model/kv_format.hpp>
#include <qtk/model/layer_format.hpp>

#include <CLI/CLI.hpp>

#include "format_words.hpp"
#include <optional>
#include <string>
#include <vector>

namespace app {

/// The spelling of number formats, for the help of a command.
inline constexpr char const* format_help =
    "stored, fp32, fp16, bf16, w8a8, llm_int8[:THRESHOLD], w4a8, w4, w3, w2, nf4, mxfp4, or "
    "SCHEME[@ACTIVATIONS], e.g. i4/g64/asym@a8";

/// Throws qtk::value_error that shows what was expected, and what may have been meant.
[[nodiscard]] inline qtk::layer_format parse_format(std::string const& text) {
    return parse_or_suggest(text, layer_format_words, qtk::parse_layer_format);
}

/// Throws qtk::value_error for an unknown format, or where there is none; `flag` is named then.
[[nodiscard]] inline std::vector<qtk::layer_format> parse_formats(
    std::vector<std::string> const& names, char const* flag = "--formats") {
    if (names.empty()) throw qtk::value_error(std::string(flag) + ": expected at least one format");
    std::vector<qtk::layer_format> formats;
    for (std::string const& name : names) formats.push_back(parse_format(name));
    return formats;
}

/// --head: empty if it was not given.
struct head_option {
    std::string text;

    void add_to(CLI::App& command) {
        command.add_option("--head", text, "format of the head; as stored if not given")
            ->type_name("FORMAT");
    }
    /// Throws qtk::value_error for an unknown format.
    [[nodiscard]] std::optional<qtk::layer_format> parse() const {
        if (text.empty()) return std::nullopt;
        return parse_format(text);
    }
};

/// --kv: how keys and values are remembered.
struct kv_option {
    std::string text = "fp32";

    void add_to(CLI::App& command) {
        command
            .add_option(
                "--kv", text,
                "keys and values: fp32, int8 or iB[/gN][/token][/rN], B = 8, 4, 2: e.g. i4/g64")
            ->capture_default_str()
            ->type_name("KV");
    }
    /// Throws qtk::value_error for an unknown format.
    [[nodiscard]] qtk::kv_format parse() const { return qtk::parse_kv_format(text); }
};

}  // namespace app
