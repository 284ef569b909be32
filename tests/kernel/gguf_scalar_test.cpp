// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gguf_scalar.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <cmath>

TEST_CASE("the int8 twin is the product of decoded GGUF weights and rounded activations") {
    for (qtk::gguf_type const type : cases::gguf_types) {
        CAPTURE(qtk::name_of(type));
        std::size_t const k = 768, group = qtk::chunk_of(type).block;
        cases::gguf_weights const w(type, 5, k);
        std::vector<float> const x = qtk::gaussian_vector(2 * k, 4);
        std::vector<float> const y =
            cases::gguf_product_on(qtk::instruction_set::scalar, w.view, x, 2,
                                   {.activations = qtk::activation_type::a8_group});
        for (std::size_t n = 0; n < 5; ++n) {
            std::vector<float> row(k);
            qtk::decode_gguf_row(w.view, n, row);
            for (std::size_t m = 0; m < 2; ++m) {
                double sum = 0.0, magnitude = 0.0;
                for (std::size_t i = 0; i < k; ++i) {
                    float const* const of_group = x.data() + m * k + i / group * group;
                    float largest = 0.0f;
                    for (std::size_t j = 0; j < group; ++j)
                        largest = std::max(largest, std::fabs(of_group[j]));
                    float const scale = largest / 127.0f;
                    double const a =
                        static_cast<double>(qtk::round_half_even(x[m * k + i] / scale) * scale);
                    sum += a * static_cast<double>(row[i]);
                    // Offsets are taken out of the sum: what is rounded may be larger.
                    magnitude += std::fabs(a) * (std::fabs(static_cast<double>(row[i])) + 1.0);
                }
                REQUIRE(std::fabs(static_cast<double>(y[m * 5 + n]) - sum) <= 0x1p-20 * magnitude);
            }
        }
    }
}
