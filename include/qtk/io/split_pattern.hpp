// SPDX-License-Identifier: Apache-2.0
//
// How does PCRE2 find what the author of this split pattern meant? The patterns of tokenizer.json
// are written for Oniguruma. The two engines agree on most of it; what they read differently is
// rewritten here, or refused by name, because a wrong split is a wrong token that nobody notices.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/pretokenizer.hpp>
#include <qtk/io/utf8.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// Llama 3's split: as GPT-2's, but contractions in any case, one sign in front of letters, digits
/// by threes, line breaks after signs.
inline constexpr std::string_view llama3_split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Qwen2's: the same with single digits.
inline constexpr std::string_view qwen2_split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace detail {

// Unicode's White_Space. PCRE2's \s has U+180E besides, which lost the property in Unicode 6.3. The
// last element is a range, so that a hyphen that follows means itself.
inline constexpr std::string_view white_space =
    R"(\t-\r\x20\x{85}\x{a0}\x{1680}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{2000}-\x{200a})";

/// Walks over a pattern once; holds what the rewriting needs to know of where it is.
class split_pattern_rewriter {
  public:
    split_pattern_rewriter(std::string_view pattern, std::string const& file)
        : rest_(pattern), length_(pattern.size()), file_(file) {}

    std::string run() {
        while (!rest_.empty()) {
            char const c = rest_.front();
            if (c == '\\')
                escape();
            else if (in_class_)
                inside_class(c);
            else
                outside_class(c);
        }
        return std::move(out_);
    }

  private:
    [[noreturn]] void refuse(std::string_view construct) const {
        throw io_error(file_, "the split pattern uses " + qtk::quoted(construct) +
                                  " at character " + std::to_string(length_ - rest_.size()) +
                                  ", which is not supported here");
    }

    void copy(std::size_t count) {
        out_ += rest_.substr(0, count);
        rest_.remove_prefix(count);
    }

    void outside_class(char c) {
        if (c == '[') {
            in_class_ = true;
            std::size_t const start = rest_.starts_with("[^") ? 2 : 1;
            // A bracket that comes first means itself in one engine only.
            if (rest_.substr(start).starts_with(']')) refuse("[]");
            copy(start);
        } else if (c == '^' || c == '$') {
            refuse(rest_.substr(0, 1));  // lines in one engine, the text in the other
        } else if (rest_.starts_with("(*")) {
            refuse("(*");
        } else if (rest_.starts_with("(?")) {
            group();
        } else if (rest_.starts_with("}+") || rest_.starts_with("{,")) {
            refuse(rest_.substr(0, 2));  // possessive or again; {0,n} or signs
        } else {
            copy(1);
        }
    }

    /// Groups that both engines read alike: (?: (?i: (?= (?! (?<= (?<! (?>
    void group() {
        for (std::string_view const start : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
            if (rest_.starts_with(start)) return copy(start.size());
        refuse(rest_.substr(0, 3));
    }

    void inside_class(char c) {
        if (c == '[') refuse("[ inside [...]");
        if (rest_.starts_with("&&")) refuse("&&");
        if (c == ']') in_class_ = false;
        copy(1);
    }

    void escape() {
        char const c = rest_.size() > 1 ? rest_[1] : '\0';
        switch (c) {
            case 's':
                out_ += in_class_ ? "" : "[";
                out_ += white_space;
                out_ += in_class_ ? "" : "]";
                return rest_.remove_prefix(2);
            case 'S':
                if (in_class_) refuse("\\S inside [...]");
                out_.append("[^").append(white_space).append("]");
                return rest_.remove_prefix(2);
            case 'v':  // only U+000B in Oniguruma
                out_ += "\\x0b";
                return rest_.remove_prefix(2);
            case 'd':
            case 'D':
            case 'r':
            case 'n':
            case 't':
            case 'f':
                return copy(2);
            case 'p':
            case 'P':
                return property();
            case 'x':
            case 'u':
                return code_point();
            default:
                // A sign means itself behind a backslash, a letter or a digit never does.
                if (c < '!' || c > '~' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                    (c >= 'a' && c <= 'z'))
                    if (c != ' ') refuse(rest_.substr(0, 2));
                return copy(2);
        }
    }

    /// \p{L}, \p{^Lu}, \p{Han}: general categories as they are; a longer name is a script, which
    /// PCRE2 would read as a set of script extensions.
    void property() {
        std::size_t const end = rest_.find('}');
        if (!rest_.substr(2).starts_with('{') || end == std::string_view::npos)
            refuse(rest_.substr(0, 3));
        std::string_view name = rest_.substr(3, end - 3);
        bool const inverted = name.starts_with('^');
        if (inverted) name.remove_prefix(1);
        for (char const letter : name)
            if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                  letter == '_'))
                refuse(rest_.substr(0, end + 1));
        if (name.empty()) refuse("\\p{}");
        out_.append(rest_.substr(0, 2)).append(inverted ? "{^" : "{");
        out_.append(name.size() > 2 ? "sc:" : "").append(name).append("}");
        rest_.remove_prefix(end + 1);
    }

    /// \xHH, \x{H...} and \uHHHH.
    void code_point() {
        std::string_view digits = rest_.substr(2);
        std::size_t taken = rest_[1] == 'u' ? 4 : 2;
        if (rest_[1] == 'x' && digits.starts_with('{')) {
            digits.remove_prefix(1);
            taken = digits.find('}');
            if (taken == std::string_view::npos || taken == 0 || taken > 6)
                refuse(rest_.substr(0, 3));
            rest_.remove_prefix(2);  // the braces
        }
        digits = digits.substr(0, taken);
        if (digits.size() < taken ||
            digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
            refuse("\\x or \\u without its hexadecimal digits");
        out_.append("\\x{").append(digits).append("}");
        rest_.remove_prefix(2 + taken);
    }

    std::string_view rest_;
    std::size_t length_;
    std::string const& file_;
    std::string out_;
    bool in_class_ = false;
};

}  // namespace detail

