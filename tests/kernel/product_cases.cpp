// SPDX-License-Identifier: Apache-2.0
//
// The one file of the room's helpers that compiles every kernel.
#include "product_cases.hpp"

#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>

namespace cases {

product::product(qtk::scheme const& s, product_shape size)
    : shape(size),
      weights(random_qmatrix(s, size.n, size.k, 17 + size.m)),
      packed(qtk::prepack(weights)),
      x(qtk::gaussian_vector(size.m * size.k, 23 + size.n)),
      decoded(size.n * size.k),
      level(qtk::levels_of(s.element)) {
    qtk::decode_rows(weights, 0, size.n, decoded.data());
}

std::vector<float> product::on(qtk::instruction_set isa,
                               qtk::product_options const& options) const {
    std::vector<float> y(shape.m * shape.n, -1.0f);
    qtk::detail::checked_product(isa, packed,
                                 qtk::matrix_view<float const>(x.data(), shape.m, shape.k),
                                 qtk::matrix_view<float>(y.data(), shape.m, shape.n), options);
    return y;
}

}  // namespace cases
