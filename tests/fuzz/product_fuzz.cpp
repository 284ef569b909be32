// SPDX-License-Identifier: Apache-2.0
//
// Any codes and any activations: the packed stream goes back to the codes, is the same on every instruction
// set, and so are products with int8 activations; float products lie within the bound that is stated.
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>

#include "kernel_input.hpp"
#include <cmath>

namespace {

std::vector<float> product_on(qtk::instruction_set isa, qtk::packed_matrix const& w,
                              std::vector<float> const& x, std::size_t rows,
                              qtk::activation_type type) {
    std::vector<float> y(rows * w.rows(), -1.0f);
    qtk::detail::checked_product(isa, w, qtk::matrix_view<float const>(x.data(), rows, w.cols()),
                                 qtk::matrix_view<float>(y.data(), rows, w.rows()),
                                 {.activations = type, .static_scale = 0.02f});
    return y;
}

/// The bound of product_scalar.hpp for float activations.
std::vector<double> bounds_of(qtk::any_qmatrix const& q, qtk::packed_matrix const& w,
                              std::vector<float> const& x, std::size_t rows) {
    auto const level = qtk::levels_of(q.scheme().element);
    bool const is_integer = q.scheme().element.is_integer();
    std::vector<double> all(rows * q.rows());
    for (std::size_t n = 0; n < q.rows(); ++n)
        for (std::size_t k = 0; k < q.cols(); ++k) {
            qtk::tile_params const p = q.params(n / q.grid().rows, k / q.grid().cols);
            double const weight =
                (std::fabs(static_cast<double>(level[q.field(n, k)])) + (is_integer ? p.zero : 0)) *
                static_cast<double>(p.scale);
            for (std::size_t m = 0; m < rows; ++m)
                all[m * q.rows() + n] +=
                    std::fabs(static_cast<double>(x[m * q.cols() + k])) * weight;
        }
    for (double& bound : all) bound *= static_cast<double>(w.view().layout.depth() + 4) * 0x1p-23;
    return all;
}

}  // namespace

QTK_FUZZ_TARGET(product) {
    fuzz::cursor in(data, size);
    auto s = fuzz::any_scheme(in);
    if (!s) return 0;
    std::size_t const rows = 1 + in.below(70), cols = 1 + in.word() % 300u, m = 1 + in.below(6);
    qtk::any_qmatrix q(*s, rows, cols);
    std::vector<qtk::tile_params> params(q.grid().count());
    for (auto& p : params)
        p = {qtk::rounded_scale(s->scale, 0.01f * static_cast<float>(1 + in.byte())),
             s->has_zero_point()
                 ? static_cast<int>(in.below(static_cast<std::size_t>(s->element.patterns())))
                 : qtk::symmetric_zero(s->element)};
    q.set_params(params);
    for (std::size_t r = 0; r < rows; ++r) {
        auto fields = in.bytes(cols);
        for (std::uint8_t& field : fields) {
            field &= static_cast<std::uint8_t>(s->element.patterns() - 1);
            // Infinity and NaN are not weights.
            if (s->element.kind == qtk::numeral::minifloat &&
                (field & (s->element.patterns() / 2 - 1)) > qtk::minifloat_top(s->element))
                field = 0;
        }
        q.set_row(r, fields);
    }
    std::vector<float> x(m * cols);
    for (float& v : x) v = fuzz::plain_float(in);

    auto const packed = qtk::detail::prepack_on(qtk::instruction_set::scalar, qtk::qmatrix_view(q));
    std::span<std::uint8_t const> const stream(packed.view().data, packed.view().layout.bytes);
    for (qtk::instruction_set const isa : fuzz::usable_sets()) {
        auto const other = qtk::detail::prepack_on(isa, qtk::qmatrix_view(q));
        fuzz::require(std::ranges::equal(
            stream, std::span<std::uint8_t const>(other.view().data, other.view().layout.bytes)));
        fuzz::require(qtk::detail::unpack_on(isa, packed) == q);
    }
    auto const floats =
        product_on(qtk::instruction_set::scalar, packed, x, m, qtk::activation_type::f32);
    auto const bounds = bounds_of(q, packed, x, m);
    for (qtk::instruction_set const isa : fuzz::usable_sets()) {
        auto const y = product_on(isa, packed, x, m, qtk::activation_type::f32);
        for (std::size_t i = 0; i < y.size(); ++i)
            fuzz::require(std::fabs(static_cast<double>(y[i]) - static_cast<double>(floats[i])) <=
                          bounds[i]);
    }
    if (!qtk::has_integer_levels(s->element)) return 0;
    for (auto const type : {qtk::activation_type::a8_row, qtk::activation_type::a8_group,
                            qtk::activation_type::a8_static}) {
        auto const meaning = product_on(qtk::instruction_set::scalar, packed, x, m, type);
        for (qtk::instruction_set const isa : fuzz::usable_sets())
            fuzz::require(fuzz::is_same(product_on(isa, packed, x, m, type), meaning));
    }
    return 0;
}
