// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/gguf_chunk.hpp>
#include <qtk/kernel/avx512/gguf_chunk.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include "product_cases.hpp"

static_assert(qtk::chunk_of(qtk::gguf_type::q4_0).record() == 640 &&
              qtk::chunk_of(qtk::gguf_type::q4_K).record() == 1344);

TEST_CASE("every value of a chunk of GGUF blocks meets its own activation and scale") {
    for (qtk::gguf_type const type : cases::gguf_types) {
        CAPTURE(qtk::name_of(type));
        std::size_t const k = qtk::chunk_of(type).values;
        cases::gguf_weights const w(type, 1, k);
        for (std::size_t at = 0; at < k; ++at) {
            std::vector<float> x(k);
            x[at] = 127.0f;
            qtk::product_options const options{.activations = qtk::activation_type::a8_row};
            std::vector<float> const expected =
                cases::gguf_product_on(qtk::instruction_set::scalar, w.view, x, 1, options);
            for (qtk::instruction_set const isa : cases::usable_isas())
                REQUIRE(
                    cases::same_bits(cases::gguf_product_on(isa, w.view, x, 1, options), expected));
        }
    }
}
