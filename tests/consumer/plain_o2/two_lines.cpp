// SPDX-License-Identifier: Apache-2.0
//
// Two lines of qtk in a program without any -m flag: which instruction set multiplies?
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/quantize.hpp>

#include <cstdio>
#include <string>
#include <vector>

int main() {
    std::vector<float> const weight(64 * 256, 0.5f), x(256, 1.0f);
    std::vector<float> y(64);
    try {
        auto const w = qtk::prepack(qtk::quantize<qtk::scheme{.element = qtk::i4}>(
            qtk::matrix_view<float const>(weight.data(), 64, 256)));
        qtk::gemv(w, x, y, {.activations = qtk::activation_type::a8_row});
        std::printf("%s %g\n", std::string(qtk::isa()).c_str(), static_cast<double>(y[63]));
    } catch (qtk::error const& e) {
        std::printf("%s\n", e.what());
        return 2;
    }
}
