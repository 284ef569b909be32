// SPDX-License-Identifier: Apache-2.0
//
// What if some input columns carry larger activations than others? Round to nearest where an error
// counts as much as its column: for each tile the scale and zero that make
//
//   sum over the tile of importance_j (w_ij - w'_ij)^2,   importance_j = mean x_j^2
//
// small: the expected squared error of the outputs if the inputs of different columns are uncorrelated.
// The idea is the importance matrix of llama.cpp ("imatrix"), here for every scheme: the best of the
// intervals that mse_range tries, then scale and zero by weighted least squares for the codes found,
// again and again while that helps.
//
// Differs from llama.cpp: its block types weigh w_ij^2 too (format/gguf_encode.hpp does as they do); here
// the importance alone counts. Never worse than min-max, nor than mse_range, in this sum. A tile whose
// columns all have importance 0 takes all values as equal.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/method/tile_method.hpp>
#include <qtk/method/tile_search.hpp>
#include <qtk/quantize.hpp>
#include <qtk/range/mse.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

struct imatrix {
    /// mean x_j^2 of every input column, borrowed; empty: all columns count the same.
    std::span<float const> importance;

    /// Throws shape_error if there is another number of columns, value_error for an importance that is
    /// negative or no number, and like round to nearest.
    [[nodiscard]] any_qmatrix quantize(scheme const& s, matrix_view<float const> w,
                                       quantize_options const& options = {}) const {
        require(w, options.name);
        return quantize_tiles(s, w, options, [&](any_quantizer const& q, tile_values const& tile) {
            return fit(q, tile, s.scale == scale_type::e8m0);
        });
    }

  private:
    void require(matrix_view<float const> w, char const* name) const {
        if (!importance.empty() && importance.size() != w.cols)
            throw shape_error("imatrix: " + std::string(name) + " has " + std::to_string(w.cols) +
                              " columns but there are " + std::to_string(importance.size()) +
                              " importances");
        for (std::size_t j = 0; j < importance.size(); ++j)
            if (!(importance[j] >= 0.0f) || is_nonfinite(importance[j]))
                throw value_error("imatrix: the importance of column " + std::to_string(j) +
                                  " is " + std::to_string(importance[j]) +
                                  ", expected a mean square: 0 or more");
    }

    [[nodiscard]] std::vector<double> weights_of(tile_values const& tile) const {
        std::vector<double> weights(tile.values.size(), 1.0);
        if (importance.empty()) return weights;
        double sum = 0.0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            weights[i] = static_cast<double>(importance[tile.column(i)]);
            sum += weights[i];
        }
        if (!(sum > 0.0)) weights.assign(weights.size(), 1.0);
        return weights;
    }

    [[nodiscard]] tile_params fit(any_quantizer const& q, tile_values const& tile,
                                  bool is_power_of_two) const {
        std::span<float const> const x = tile.values;
        std::vector<double> const weights = weights_of(tile);
        auto const weight = [&](std::size_t i) { return weights[i]; };
        auto const cost = [&](std::size_t i, double error) { return weights[i] * error * error; };
        interval const whole = minmax_range{}.estimate(x);
        detail::costed_params best{q.fit(whole)};
        auto const attempt = [&](tile_params p) {
            return best.improve(detail::cost_of(q, x, p, cost, best.cost));
        };
        mse_range const ranges{};
        for (int i = 0; i < ranges.steps; ++i) {
            float const shrink = 1.0f - static_cast<float>(i) / static_cast<float>(ranges.grid);
            attempt(q.fit({whole.lowest * shrink, whole.highest * shrink}));
        }
        // By the rule of OCP the largest values of a tile may clip; the next power of two clips none.
        if (is_power_of_two) attempt(q.fit({2.0f * whole.lowest, 2.0f * whole.highest}));
        constexpr int most_rounds = 8;
        for (int round = 0; round < most_rounds; ++round) {
            tile_params const from = best.p;
            bool is_better = false;
            auto const consider = [&](tile_params p) { is_better = attempt(p) || is_better; };
            if (q.has_zero_point)
                for (tile_params const& line : detail::refitted_lines(q, x, from, weight))
                    consider(line);
            auto const value = [&](std::size_t i) { return static_cast<double>(x[i]); };
            if (auto const p = detail::rescaled(q, x, best.p, weight, value)) consider(*p);
            if (!is_better) break;
        }
        return best.p;
    }
};
static_assert(weight_method<imatrix>);

}  // namespace qtk
