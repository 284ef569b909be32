// SPDX-License-Identifier: Apache-2.0
//
// What does quantization add to the mean of every output, and how is it taken back? The expected output
// of a layer moves by (W' - W) E[x], which is known from the mean input; its bias b takes it back:
//
//   b += (W - W') E[x]                          [out] = [out, in] [in]
//
// Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction", section
// 4.2; Finkelstein et al. 2019, "Fighting Quantization Bias with Bias". Empirical: E[x] is what
// calibration has measured (input_statistics::mean), at the input of the layer as it will run.
//
// Differs from the papers: nothing is derived from the constants of a normalization before the layer.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/parallel.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {
namespace detail {
inline namespace QTK_ABI_NS {

/// `row(r, scratch)` is row r of W'.
template <typename Row>
[[nodiscard]] std::vector<float> bias_correction_of(matrix_view<float const> w, std::size_t rows,
                                                    std::size_t cols, std::span<float const> mean,
                                                    Row const& row) {
    if (w.rows != rows || w.cols != cols || mean.size() != w.cols)
        throw shape_error("bias correction: the weight is " + std::to_string(w.rows) + " x " +
                          std::to_string(w.cols) + ", the quantized one " + std::to_string(rows) +
                          " x " + std::to_string(cols) + ", and there are " +
                          std::to_string(mean.size()) +
                          " means; expected equal shapes and a mean " + "for every column");
    require_finite(find_nonfinite(mean), "bias correction: the mean input", 0);
    std::vector<float> correction(w.rows);
    parallel_for(w.rows, w.size(), [&](std::size_t r) {
        std::vector<float> scratch(w.cols);
        std::span<float const> const exact = w.row(r), left = row(r, scratch);
        double sum = 0.0;
        for (std::size_t c = 0; c < w.cols; ++c)
            sum += (static_cast<double>(exact[c]) - static_cast<double>(left[c])) *
                   static_cast<double>(mean[c]);
        correction[r] = static_cast<float>(sum);
    });
    return correction;
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// (W - W') E[x], [out], to be added to the bias of the quantized layer: `w` is the float weight [out,
/// in], `q` its quantized form, `mean` the mean input [in]. Throws shape_error if these do not fit,
/// nonfinite_error for a mean that is no number.
[[nodiscard]] inline std::vector<float> bias_correction(matrix_view<float const> w,
                                                        any_qmatrix const& q,
                                                        std::span<float const> mean) {
    return detail::bias_correction_of(w, q.rows(), q.cols(), mean,
                                      [&](std::size_t r, std::vector<float>& scratch) {
                                          decode_rows(q, r, 1, scratch.data());
                                          return std::span<float const>(scratch);
                                      });
}

/// The same for a W' that is floats again, whatever format it went through.
[[nodiscard]] inline std::vector<float> bias_correction(matrix_view<float const> w,
                                                        matrix_view<float const> decoded,
                                                        std::span<float const> mean) {
    return detail::bias_correction_of(
        w, decoded.rows, decoded.cols, mean,
        [&](std::size_t r, std::vector<float>&) { return decoded.row(r); });
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
