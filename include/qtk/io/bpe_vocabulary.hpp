// SPDX-License-Identifier: Apache-2.0
//
// Which tokens has a vocabulary, and which pairs of them join? One table for the notations in which
// byte-pair vocabularies are published: vocab.json with merges.txt, the model of a tokenizer.json
// (merges as "a b" or as ["a", "b"]), and the arrays of a GGUF file. Tokens are kept as they are
// written; what bytes they spell is for the tokenizer that takes the table.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {
/// Hashes strings and views alike, so that a lookup copies nothing.
struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};
template <typename T>
using text_map = std::unordered_map<std::string, T, text_hash, std::equal_to<>>;
}  // namespace detail

/// Tokens by id and ids by token, each once, and the pairs that join, best first. Everything that
/// adds throws io_error naming the file and the token.
class bpe_vocabulary {
  public:
    struct merge {
        std::int32_t left, right, joined;
    };

    /// `name` is the file's, for messages.
    explicit bpe_vocabulary(std::string name, io_limits const& limits = {})
        : name_(std::move(name)), limits_(limits) {}

    /// A token of the model. `added` marks one that only the list of added tokens names: its text
    /// stands for itself and takes no part in merges.
    void add(std::string_view token, std::uint64_t id, bool added = false) {
        auto const refuse = [&](std::string const& what) { throw io_error(name_, what); };
        if (token.empty()) refuse("the token with the id " + std::to_string(id) + " is empty");
        if (token.size() > limits_.token_bytes)
            refuse("token " + qtk::quoted(token, 40) + " has " + std::to_string(token.size()) +
                   " bytes, more than the limit of " + std::to_string(limits_.token_bytes));
        if (id >= limits_.vocabulary)
            refuse("token " + qtk::quoted(token) + ": " + expected_id() + ", found " +
                   std::to_string(id));
        if (find_utf8_fault(token) != std::string_view::npos)
            refuse("token " + qtk::quoted(token) + " with the id " + std::to_string(id) +
                   " is not UTF-8");
        auto const place = static_cast<std::size_t>(id);
        if (place >= tokens_.size()) tokens_.resize(place + 1);
        if (!tokens_[place].empty())
            refuse("the id " + std::to_string(id) + " belongs to both " +
                   qtk::quoted(tokens_[place]) + " and " + qtk::quoted(token));
        auto const [twin, is_new] =
            ids_.try_emplace(std::string(token), static_cast<std::int32_t>(id));
        if (!is_new)
            refuse("token " + qtk::quoted(token) + " has both the ids " +
                   std::to_string(twin->second) + " and " + std::to_string(id));
        tokens_[place] = token;
        if (added) added_.insert(static_cast<std::int32_t>(id));
    }

    /// The members of a JSON object {token: id}.
    void add_object(nlohmann::json const& object) {
        if (!object.is_object())
            throw io_error(name_,
                           "expected an object of tokens and ids, found another kind of JSON");
        if (object.empty()) throw io_error(name_, "the vocabulary has no tokens");
        if (object.size() > limits_.vocabulary)
            throw io_error(name_, std::to_string(object.size()) +
                                      " tokens, more than the limit of " +
                                      std::to_string(limits_.vocabulary));
        for (auto const& [token, id] : object.items()) {
            if (!id.is_number_unsigned())
                throw io_error(name_, "token " + qtk::quoted(token) + ": " + expected_id() +
                                          ", found " + id.dump().substr(0, 40));
            add(token, id.template get<std::uint64_t>());
        }
    }

    /// The lines of a merges.txt, whose first may name its version.
    void add_merge_lines(std::string_view content, std::string const& name) {
        std::size_t line_number = 0, offset = 0;
        while (offset < content.size()) {
            std::string_view const line =
                content.substr(offset, content.find('\n', offset) - offset);
            ++line_number;
            // Only the first line may be the version: "# #" is a pair like any other.
            if (line_number > 1 || !line.starts_with("#version"))
                add_merge(
                    line,
                    [&](std::string const& what) {
                        throw io_error(name, "line " + std::to_string(line_number) + ": " + what,
                                       offset);
                    },
                    ". Hint: do both files come from one model?");
            offset += line.size() + 1;
        }
    }

