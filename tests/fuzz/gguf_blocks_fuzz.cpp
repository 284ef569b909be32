// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the blocks of any GGUF type: a refusal of the type, or every instruction set decodes them to
// the same bits, and multiplies them with int8 activations to the same bits.
#include <qtk/kernel/gguf_product.hpp>

#include "kernel_input.hpp"
#include <cmath>

namespace {

std::vector<float> product_on(qtk::instruction_set isa, qtk::gguf_view const& w,
                              std::vector<float> const& x, std::size_t rows,
                              qtk::activation_type type) {
    std::vector<float> y(rows * w.rows);
    qtk::detail::checked_gguf_product(isa, w, qtk::matrix_view<float const>(x.data(), rows, w.cols),
                                      qtk::matrix_view<float>(y.data(), rows, w.rows),
                                      {.activations = type, .static_scale = 0.02f});
    return y;
}

/// Float sums in any order lie within the bound that gguf_scalar.hpp states, where nothing is near overflow.
void check_floats(qtk::gguf_view const& w, std::vector<float> const& decoded,
                  std::vector<float> const& x, std::size_t rows, std::vector<float> const& y) {
    for (std::size_t m = 0; m < rows; ++m)
        for (std::size_t n = 0; n < w.rows; ++n) {
            double sum = 0.0, magnitude = 0.0;
            for (std::size_t k = 0; k < w.cols; ++k) {
                double const part = static_cast<double>(decoded[n * w.cols + k]) *
                                    static_cast<double>(x[m * w.cols + k]);
                sum += part;
                magnitude += std::fabs(part);
            }
            if (!(magnitude < 1e37)) continue;
            double const bound = static_cast<double>(w.cols + 8) * (0x1p-23 * magnitude + 0x1p-149);
            fuzz::require(std::fabs(static_cast<double>(y[m * w.rows + n]) - sum) <= bound);
        }
}

}  // namespace

QTK_FUZZ_TARGET(gguf_blocks) {
    fuzz::cursor in(data, size);
    auto const& entry = qtk::known_gguf_types[in.below(qtk::known_gguf_types.size())];
    std::size_t const rows = 1 + in.below(3), activations = 1 + in.below(2);
    std::size_t const cols = entry.values * (1 + in.below(entry.values == 1 ? 100 : 3));
    auto const bytes = in.bytes(rows * (cols / entry.values) * entry.bytes);
    qtk::gguf_view const w{entry.type, bytes, rows, cols};
    if (!qtk::has_gguf_decoder(entry.type)) {
        try {
            qtk::require_gguf(w);
        } catch (qtk::value_error const&) {
            return 0;
        }
        fuzz::require(false);
    }
    qtk::require_gguf(w);
    std::vector<float> decoded(rows * cols), found(rows * cols), x(activations * cols);
    for (float& v : x) v = fuzz::plain_float(in);
    for (std::size_t r = 0; r < rows; ++r)
        qtk::decode_gguf_row(w, r, std::span(decoded).subspan(r * cols, cols));
    for (qtk::instruction_set const isa : fuzz::usable_sets()) {
        for (std::size_t r = 0; r < rows; ++r)
            qtk::detail::decode_gguf_piece_on(isa, w, r, 0, cols, found.data() + r * cols);
        fuzz::require(fuzz::is_same(found, decoded));
        check_floats(w, decoded, x, activations,
                     product_on(isa, w, x, activations, qtk::activation_type::f32));
    }
    if (!qtk::has_int8_kernel(entry.type)) return 0;
    for (auto const type : {qtk::activation_type::a8_row, qtk::activation_type::a8_group,
                            qtk::activation_type::a8_static}) {
        auto const meaning = product_on(qtk::instruction_set::scalar, w, x, activations, type);
        for (qtk::instruction_set const isa : fuzz::usable_sets())
            fuzz::require(fuzz::is_same(product_on(isa, w, x, activations, type), meaning));
    }
    return 0;
}
