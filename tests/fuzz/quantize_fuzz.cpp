// SPDX-License-Identifier: Apache-2.0
//
// Any floats under any scheme: a refusal, or codes and scales that every instruction set gives, that fake
// quantization gives without codes, and that lie half a step from the floats where the scheme promises it.
#include <qtk/quantize_any.hpp>

#include "kernel_input.hpp"
#include <cmath>

namespace {

struct matrix_input {
    std::vector<float> values;
    std::size_t rows, cols;
    [[nodiscard]] qtk::matrix_view<float const> view() const { return {values.data(), rows, cols}; }
};

std::vector<float> decoded(qtk::any_qmatrix const& q) {
    std::vector<float> to(q.size());
    qtk::row_decoder(q, qtk::instruction_set::scalar).decode(0, q.rows(), to.data());
    return to;
}

/// Codes of every row again, with the scales of q, on one instruction set.
void check_codes(qtk::instruction_set set, qtk::any_quantizer const& how, matrix_input const& w,
                 qtk::any_qmatrix const& q, std::uint64_t seed) {
    std::vector<qtk::tile_params> params(q.grid().across), fitted(q.grid().across);
    std::vector<std::uint8_t> codes(q.row_bytes());
    bool const is_one_pass = q.grid().rows == 1 && q.scheme().scale != qtk::scale_type::e4m3;
    for (std::size_t r = 0; r < w.rows; ++r) {
        qtk::dither_source const dither{seed, r * w.cols};
        for (std::size_t j = 0; j < params.size(); ++j) params[j] = q.params(r / q.grid().rows, j);
        qtk::encode_row(set, how, params.data(), w.view().row(r), 0, q.grid().cols, true, dither,
                        codes.data());
        fuzz::require(std::ranges::equal(codes, q.row_codes(r)));
        if (!is_one_pass) continue;
        fuzz::require(qtk::quantize_row(set, how, w.view().row(r), q.grid().cols, dither,
                                        fitted.data(), codes.data()));
        fuzz::require(std::ranges::equal(codes, q.row_codes(r)));
        for (std::size_t j = 0; j < params.size(); ++j)
            fuzz::require(fitted[j].scale == params[j].scale && fitted[j].zero == params[j].zero);
    }
}

/// What fake quantization leaves is what the codes decode to.
void check_fake(qtk::instruction_set set, qtk::any_quantizer const& how, matrix_input const& w,
                qtk::any_qmatrix const& q, std::span<float const> expected, std::uint64_t seed) {
    if (q.grid().rows != 1 || q.scheme().scale == qtk::scale_type::e4m3) return;
    qtk::level_rule const rule(q.scheme().element);
    std::vector<qtk::tile_params> params(q.grid().across);
    std::vector<float> row(w.cols);
    for (std::size_t r = 0; r < w.rows; ++r)
        for (bool const is_large : {false, true}) {
            fuzz::require(qtk::fake_quantize_row(set, how, rule, w.view().row(r), q.grid().cols,
                                                 {seed, r * w.cols}, is_large, params.data(),
                                                 row.data()));
            qtk::stream_fence();
            fuzz::require(fuzz::is_same(row, expected.subspan(r * w.cols, w.cols)));
        }
}

/// Half a step where the scale is not rounded; a whole one where the zero is. Where a scale is subnormal
/// its own rounding is larger than that.
void check_error(matrix_input const& w, qtk::any_qmatrix const& q, std::span<float const> back) {
    qtk::scheme const& s = q.scheme();
    if (!s.element.is_integer() || s.scale != qtk::scale_type::f32 ||
        s.round != qtk::rounding::nearest_even)
        return;
    for (std::size_t r = 0; r < w.rows; ++r)
        for (std::size_t c = 0; c < w.cols; ++c) {
            double const scale = static_cast<double>(q.scale(r, c));
            if (scale < 0x1p-100 || scale > 0x1p100) continue;
            double const error = std::fabs(static_cast<double>(w.values[r * w.cols + c]) -
                                           static_cast<double>(back[r * w.cols + c]));
            fuzz::require(error <= (s.has_zero_point() ? 1.0 : 0.5) * scale * 1.0001);
        }
}

}  // namespace

QTK_FUZZ_TARGET(quantize) {
    fuzz::cursor in(data, size);
    auto const s = fuzz::any_scheme(in);
    if (!s) return 0;
    matrix_input w{{}, in.below(5), in.word() % 300u};
    std::uint64_t const seed = in.byte();
    bool const is_wild = in.byte() % 4 == 0;
    for (std::size_t i = 0; i < w.rows * w.cols; ++i)
        w.values.push_back(is_wild ? fuzz::any_float(in) : fuzz::plain_float(in));
    qtk::any_qmatrix q;
    try {
        for (auto const policy :
             {qtk::nonfinite::propagate, qtk::nonfinite::saturate, qtk::nonfinite::zero})
            static_cast<void>(qtk::quantize_any(w.view(), *s, qtk::minmax_range{},
                                                {.on_nonfinite = policy, .seed = seed}));
        q = qtk::quantize_any(w.view(), *s, qtk::minmax_range{}, {.seed = seed});
    } catch (qtk::error const&) {
        return 0;
    }
    qtk::any_quantizer const how(*s, q.tensor_scale());
    auto const back = decoded(q);
    for (qtk::instruction_set const set : fuzz::usable_sets()) {
        check_codes(set, how, w, q, seed);
        check_fake(set, how, w, q, back, seed);
    }
    check_error(w, q, back);
    return 0;
}
