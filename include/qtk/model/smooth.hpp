// SPDX-License-Identifier: Apache-2.0
//
// How are the activations of a whole block made easy to round? SmoothQuant (method/smooth_quant.hpp) at
// every place where factors pass through the block (fold.hpp): the block computes the same, and int8
// products lose less.
//
// Differs from the paper: not only the norms take factors but also the layers that feed other layers
// without a function in between (values, the branch beside a gate, ReLU); where heads share values they
// share the factors of their largest inputs and weights.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/method/smooth_quant.hpp>
#include <qtk/model/block_statistics.hpp>
#include <qtk/model/calibrate.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/fold.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct smooth_options {
    std::optional<float> alpha = 0.5f;  ///< Without one the best of a grid.
    int steps = 20;                     ///< of the grid: 0, 1/steps, ..., 1
    smoothed_schemes schemes = {};      ///< what the grid is judged with
    std::size_t kept_rows = 256;        ///< on which
    std::uint64_t seed = 0;             ///< of these rows
    bool changes_inputs = false;        ///< Also where a layer has to divide its own input.
};

/// What was done at one place; `layer` is the first that reads the smoothed channels.
struct smoothed_fold {
    std::string layer;
    smoothing found;  ///< the errors are 0 where alpha was given
};

namespace detail {

/// The floats of the layers that a fold feeds.
class consumer_weights {
  public:
    explicit consumer_weights(fold const& at) {
        floats_.reserve(at.consumers.size());
        for (linear const* const layer : at.consumers) floats_.push_back(layer->form().floats());
        for (matrix const& w : floats_) views_.push_back(w.view());
    }
    [[nodiscard]] std::span<matrix_view<float const> const> views() const noexcept {
        return views_;
    }

  private:
    std::vector<matrix> floats_;
    std::vector<matrix_view<float const>> views_;
};

[[nodiscard]] inline smoothing smoothing_of(fold const& at, input_statistics const& seen,
                                            smooth_options const& options) {
    consumer_weights const weights(at);
    std::vector<float> const inputs = channel_maxima(at, seen.abs_max());
    std::vector<float> const columns = channel_maxima(at, column_maxima(weights.views()));
    if (options.alpha)
        return {.alpha = *options.alpha,
                .factors = smoothing_factors(inputs, columns, *options.alpha)};
    return search_smoothing(inputs, columns, options.steps, [&](std::span<float const> t) {
        return smoothed_error(options.schemes, seen.rows(), weights.views(), column_factors(at, t));
    });
}

}  // namespace detail

/// Smooths the block that comes next in the stream, whose outputs stay what they were, up to rounding.
/// Throws value_error if there is none, for an alpha outside [0, 1] and for layers that are quantized or
/// change their input.
inline std::vector<smoothed_fold> smooth_block(decoder& model, calibration_stream const& stream,
                                               smooth_options const& options = {}) {
    block_statistics const seen(model, stream,
                                {.has_hessian = false,
                                 .kept_rows = options.alpha ? 0 : options.kept_rows,
                                 .seed = options.seed});
    std::vector<smoothed_fold> done;
    model.for_each_fold_of(stream.block(), [&](fold const& at) {
        if (!at.is_free() && !options.changes_inputs) return;
        linear const& first = *at.consumers.front();
        smoothing found = detail::smoothing_of(at, seen.of(first), options);
        apply_fold(at, found.factors);
        done.push_back({first.name(), std::move(found)});
    });
    return done;
}

}  // namespace qtk