/// The PCRE2 pattern that finds what `pattern` finds in Oniguruma; `file` serves in messages.
/// Throws io_error naming the construct that the engines read differently.
[[nodiscard]] inline std::string to_pcre2_pattern(std::string_view pattern,
                                                  std::string const& file = "pattern") {
    return detail::split_pattern_rewriter(pattern, file).run();
}

/// The PCRE2 pattern that finds the characters of `text` and nothing else.
[[nodiscard]] inline std::string to_pcre2_literal(std::string_view text) {
    std::string pattern;
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (byte < 0x80)
            pattern.append("\\x{")
                .append(1, "0123456789abcdef"[byte >> 4])
                .append(1, "0123456789abcdef"[byte & 15])
                .append("}");
        else
            pattern += c;  // part of a character that no pattern gives a meaning
    }
    return pattern;
}

/// Splits and a rule by the name that a GGUF file gives in tokenizer.ggml.pre.
struct named_split {
    std::vector<std::string> splits;
    bool ignore_merges = false;
};

/// What llama.cpp does for this name; nothing for a name that is not known here.
[[nodiscard]] inline std::optional<named_split> find_named_split(std::string_view name) {
    auto const is = [&](auto... names) { return ((name == names) || ...); };
    std::string const gpt2(gpt2_split);
    if (is("gpt-2", "phi-2", "mpt", "olmo")) return named_split{{gpt2}};
    if (is("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"))
        return named_split{{to_pcre2_pattern(llama3_split)}, true};
    if (is("qwen2", "deepseek-r1-qwen", "stablelm2"))
        return named_split{{to_pcre2_pattern(qwen2_split)}};
    if (is("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"))
        return named_split{{"\\p{N}", gpt2}};
    if (is("default"))
        return named_split{{R"([\p{P}$+<=>^~|]+)", gpt2, "\\p{N}+", "[0-9][0-9][0-9]"}};
    return std::nullopt;
}

}  // namespace qtk
