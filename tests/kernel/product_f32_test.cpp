// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx512/product_f32.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

// product_test.cpp holds every set against the twin; here: what is exact.
TEST_CASE("several rows are chains of fused products of the decoded weights, for any neighbours") {
    if (!qtk::cpu().avx512) return;
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        for (std::size_t const m : {2u, 5u, 20u}) {
            cases::product const p(s, {m, 70, 300});
            std::vector<float> const y = p.on(qtk::instruction_set::avx512, {});
            for (std::size_t i = 0; i<y.size(); i += m> 16 ? 13 : 1) {
                float sum = 0.0f;
                for (std::size_t k = 0; k < 300; ++k)
                    sum = std::fma(p.x[i / 70 * 300 + k], p.decoded[i % 70 * 300 + k], sum);
                REQUIRE(y[i] == sum);
            }
        }
    }
}

#endif
