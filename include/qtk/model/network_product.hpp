// SPDX-License-Identifier: Apache-2.0
//
// Which products of matrices does a network compute for one image? Shapes, as memories see them, without
// running it: y [m, n] = x [m, k] W^T [k, n]. The windows of a convolution overlap, so that x has fewer
// distinct values than m k; attention multiplies activations with activations and has no weights.
//
//   layer        m = output pixels or tokens, n = outputs, k = inputs (of a window)
//   scores       m = tokens, n = tokens, k = d        q k^T, once for each head
//   values       m = tokens, n = d,      k = tokens   softmax(scores) v, once for each head
//
// Left out, as no product: norms, activation functions, softmax, pooling, additions.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace qtk {

class vit_attention;

/// Of one image.
struct network_product {
    std::string name;               ///< of the layer, or "blocks.0.attn.scores" and ".values"
    linear const* layer = nullptr;  ///< whose weight is the second operand; null in attention
    vit_attention const* attention = nullptr;  ///< null in layers
    bool is_scores = false;                    ///< of attention: q k^T, not its product with v
    std::size_t m = 1, n = 1, k = 1;
    std::size_t distinct_inputs = 1;  ///< values of x that are not copies of each other
    std::size_t times = 1;            ///< products of this shape, each with other operands: heads

    [[nodiscard]] std::size_t macs() const {
        return checked_mul(times, checked_mul(m, checked_mul(n, k)));
    }
};

/// A layer that is applied to m rows.
[[nodiscard]] inline network_product product_of(linear const& layer, std::size_t m) {
    return {.name = layer.name(),
            .layer = &layer,
            .m = m,
            .n = layer.out(),
            .k = layer.in(),
            .distinct_inputs = checked_mul(m, layer.in())};
}

/// A convolution of an image. Windows that leave pixels out (1 x 1 with a stride) do not fetch them. Throws
/// like convolution::output().
[[nodiscard]] inline network_product product_of(convolution const& layer,
                                                image_shape const& image) {
    network_product product = product_of(layer.layer(), layer.output(image).pixels());
    convolution_window const& window = layer.window();
    auto const seen = [&](std::size_t size, std::size_t kernel) {
        std::size_t const places = (size + 2 * window.padding - kernel) / window.stride + 1;
        return std::min(size, checked_mul(places, kernel));
    };
    product.distinct_inputs = checked_mul(
        image.channels,
        checked_mul(seen(image.height, window.height), seen(image.width, window.width)));
    return product;
}

}  // namespace qtk
