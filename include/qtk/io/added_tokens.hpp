// SPDX-License-Identifier: Apache-2.0
//
// Which parts of this text are tokens of their own? Special tokens like <|eot_id|>, and others that
// were added to a vocabulary, are cut out of the text before anything splits it: the leftmost
// first, of those that begin at one place the longest.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qtk {

struct added_token {
    std::string content;
    std::int32_t id = 0;
    /// Control tokens: text that a user typed must not become one unnoticed.
    bool special = false;
    /// The token takes the white space on its left, or on its right, with it.
    bool strips_left = false, strips_right = false;
};

namespace detail {

/// Bytes of the white space character (Unicode's White_Space) that `text` begins with, or 0.
[[nodiscard]] constexpr std::size_t white_space_at_start(std::string_view text) noexcept {
    if (text.empty()) return 0;
    auto const byte = static_cast<unsigned char>(text.front());
    if (byte == ' ' || (byte >= '\t' && byte <= '\r')) return 1;
    std::string_view const two = text.substr(0, 2), three = text.substr(0, 3);
    if (two == "\u0085" || two == "\u00a0") return 2;
    for (std::string_view const space :
         {"\u1680", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"})
        if (three == space) return 3;
    return three >= std::string_view("\u2000") && three <= std::string_view("\u200a") &&
                   three.size() == 3
               ? 3
               : 0;
}

/// `text` without the white space at its end.
[[nodiscard]] constexpr std::string_view without_space_at_end(std::string_view text) noexcept {
    for (;;) {
        std::size_t last = text.size();
        while (last > 0 && (static_cast<unsigned char>(text[last - 1]) & 0xc0) == 0x80) --last;
        if (last == 0) return text;
        std::size_t const space = white_space_at_start(text.substr(last - 1));
        if (space == 0 || last - 1 + space != text.size()) return text;
        text.remove_suffix(space);
    }
}

}  // namespace detail

/// Finds added tokens in text; const members may be called from several threads at once.
class added_tokens {
  public:
    /// Of two tokens with one content the first stays. Throws value_error on empty content.
    void add(added_token token) {
        if (token.content.empty()) throw value_error("an added token is empty");
        std::uint32_t node = 0;
        for (char const c : token.content) {
            auto const [edge, is_new] = edges_.try_emplace(key(node, c), count_);
            if (is_new) ++count_;
            node = edge->second;
        }
        starts_[static_cast<unsigned char>(token.content.front())] = true;
        if (ends_.try_emplace(node, tokens_.size()).second) tokens_.push_back(std::move(token));
    }

    [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }
    [[nodiscard]] std::vector<added_token> const& tokens() const noexcept { return tokens_; }

    /// Calls f(part, token) for the parts of UTF-8 text in order: `token` points to the added token
    /// that the part is, or is null for text between them, which is never empty. With
    /// `special_too` false, special tokens are text, as what they cover would be.
    template <typename F>
    void for_each_part(std::string_view text, bool special_too, F&& f) const {
        added_token const* const none = nullptr;
        std::size_t done = 0, at = 0;
        while (at < text.size()) {
            added_token const* const token = find(text.substr(at));
            if (token == nullptr) {
                ++at;
                continue;
            }
            std::size_t begin = at;
            std::size_t const end = at + token->content.size();
            at = end;
            if ((token->special && !special_too) || begin < done) continue;
            if (token->strips_left)
                begin = done + detail::without_space_at_end(text.substr(done, begin - done)).size();
            if (token->strips_right)
                while (std::size_t const space = detail::white_space_at_start(text.substr(at)))
                    at += space;
            if (begin > done) f(text.substr(done, begin - done), none);
            f(text.substr(begin, at - begin), token);
            done = at;
        }
        if (done < text.size()) f(text.substr(done), none);
    }

  private:
    static std::uint64_t key(std::uint32_t node, char c) noexcept {
        return std::uint64_t{node} << 8 | static_cast<unsigned char>(c);
    }

    /// The longest token at the start of `text`.
    [[nodiscard]] added_token const* find(std::string_view text) const noexcept {
        if (!starts_[static_cast<unsigned char>(text.front())]) return nullptr;
        added_token const* longest = nullptr;
        std::uint32_t node = 0;
        for (char const c : text) {
            auto const edge = edges_.find(key(node, c));
            if (edge == edges_.end()) break;
            node = edge->second;
            if (auto const end = ends_.find(node); end != ends_.end())
                longest = &tokens_[end->second];
        }
        return longest;
    }

    std::vector<added_token> tokens_;
    // A tree of bytes: an edge leads from a node by a byte to a node; tokens end at nodes.
    std::unordered_map<std::uint64_t, std::uint32_t> edges_;
    std::unordered_map<std::uint32_t, std::size_t> ends_;
    std::uint32_t count_ = 1;
    std::array<bool, 256> starts_{};
};

static_assert(detail::white_space_at_start("\u3000x") == 3);
static_assert(detail::white_space_at_start("\u180ex") == 0, "no space since Unicode 6.3");
static_assert(detail::without_space_at_end("a \u00a0\n") == "a");

}  // namespace qtk
