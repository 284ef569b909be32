// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gguf_activations.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <cmath>

TEST_CASE("every activation for GGUF blocks lies once in its lane, with its scale and sum") {
    for (qtk::gguf_type const type : cases::gguf_types) {
        CAPTURE(qtk::name_of(type));
        qtk::gguf_chunk const chunk = qtk::chunk_of(type);
        std::size_t const k = chunk.values + 256;
        cases::gguf_weights const w(type, 1, k);
        std::vector<float> const x = qtk::gaussian_vector(2 * k, 8);
        qtk::aligned_bytes storage(qtk::gguf_activation_bytes(2, w.view));
        qtk::gguf_activations const a = qtk::gguf_activations_in(
            storage.data(), 2, w.view, qtk::activation_scale::segment, 1.0f);
        for (std::size_t m = 0; m < 2; ++m) {
            qtk::quantize_gguf_row_scalar(x.data() + m * k, m, a);
            for (std::size_t c = 0; c < a.chunks; ++c)
                for (std::size_t lane = 0; lane < 16; ++lane) {
                    std::int32_t all = 0;
                    for (std::size_t t = 0; t < chunk.steps; ++t) {
                        std::int32_t sum = 0;
                        std::size_t const first = c * chunk.values + qtk::piece_of(type, t, lane);
                        for (std::size_t i = 0; i < 16; ++i) {
                            int const code = a.codes(m, c)[(4 * t + i / 4) * 64 + 4 * lane + i % 4];
                            sum += code;
                            float const scale = a.scales(m, c)[lane];
                            float const expected =
                                first < k ? std::nearbyint(x[m * k + first + i] / scale) : 0.0f;
                            REQUIRE(static_cast<float>(code) == expected);
                        }
                        all += sum;
                        if (chunk.sums > 1)
                            REQUIRE(a.sums(m, c)[16 * t + lane] == sum * chunk.offset);
                    }
                    if (chunk.sums == 1) REQUIRE(a.sums(m, c)[lane] == all * chunk.offset);
                }
        }
    }
}
