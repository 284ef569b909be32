// SPDX-License-Identifier: Apache-2.0
//
// How much of this figure is luck of the text? The percentile bootstrap (Efron and Tibshirani 1993,
// chapter 13): draw as many windows as there are, with replacement, compute the figure again, and
// report the middle of what comes out. Windows are drawn within their stratum (a language), because
// the set of languages is chosen, not drawn. Few windows make the interval too narrow: at 8 in one
// stratum, a 95 % interval of a mean covers about 90 %.
//
// Resample r draws from a generator of its own, made from (seed, r): the same interval on every
// platform and for every order of work.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// A figure and the interval around it.
struct interval_estimate {
    double value = 0.0, low = 0.0, high = 0.0;
    friend constexpr bool operator==(interval_estimate const&, interval_estimate const&) = default;
};

struct bootstrap_options {
    std::size_t resamples = 10000;
    double level = 0.95;
    std::uint64_t seed = 0;
};

/// Values of windows, one sequence a stratum.
using strata_view = std::span<std::vector<double> const>;

/// A figure of one sample.
template <typename F>
concept sample_statistic = requires(F const& figure, std::span<double const> sample) {
    { figure(sample) } -> std::convertible_to<double>;
};
/// A figure of a sample in strata.
template <typename F>
concept strata_statistic = requires(F const& figure, strata_view strata) {
    { figure(strata) } -> std::convertible_to<double>;
};

/// The perplexity over all languages: the geometric mean of exp(mean negative log-likelihood), one
/// stratum a language, one value a window of equally many predictions.
struct geometric_mean_perplexity {
    [[nodiscard]] double operator()(strata_view mean_nll_by_window) const {
        std::vector<double> log_perplexities;
        for (auto const& language : mean_nll_by_window) log_perplexities.push_back(mean(language));
        return std::exp(mean(log_perplexities));
    }
};
static_assert(strata_statistic<geometric_mean_perplexity>);

namespace detail {

inline void require_bootstrap(strata_view strata, bootstrap_options const& how) {
    if (strata.empty()) throw value_error("bootstrap: there are no strata to draw from");
    for (std::size_t s = 0; s < strata.size(); ++s)
        if (strata[s].empty())
            throw value_error("bootstrap: stratum " + std::to_string(s) + " has no values");
    if (how.resamples == 0) throw value_error("bootstrap: 0 resamples; expected at least one");
    if (!(how.level > 0.0 && how.level < 1.0))
        throw value_error("bootstrap: a level of " + std::to_string(how.level) +
                          "; expected one between 0 and 1, such as 0.95");
}

/// Draws the windows of resample r: `take(s, to, from)` for each place `to` of stratum s.
template <typename Take>
void draw_windows(strata_view strata, std::uint64_t seed, std::size_t r, Take take) {
    splitmix64 random(word_at(seed, r));
    for (std::size_t s = 0; s < strata.size(); ++s)
        for (std::size_t to = 0; to < strata[s].size(); ++to)
            take(s, to, static_cast<std::size_t>(uniform_index(random, strata[s].size())));
}

[[nodiscard]] inline interval_estimate middle_of(double value, std::vector<double>& figures,
                                                 double level) {
    double const tail = (1.0 - level) / 2.0;
    return {value, quantile(figures, tail), quantile(figures, 1.0 - tail)};
}

}  // namespace detail

/// The interval of `statistic` when windows are drawn within each stratum. One window in every
/// stratum gives an interval without width, which means "unknown", not "exact".
template <strata_statistic F>
[[nodiscard]] interval_estimate stratified_bootstrap(strata_view strata, F const& statistic,
                                                     bootstrap_options const& how = {}) {
    detail::require_bootstrap(strata, how);
    std::vector<std::vector<double>> drawn(strata.begin(), strata.end());
    std::vector<double> figures(how.resamples);
    for (std::size_t r = 0; r < how.resamples; ++r) {
        detail::draw_windows(strata, how.seed, r,
                             [&](std::size_t s, std::size_t to, std::size_t from) {
                                 drawn[s][to] = strata[s][from];
                             });
        figures[r] = static_cast<double>(statistic(drawn));
    }
    return detail::middle_of(static_cast<double>(statistic(strata)), figures, how.level);
}

/// The interval of a figure of one sample: `bootstrap(losses, mean)`.
template <sample_statistic F>
[[nodiscard]] interval_estimate bootstrap(std::span<double const> values, F const& statistic,
                                          bootstrap_options const& how = {}) {
    std::vector<double> const only(values.begin(), values.end());
    return stratified_bootstrap(
        std::span(&only, 1),
        [&](strata_view strata) { return statistic(std::span<double const>(strata[0])); }, how);
}

/// The interval of `combine(statistic(a), statistic(b))` when both were measured on the same
/// windows: `std::minus{}` for a difference, `std::divides{}` for a ratio. Each resample draws the
/// same windows for both, so that what the windows have in common cancels. shape_error where a and
/// b do not have the same windows.
template <strata_statistic F, std::invocable<double, double> Combine>
[[nodiscard]] interval_estimate paired_bootstrap(strata_view a, strata_view b, F const& statistic,
                                                 Combine const& combine,
                                                 bootstrap_options const& how = {}) {
    detail::require_bootstrap(a, how);
    if (a.size() != b.size())
        throw shape_error("paired bootstrap: " + std::to_string(a.size()) + " strata against " +
                          std::to_string(b.size()));
    for (std::size_t s = 0; s < a.size(); ++s)
        if (a[s].size() != b[s].size())
            throw shape_error("paired bootstrap: stratum " + std::to_string(s) + " has " +
                              std::to_string(a[s].size()) + " values against " +
                              std::to_string(b[s].size()) + "; both must be of the same windows");

    auto const figure = [&](strata_view x, strata_view y) {
        return static_cast<double>(std::invoke(combine, static_cast<double>(statistic(x)),
                                               static_cast<double>(statistic(y))));
    };
    std::vector<std::vector<double>> drawn_a(a.begin(), a.end()), drawn_b(b.begin(), b.end());
    std::vector<double> figures(how.resamples);
    for (std::size_t r = 0; r < how.resamples; ++r) {
        detail::draw_windows(a, how.seed, r, [&](std::size_t s, std::size_t to, std::size_t from) {
            drawn_a[s][to] = a[s][from];
            drawn_b[s][to] = b[s][from];
        });
        figures[r] = figure(drawn_a, drawn_b);
    }
    return detail::middle_of(figure(a, b), figures, how.level);
}

}  // namespace qtk
