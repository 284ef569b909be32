// SPDX-License-Identifier: Apache-2.0
#include "recipe.hpp"

#include <qtk/core/error.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/utf8.hpp>

#include "format_words.hpp"
#include <algorithm>
#include <optional>

namespace app {

bool matches(std::string_view pattern, std::string_view name) noexcept {
    // On a mismatch the last star takes one character more: no recursion, no explosion.
    std::size_t p = 0, n = 0, star = pattern.npos, taken = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            taken = n;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
            ++p, ++n;
        } else if (star != pattern.npos) {
            p = star + 1;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

std::string to_string(tensor_action const& action) {
    if (auto const* const type = std::get_if<qtk::gguf_type>(&action))
        return std::string(qtk::name_of(*type));
    if (auto const* const scheme = std::get_if<qtk::scheme>(&action))
        return qtk::to_string(*scheme);
    return "keep";
}

bool is_for_matrices(tensor_action const& action) noexcept {
    auto const* const type = std::get_if<qtk::gguf_type>(&action);
    if (type == nullptr) return std::holds_alternative<qtk::scheme>(action);
    auto const* const entry = qtk::find_gguf_type(*type);
    return entry != nullptr && entry->values > 1;
}

namespace {

[[nodiscard]] std::optional<qtk::gguf_type> float_type(std::string_view text) noexcept {
    if (text == "fp32" || text == "f32") return qtk::gguf_type::f32;
    if (text == "fp16" || text == "f16") return qtk::gguf_type::f16;
    if (text == "bf16") return qtk::gguf_type::bf16;
    return std::nullopt;
}

}  // namespace

tensor_action parse_scheme_action(std::string const& text) {
    if (text == "keep") return keep_action{};
    if (auto const type = float_type(text)) return *type;
    return parse_or_suggest(
        text, {"keep", "fp32", "fp16", "bf16"}, [](std::string const& scheme) -> tensor_action {
            try {
                return qtk::parse_scheme(scheme);
            } catch (qtk::value_error const& e) {
                throw qtk::value_error(std::string(e.what()) + ", or keep, fp32, fp16, bf16");
            }
        });
}

tensor_action parse_type_action(std::string const& text) {
    std::string name;
    for (char const c : text) name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (name == "keep") return keep_action{};
    if (auto const type = float_type(name)) return *type;
    // GGUF writes q4_K with a capital.
    if (name.ends_with("_k")) name.back() = 'K';
    auto const* const entry = qtk::find_gguf_type(name);
    if (entry != nullptr && qtk::has_gguf_decoder(entry->type)) return entry->type;
    std::vector<std::string> const types{"f32",  "f16",    "bf16",   "q4_0",  "q4_1", "q5_0",
                                         "q5_1", "q8_0",   "q2_k",   "q3_k",  "q4_k", "q5_k",
                                         "q6_k", "iq4_nl", "iq4_xs", "mxfp4", "keep"};
    std::string expected;
    for (std::string const& type : types)
        expected += (expected.empty() ? "" : type == types.back() ? " or " : ", ") + type;
    throw qtk::value_error("type " + qtk::quoted(text) + ": expected " + expected + "." +
                           did_you_mean(name, types) +
                           " Hint: mixtures such as q4_K_M are several --recipe rules");
}

void for_each_rule(std::vector<std::string> const& rules, std::string const& file,
                   std::function<void(std::string, std::string const&)> const& f) {
    auto const add = [&](std::string const& text, std::string const& where) {
        std::size_t const equals = text.find('=');
        if (equals == text.npos || equals == 0 || equals + 1 == text.size())
            throw qtk::value_error(where + qtk::quoted(text) +
                                   ": expected PATTERN=WHAT, e.g. '*.mlp.*=i4/g128'");
        try {
            f(text.substr(0, equals), text.substr(equals + 1));
        } catch (qtk::value_error const& e) {
            throw qtk::value_error(where + qtk::quoted(text) + ": " + e.what());
        }
    };
    for (std::string const& text : rules) add(text, "--recipe ");
    if (file.empty()) return;
    auto const content = qtk::mapped_file::open(file, qtk::io_mode::read, 1u << 20);
    std::string_view rest = content.text();
    for (std::size_t number = 1; !rest.empty(); ++number) {
        std::size_t const end = std::min(rest.find('\n'), rest.size());
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        constexpr std::string_view space = " \t\r";
        line.remove_prefix(std::min(line.find_first_not_of(space), line.size()));
        line = line.substr(0, line.find_last_not_of(space) + 1);
        if (line.empty() || line.front() == '#') continue;
        add(std::string(line), file + ":" + std::to_string(number) + ": ");
    }
}

bool is_block_weight(std::string_view name) noexcept {
    if (!name.ends_with(".weight")) return false;
    for (std::size_t start = 0; start < name.size();) {
        std::size_t const end = std::min(name.find('.', start), name.size());
        std::string_view const part = name.substr(start, end - start);
        if (!part.empty() && part.find_first_not_of("0123456789") == part.npos) return true;
        start = end + 1;
    }
    return false;
}

}  // namespace app
