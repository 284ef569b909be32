// SPDX-License-Identifier: Apache-2.0
//
// How is a method written on a command line, in a recipe, in a table? Steps joined by `+`, in this order,
// options of a step behind `:`
//
//   smooth[:ALPHA | :search][:inputs]     awq[:duo][:layers][:noclip][:inputs]     rotate[:SEED]
//   rtn | mse | hqq | imatrix | outliers[:SHARE]
//   gptq[:act][:fixed][:mse][:sequential][:damp=X]
//   adaround | brecq[:fisher=WINDOWS] | autoround[:layer] | omniquant[:layer]      each [:steps=N][:mse]
//   bias
//
// e.g. gptq, awq+gptq, smooth:0.8+rtn, rotate+gptq:mse+bias. Without a step that finds codes it is rtn:
// "awq" is AWQ as published.
#pragma once

#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {
namespace detail {

/// Reads one method; all refusals show the whole text.
class method_parser {
  public:
    explicit method_parser(std::string_view text) : text_(text) { chain_.name = std::string(text); }

    [[nodiscard]] method_chain parse() {
        for (std::string_view const part : split(text_, '+')) {
            options_ = split(part, ':');
            std::string_view const name = options_.front();
            options_.erase(options_.begin());
            add(name);
            refuse_rest();
        }
        gptq_step const* const gptq = chain_.find<gptq_step>();
        if (gptq != nullptr && chain_.has_transform<rotate_step>() &&
            gptq->options.order == gptq_order::activation &&
            gptq->options.groups == gptq_groups::running)
            throw value_error("method " + quoted(text_) +
                              ": rotated columns cannot be sorted as well. Hint: gptq:act:fixed");
        return std::move(chain_);
    }

  private:
    enum class stage : std::uint8_t { transforms, rounding, end };

    static std::vector<std::string_view> split(std::string_view text, char mark) {
        std::vector<std::string_view> parts;
        while (true) {
            std::size_t const end = std::min(text.find(mark), text.size());
            parts.push_back(text.substr(0, end));
            if (end == text.size()) return parts;
            text.remove_prefix(end + 1);
        }
    }

    [[noreturn]] void fail(std::string const& expected, std::string_view found) const {
        throw value_error("method " + quoted(text_) + ": expected " + expected + ", found " +
                          quoted(found));
    }
    void enter(stage wanted, std::string_view name) {
        bool const is_in_order =
            wanted == stage::transforms ? stage_ == stage::transforms : stage_ < wanted;
        if (!is_in_order)
            fail("smooth, awq and rotate first, then at most one step that finds codes, then bias",
                 name);
        stage_ = wanted;
    }

    /// Takes an option that is a word.
    bool take(std::string_view word) {
        auto const found = std::ranges::find(options_, word);
        if (found == options_.end()) return false;
        options_.erase(found);
        return true;
    }
    /// Takes KEY=VALUE, or VALUE alone for an empty key.
    template <typename T>
    T take_value(std::string_view key, T usual) {
        for (std::size_t i = 0; i < options_.size(); ++i) {
            std::string_view const option = options_[i];
            if (!option.starts_with(key) || option.size() == key.size()) continue;
            T value{};
            char const* const end = option.data() + option.size();
            auto const [stop, failure] = std::from_chars(option.data() + key.size(), end, value);
            if (failure != std::errc{} || stop != end) {
                if (key.empty()) continue;  // a word, for another to take
                fail("a number behind " + std::string(key), option);
            }
            options_.erase(options_.begin() + static_cast<std::ptrdiff_t>(i));
            return value;
        }
        return usual;
    }
    void refuse_rest() const {
        if (!options_.empty())
            fail("an option of the step (see the list of methods)", options_.front());
    }

    void add(std::string_view name) {
        if (name == "smooth") return add_smooth();
        if (name == "awq") return add_awq();
        if (name == "rotate") {
            enter(stage::transforms, name);
            chain_.transforms.emplace_back(rotate_step{take_value<std::uint64_t>("", 0)});
            return;
        }
        if (name == "bias") {
            enter(stage::end, name);
            chain_.corrects_bias = true;
            return;
        }
        rounding_step const step = rounding(name);
        enter(stage::rounding, name);
        chain_.rounding = step;
    }

    void add_smooth() {
        enter(stage::transforms, "smooth");
        smooth_step step;
        if (take("search")) step.options.alpha.reset();
        step.options.changes_inputs = take("inputs");
        if (step.options.alpha) step.options.alpha = take_value<float>("", 0.5f);
        chain_.transforms.emplace_back(step);
    }
    void add_awq() {
        enter(stage::transforms, "awq");
        awq_step step;
        step.options.search.is_duo = take("duo");
        step.options.clips = !take("noclip");
        step.options.changes_inputs = take("inputs");
        if (take("layers")) step.options.judge = awq_judge::layers;
        chain_.transforms.emplace_back(step);
    }

    [[nodiscard]] rounding_step rounding(std::string_view name) {
        if (name == "rtn") return rtn_step{};
        if (name == "mse") return rtn_step{mse_range{}};
        if (name == "hqq") return hqq_step{};
        if (name == "imatrix") return imatrix_step{};
        if (name == "outliers") return outlier_step{take_value<double>("", 0.0)};
        if (name == "gptq") return gptq();
        if (name == "adaround") return learned<adaround_options>(false);
        if (name == "brecq") return learned<adaround_options>(true);
        if (name == "autoround") return learned<auto_round_options>(!take("layer"));
        if (name == "omniquant") return learned<omniquant_options>(!take("layer"));
        fail(
            "rtn, mse, hqq, imatrix, outliers, gptq, adaround, brecq, autoround or omniquant, with "
            "smooth, awq or rotate before it and bias behind it",
            name);
    }
    [[nodiscard]] gptq_step gptq() {
        gptq_step step;
        if (take("act")) step.options.order = gptq_order::activation;
        if (take("fixed")) step.options.groups = gptq_groups::fixed;
        if (take("mse")) step.options.range = mse_range{};
        step.is_sequential = take("sequential");
        step.options.damping = take_value<float>("damp=", step.options.damping);
        return step;
    }
    template <typename Options>
    [[nodiscard]] learned_step<Options> learned(bool is_by_block) {
        learned_step<Options> step;
        step.is_by_block = is_by_block;
        if constexpr (requires { step.options.range; })
            if (take("mse")) step.options.range = mse_range{};
        std::size_t const usual = is_by_block ? step.block.steps : step.options.steps;
        step.options.steps = step.block.steps = take_value<std::size_t>("steps=", usual);
        if (is_by_block) step.fisher_windows = take_value<std::size_t>("fisher=", 0);
        return step;
    }

    std::string_view text_;
    std::vector<std::string_view> options_;
    stage stage_ = stage::transforms;
    method_chain chain_;
};

}  // namespace detail

/// Throws value_error that shows what was expected.
[[nodiscard]] inline method_chain parse_method(std::string_view text) {
    return detail::method_parser(text).parse();
}

}  // namespace qtk