    /// The elements of a JSON array, each "a b" or ["a", "b"].
    void add_merges(nlohmann::json const& array) {
        if (!array.is_array())
            throw io_error(name_, "merges: expected an array, found another kind of JSON");
        for (std::size_t i = 0; i < array.size(); ++i) {
            auto const& entry = array[i];
            auto const refuse = [&](std::string const& what) { refuse_merge(i, what); };
            if (entry.is_string())
                add_merge(entry.get_ref<std::string const&>(), refuse);
            else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                     entry[1].is_string())
                add_merge(entry[0].get_ref<std::string const&>(),
                          entry[1].get_ref<std::string const&>(), refuse);
            else
                refuse("expected \"a b\" or [\"a\", \"b\"], found " + qtk::quoted(entry.dump()));
        }
    }

    /// Strings "a b", as GGUF has them.
    void add_merge_strings(std::span<std::string_view const> pairs) {
        for (std::size_t i = 0; i < pairs.size(); ++i)
            add_merge(pairs[i], [&](std::string const& what) { refuse_merge(i, what); });
    }

    /// One more than the greatest id.
    [[nodiscard]] std::size_t size() const noexcept { return tokens_.size(); }

    /// The token of an id below size(); empty where no token has the id.
    [[nodiscard]] std::string const& token(std::size_t id) const noexcept { return tokens_[id]; }

    [[nodiscard]] std::optional<std::int32_t> find(std::string_view token) const noexcept {
        auto const found = ids_.find(token);
        return found == ids_.end() ? std::nullopt : std::optional(found->second);
    }

    /// Lets the text of this id stand for itself, as that of an added token does.
    void mark_added(std::int32_t id) { added_.insert(id); }

    /// Whether only the list of added tokens names the token of this id.
    [[nodiscard]] bool is_added(std::size_t id) const noexcept {
        return added_.contains(static_cast<std::int32_t>(id));
    }

    [[nodiscard]] std::vector<merge> const& merges() const noexcept { return merges_; }
    [[nodiscard]] std::string const& name() const noexcept { return name_; }

  private:
    [[nodiscard]] std::string expected_id() const {
        return "expected an id from 0 to " + std::to_string(limits_.vocabulary - 1);
    }

    [[noreturn]] void refuse_merge(std::size_t i, std::string const& what) const {
        throw io_error(name_, "merge " + std::to_string(i) + ": " + what);
    }

    template <typename Refuse>
    void add_merge(std::string_view pair, Refuse const& refuse, std::string_view hint = "") {
        std::size_t const space = pair.find(' ');
        if (space == std::string_view::npos || space == 0 || space + 1 == pair.size() ||
            pair.find(' ', space + 1) != std::string_view::npos)
            refuse("expected two tokens with one space between them, found " + qtk::quoted(pair));
        add_merge(pair.substr(0, space), pair.substr(space + 1), refuse, hint);
    }

    template <typename Refuse>
    void add_merge(std::string_view left, std::string_view right, Refuse const& refuse,
                   std::string_view hint = "") {
        auto const id_of = [&](std::string_view token) {
            auto const id = find(token);
            if (!id) refuse(("the vocabulary has no token " + qtk::quoted(token)).append(hint));
            return *id;
        };
        std::int32_t const left_id = id_of(left), right_id = id_of(right);
        std::string const joined = std::string(left).append(right);
        std::uint64_t const pair = std::uint64_t{static_cast<std::uint32_t>(left_id)} << 32 |
                                   static_cast<std::uint32_t>(right_id);
        std::int32_t const joined_id = id_of(joined);
        if (!pairs_.insert(pair).second)
            refuse("the pair " + qtk::quoted(std::string(left).append(" ").append(right)) +
                   " stands here for the second time");
        merges_.push_back({left_id, right_id, joined_id});
    }

    std::string name_;
    io_limits limits_;
    std::vector<std::string> tokens_;
    detail::text_map<std::int32_t> ids_;
    std::unordered_set<std::int32_t> added_;
    std::vector<merge> merges_;
    std::unordered_set<std::uint64_t> pairs_;
};

}  // namespace qtk
