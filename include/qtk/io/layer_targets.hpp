// SPDX-License-Identifier: Apache-2.0
//
// Which layers does an entry of a quantization_config mean? A list of targets, each the name of a layer, `re:`
// and a regular expression that names begin with, or the class of its module, of which networks here have
// one: Linear. Where entries compete, a name is closer than an expression and an expression than a class,
// as in compressed-tensors.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>

#if !defined(PCRE2_CODE_UNIT_WIDTH)
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// How closely an entry fits a layer.
enum class target_match : std::uint8_t { none, by_class, by_pattern, by_name };

class layer_targets {
  public:
    layer_targets() = default;
    /// Throws value_error for an expression that PCRE2 does not take.
    explicit layer_targets(std::vector<std::string> targets) : targets_(std::move(targets)) {
        for (std::string const& target : targets_)
            if (target.starts_with("re:")) patterns_.push_back(compiled(target.substr(3)));
    }

    /// Throws value_error for an expression that needs too many steps.
    [[nodiscard]] target_match match(std::string_view layer) const {
        target_match best = target_match::none;
        std::size_t pattern = 0;
        for (std::string const& target : targets_) {
            target_match found = target_match::none;
            if (target.starts_with("re:")) {
                if (fits(*patterns_[pattern++], layer)) found = target_match::by_pattern;
            } else if (target == layer) {
                found = target_match::by_name;
            } else if (target == "Linear") {
                found = target_match::by_class;
            }
            if (found > best) best = found;
        }
        return best;
    }
    [[nodiscard]] std::vector<std::string> const& texts() const noexcept { return targets_; }

  private:
    using code = std::shared_ptr<pcre2_code_8 const>;

    [[nodiscard]] static code compiled(std::string const& pattern) {
        int fault = 0;
        PCRE2_SIZE at = 0;
        pcre2_code_8* const made =
            pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                            PCRE2_ANCHORED, &fault, &at, nullptr);
        if (made == nullptr) {
            char text[128] = {};
            pcre2_get_error_message_8(fault, reinterpret_cast<PCRE2_UCHAR8*>(text), sizeof text);
            throw value_error("the expression " + qtk::quoted(pattern) +
                              " is faulty at character " + std::to_string(at) + ": " + text);
        }
        return {made,
                [](pcre2_code_8 const* c) { pcre2_code_free_8(const_cast<pcre2_code_8*>(c)); }};
    }
    [[nodiscard]] static bool fits(pcre2_code_8 const& pattern, std::string_view layer) {
        std::unique_ptr<pcre2_match_data_8, decltype(&pcre2_match_data_free_8)> const match(
            pcre2_match_data_create_from_pattern_8(&pattern, nullptr), &pcre2_match_data_free_8);
        std::unique_ptr<pcre2_match_context_8, decltype(&pcre2_match_context_free_8)> const limits(
            pcre2_match_context_create_8(nullptr), &pcre2_match_context_free_8);
        pcre2_set_match_limit_8(limits.get(), 100'000);
        int const found = pcre2_match_8(&pattern, reinterpret_cast<PCRE2_SPTR8>(layer.data()),
                                        layer.size(), 0, 0, match.get(), limits.get());
        if (found < 0 && found != PCRE2_ERROR_NOMATCH)
            throw value_error("an expression needs too many steps for the layer " +
                              qtk::quoted(layer));
        return found >= 0;
    }

    std::vector<std::string> targets_;
    std::vector<code> patterns_;  // one for each target that begins with re:
};

}  // namespace qtk
