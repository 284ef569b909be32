// SPDX-License-Identifier: Apache-2.0
//
// Where does one word end and the next begin? Cuts UTF-8 text into the pieces that byte-pair
// merges never cross, by a regular expression (PCRE2, with limits on what a match may cost).
// PCRE2 10.42 knows the letters and digits of Unicode 14.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>

#if !defined(PCRE2_CODE_UNIT_WIDTH)
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>

namespace qtk {

/// GPT-2's split: English contractions; letters, digits or other signs, each with one space in
/// front; white space, whose last character is left to the piece that follows. The repetitions are
/// possessive, so that a long run costs linear time. U+180E counts as a sign, as it has since
/// Unicode 6.3; PCRE2's `\s` still holds it.
inline constexpr std::string_view gpt2_split =
    R"('(?:[stmd]|re|ve|ll)| ?\p{L}++| ?\p{N}++| ?(?:[^\s\p{L}\p{N}]|\x{180e})++)"
    R"(|[^\S\x{180e}]+(?!\S|\x{180e})|[^\S\x{180e}]++)";

/// Cuts text by a pattern; what lies between two matches is a piece of its own, so that the pieces
/// always add up to the text. Const members may be called from several threads at once.
class pretokenizer {
  public:
    /// Throws value_error with PCRE2's sentence when the pattern is no regular expression.
    explicit pretokenizer(std::string_view pattern = gpt2_split) {
        int fault = 0;
        PCRE2_SIZE where = 0;
        // \C could cut a character in two.
        code_.reset(pcre2_compile_8(bytes(pattern), pattern.size(),
                                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &fault, &where,
                                    nullptr),
                    &pcre2_code_free_8);
        if (!code_)
            throw value_error("the split pattern does not compile at character " +
                              std::to_string(where) + ": " + sentence(fault));
        // Without JIT the interpreter gives the same pieces, some three times slower.
        pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);
    }

    /// Calls f(piece) for the pieces of `text` in order. Throws value_error with the byte position
    /// when the text is not UTF-8 or a match exceeds its limits.
    template <typename F>
    void for_each_piece(std::string_view text, F&& f) const {
        if (std::size_t const fault = find_utf8_fault(text); fault != std::string_view::npos)
            throw value_error("the text is not UTF-8 at byte " + std::to_string(fault));
        handle<pcre2_match_data_8> const match(
            pcre2_match_data_create_from_pattern_8(code_.get(), nullptr), &pcre2_match_data_free_8);
        handle<pcre2_match_context_8> const limits(pcre2_match_context_create_8(nullptr),
                                                   &pcre2_match_context_free_8);
        if (!match || !limits) throw std::bad_alloc();
        pcre2_set_match_limit_8(limits.get(), 10'000'000);
        pcre2_set_depth_limit_8(limits.get(), 10'000);
        pcre2_set_heap_limit_8(limits.get(), 64 * 1024);  // KiB

        std::size_t done = 0;
        while (done < text.size()) {
            auto const search = [&](std::uint32_t options) {
                return pcre2_match_8(code_.get(), bytes(text), text.size(), done,
                                     PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK | options, match.get(),
                                     limits.get());
            };
            int found = search(0);
            // JIT's stack is small; the interpreter keeps its own on the heap.
            if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = search(PCRE2_NO_JIT);
            if (found == PCRE2_ERROR_NOMATCH) break;
            if (found < 0)
                throw value_error("the text cannot be split after byte " + std::to_string(done) +
                                  ": " + sentence(found));
            PCRE2_SIZE const* const range = pcre2_get_ovector_pointer_8(match.get());
            std::size_t const begin = range[0], end = range[1];
            if (begin > done) f(text.substr(done, begin - done));
            f(text.substr(begin, end - begin));
            done = end;
        }
        if (done < text.size()) f(text.substr(done));
    }

  private:
    template <typename T>
    using handle = std::unique_ptr<T, void (*)(T*)>;

    static PCRE2_SPTR8 bytes(std::string_view text) noexcept {
        return reinterpret_cast<PCRE2_SPTR8>(text.data());
    }

    static std::string sentence(int code) {
        char text[256] = {};
        pcre2_get_error_message_8(code, reinterpret_cast<PCRE2_UCHAR8*>(text), sizeof text);
        return text;
    }

    std::shared_ptr<pcre2_code_8> code_;
};

}  // namespace qtk
