// SPDX-License-Identifier: Apache-2.0
//
// How is a method written on a command line, in a recipe, in a table? Steps joined by `+`, options of a step
// behind `:`, at most one step of each kind, in this order:
//
//   what finds the codes        rtn | mse | gptq[:act][:fixed][:mse][:sequential][:damp=X]
//
//   gptq:act       act-order; with :fixed the scales are fitted before, and columns stay in place
//   gptq:mse       intervals searched by squared error instead of min-max
//   gptq:sequential   layers of a block see what the quantized layers before them make
//
// "rtn" is round to nearest with min-max intervals, "mse" with searched ones.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/method/gptq.hpp>
#include <qtk/method/tile_fit.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

/// Round to nearest.
struct rtn_step {
    tile_range range = minmax_range{};
};
struct gptq_step {
    gptq_options options{.on_failure = gptq_failure::round_to_nearest};
    bool is_sequential = false;
};

struct method_chain {
    std::string name = "rtn";
    std::variant<rtn_step, gptq_step> rounding = rtn_step{};

    template <typename Step>
    [[nodiscard]] Step const* find() const noexcept {
        return std::get_if<Step>(&rounding);
    }
};

namespace detail {

/// "a:b:c" as {a, b, c}.
[[nodiscard]] inline std::vector<std::string_view> split_at(std::string_view text, char mark) {
    std::vector<std::string_view> parts;
    while (true) {
        std::size_t const end = std::min(text.find(mark), text.size());
        parts.push_back(text.substr(0, end));
        if (end == text.size()) return parts;
        text.remove_prefix(end + 1);
    }
}

[[noreturn]] inline void no_such_method(std::string_view text, std::string_view part,
                                        std::string_view expected) {
    throw value_error("method " + quoted(text) + ": expected " + std::string(expected) +
                      ", found " + quoted(part));
}

/// The number of "key=0.5".
[[nodiscard]] inline float number_of(std::string_view text, std::string_view option,
                                     std::size_t key) {
    float value = 0.0f;
    char const* const end = option.data() + option.size();
    auto const [stop, failure] = std::from_chars(option.data() + key, end, value);
    if (failure != std::errc{} || stop != end)
        no_such_method(text, option, "a number behind " + std::string(option.substr(0, key)));
    return value;
}

[[nodiscard]] inline gptq_step parse_gptq(std::string_view text,
                                          std::vector<std::string_view> const& parts) {
    gptq_step step;
    for (std::size_t i = 1; i < parts.size(); ++i) {
        std::string_view const option = parts[i];
        if (option == "act")
            step.options.order = gptq_order::activation;
        else if (option == "fixed")
            step.options.groups = gptq_groups::fixed;
        else if (option == "mse")
            step.options.range = mse_range{.norm = 2.4f};
        else if (option == "sequential")
            step.is_sequential = true;
        else if (option.starts_with("damp="))
            step.options.damping = number_of(text, option, 5);
        else
            no_such_method(text, option, "act, fixed, mse, sequential or damp=NUMBER");
    }
    return step;
}

}  // namespace detail

/// Throws value_error that shows what was expected.
[[nodiscard]] inline method_chain parse_method(std::string_view text) {
    method_chain chain{.name = std::string(text)};
    auto const parts = detail::split_at(text, ':');
    if (parts[0] == "gptq")
        chain.rounding = detail::parse_gptq(text, parts);
    else if (parts[0] == "rtn" || parts[0] == "mse")
        chain.rounding =
            rtn_step{parts[0] == "mse" ? tile_range(mse_range{}) : tile_range(minmax_range{})};
    else
        detail::no_such_method(text, parts[0], "rtn, mse or gptq");
    return chain;
}

}  // namespace qtk
