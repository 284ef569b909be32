// SPDX-License-Identifier: Apache-2.0
//
// What becomes of which tensor? Rules PATTERN=WHAT, of which the first that fits a tensor's name holds:
//
//   *.mlp.*=i4/g128     *embed*=i8/channel     *.layers.0.*=keep
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/format/gguf_type.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace app {

/// `*` stands for any run of characters, `?` for one; everything else for itself.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name) noexcept;

/// As it is in the input.
struct keep_action {
    friend bool operator==(keep_action, keep_action) = default;
};
/// As it is, in blocks of a GGUF type (f32, f16, bf16 among them), or as codes of a scheme.
using tensor_action = std::variant<keep_action, qtk::gguf_type, qtk::scheme>;

[[nodiscard]] std::string to_string(tensor_action const& action);
/// Is it something for matrices alone?
[[nodiscard]] bool is_for_matrices(tensor_action const& action) noexcept;

/// keep, fp32, fp16, bf16 or a scheme. Throws qtk::value_error with what is expected.
[[nodiscard]] tensor_action parse_scheme_action(std::string const& text);
/// keep or the name of a GGUF type that has a quantizer, in lower or upper case. Throws
/// qtk::value_error.
[[nodiscard]] tensor_action parse_type_action(std::string const& text);

/// Calls f(pattern, what) for the rules of the command line, then for those of the file if it has a name: one
/// a line, lines that begin with # and empty ones do not count. Throws qtk::value_error naming the faulty
/// rule, also where f throws one.
void for_each_rule(std::vector<std::string> const& rules, std::string const& file,
                   std::function<void(std::string pattern, std::string const& what)> const& f);

/// Rules whose WHAT is an Action, which has to_string() and is_for_matrices().
template <typename Action>
class recipe {
  public:
    using parser = Action (*)(std::string const&);

    /// Throws like for_each_rule() and `parse`.
    recipe(std::vector<std::string> const& rules, std::string const& file, parser parse) {
        for_each_rule(rules, file, [&](std::string pattern, std::string const& what) {
            rules_.push_back({std::move(pattern), parse(what)});
        });
    }

    /// What the first rule that fits says, null if none does; rules for matrices do not fit other tensors.
    [[nodiscard]] Action const* find(std::string_view name, bool is_matrix) const {
        for (rule const& r : rules_) {
            if ((!is_matrix && is_for_matrices(r.action)) || !matches(r.pattern, name)) continue;
            r.is_used = true;
            return &r.action;
        }
        return nullptr;
    }
    /// Rules that have fitted no tensor so far: most likely a slip of the pen.
    [[nodiscard]] std::vector<std::string> unused() const {
        std::vector<std::string> all;
        for (rule const& r : rules_)
            if (!r.is_used) all.push_back(r.pattern + "=" + to_string(r.action));
        return all;
    }
    /// One line for the file's metadata.
    [[nodiscard]] std::string text() const {
        std::string all;
        for (rule const& r : rules_)
            all += (all.empty() ? "" : " ") + r.pattern + "=" + to_string(r.action);
        return all;
    }

  private:
    struct rule {
        std::string pattern;
        Action action;
        mutable bool is_used = false;
    };
    std::vector<rule> rules_;
};

using tensor_recipe = recipe<tensor_action>;

/// Is this the weight of a linear layer in a block of a network, by its name: does it end in .weight and
/// is one part of it a number?
[[nodiscard]] bool is_block_weight(std::string_view name) noexcept;

}  // namespace app
