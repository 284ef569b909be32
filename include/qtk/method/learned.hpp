// SPDX-License-Identifier: Apache-2.0
//
// What is a quantization that is learned? Weights that can be asked for at any time, moved along the
// gradient of a loss, and turned into codes in the end. Whose loss it is does not matter: of one
// layer (layer_reconstruction.hpp) or of a whole block.
//
// Schemes: integers, symmetric or not, with scales of one level. Tiles have one row where scales are learned;
// where they stay, a tile may have several rows, or be the whole weight.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/method/rtn.hpp>
#include <qtk/method/tile_fit.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {
[[nodiscard]] inline float sigmoid(float a) noexcept {
    return 1.0f / (1.0f + fast_exp(-a));
}
}  // namespace detail

inline namespace QTK_ABI_NS {

/// Which tiles a learned quantization can work with: rows are worked on by several threads.
enum class learnable_tiles : std::uint8_t { of_one_row, of_any_height };

/// The weight, its tiles, and codes from values in units of the scale: what learned quantizations share.
class code_grid {
  public:
    /// Copies w, [out, in]. Throws value_error for another scheme than those above, nonfinite_error
    /// for NaN or infinity, which no policy replaces here.
    code_grid(scheme const& s, matrix_view<float const> w, quantize_options const& options,
              learnable_tiles tiles = learnable_tiles::of_one_row)
        : scheme_(require_learnable(s, options.name, tiles)),
          quantizer_(s),
          tiles_(s.grain, w.rows, w.cols),
          weight_(w.rows, w.cols),
          name_(options.name) {
        nonfinite_scan const found = find_nonfinite(w);
        if (found.count > 0)
            throw nonfinite_error(
                name_ + ": learning needs finite weights, found " + std::to_string(found.count) +
                    " NaN or infinite, the first at index " + std::to_string(found.first),
                found.count, found.first);
        for (std::size_t r = 0; r < w.rows; ++r)
            std::ranges::copy(w.row(r), weight_.view().row(r).begin());
    }

    [[nodiscard]] any_quantizer const& quantizer() const noexcept { return quantizer_; }
    [[nodiscard]] tile_grid const& tiles() const noexcept { return tiles_; }
    [[nodiscard]] matrix_view<float const> weight() const noexcept { return weight_.view(); }

    /// f(tile, first column, width) for the tiles of row r.
    template <typename F>
    void for_each_tile(std::size_t r, F const& f) const {
        for (std::size_t j = 0; j < tiles_.across; ++j)
            f(r / tiles_.rows * tiles_.across + j, j * tiles_.cols, tiles_.width(j));
    }
    /// f(r) for every row, on several threads.
    template <typename F>
    void for_each_row(F const& f) const {
        constexpr std::size_t nanoseconds_a_weight = 8;
        parallel_for(tiles_.matrix_rows, nanoseconds_a_weight * weight_.view().size(), f);
    }

    /// Scale and zero of every tile. Throws value_error if a scale does not fit its type.
    [[nodiscard]] std::vector<tile_params> fit(tile_range const& range = minmax_range{}) const {
        return fit_tiles(scheme_, weight(), quantizer_, range, name_.c_str());
    }

    /// The field of v, in units of the scale and counted from zero.
    [[nodiscard]] std::uint8_t field(float v, tile_params p) const noexcept {
        return quantizer_.encode(v, {1.0f, p.zero});
    }
    /// The codes of value(r, c, params of the tile), in units of the scale and counted from zero.
    template <typename V>
    [[nodiscard]] any_qmatrix pack(std::span<tile_params const> params, V const& value) const {
        any_qmatrix result(scheme_, tiles_.matrix_rows, tiles_.matrix_cols);
        result.set_params(params);
        for_each_row([&](std::size_t r) {
            std::vector<std::uint8_t> fields(tiles_.matrix_cols);
            for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
                for (std::size_t c = first; c < first + width; ++c)
                    fields[c] = field(value(r, c, params[tile]), params[tile]);
            });
            result.set_row(r, fields);
        });
        return result;
    }
    /// Round to nearest.
    [[nodiscard]] any_qmatrix nearest() const {
        return pack(fit(), [&](std::size_t r, std::size_t c, tile_params p) {
            return weight_(r, c) / p.scale;
        });
    }

  private:
    static scheme const& require_learnable(scheme const& s, char const* name,
                                           learnable_tiles tiles) {
        bool const has_tiles = tiles == learnable_tiles::of_any_height || s.grain.rows == 1;
        if (fault_of(s) == nullptr && s.element.is_integer() && has_tiles &&
            s.scale != scale_type::e4m3 && s.round != rounding::stochastic)
            return s;
        throw value_error(std::string(name) + ": learning needs integers, " +
                          (tiles == learnable_tiles::of_one_row ? "tiles of one row, " : "") +
                          "scales of one level and rounding to nearest, found " + to_string(s) +
                          ". Hint: for example i4/g64/asym");
    }

    scheme scheme_;
    any_quantizer quantizer_;
    tile_grid tiles_;
    matrix weight_;
    std::string name_;
};

}  // namespace QTK_ABI_NS

/// grid()     what the codes lie on; round to nearest, to compare with
/// weights()  [out, in], what the layer would multiply by now
/// step(g, p) goes against g = dL/dW' [out, in]; p in [0, 1) says how much of the time is over. L is in
///            units in which round to nearest has the loss 1 a weight; only terms of one's own that are
///            added to L need to know
/// finish()   the codes; from then on weights() are, bit for bit, what they decode to
template <typename L>
concept learned_quantization = requires(L learned, L const& fixed,
                                        matrix_view<float const> gradient, double progress) {
    { fixed.grid() } -> std::same_as<code_grid const&>;
    { fixed.weights() } -> std::same_as<matrix_view<float const>>;
    learned.step(gradient, progress);
    { learned.finish() } -> std::same_as<any_qmatrix>;
};

/// One whose weights are on the grid all the time, so that their loss is that of the codes: finish()
/// gives those with the least loss it was told of, the latest if of none.
template <typename L>
concept best_keeping = learned_quantization<L> && requires(L learned, double loss) {
    learned.keep_if_best(loss);
};

}  // namespace qtk
