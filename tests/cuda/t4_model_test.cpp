// SPDX-License-Identifier: Apache-2.0
#include "../../bench/cuda/t4_model.hpp"

#include <doctest/doctest.h>

namespace {
using namespace qtk_bench;

TEST_CASE("the model gives the roofs of the T4 that were computed by hand") {
    auto const us = [](product_kind const& kind, product_shape const& s) {
        return model_t4(kind, s).us();
    };
    // bytes / 255 GB/s, or operations / 42 TFLOP/s
    CHECK(us(fp16_product, {1, 4096, 4096}) == doctest::Approx(132).epsilon(0.01));
    CHECK(us(w4a16_product, {1, 4096, 4096}) == doctest::Approx(34).epsilon(0.01));
    CHECK(us(w4a16_product, {1, 11008, 4096}) == doctest::Approx(91).epsilon(0.01));
    CHECK(us(w4a16_product, {16, 4096, 4096}) == doctest::Approx(35).epsilon(0.01));
    CHECK(us(w4a16_product, {64, 4096, 4096}) == doctest::Approx(51).epsilon(0.01));
    CHECK(us(w4a16_product, {512, 4096, 4096}) == doctest::Approx(409).epsilon(0.01));
    CHECK(us(fp16_product, {512, 11008, 4096}) == doctest::Approx(1099).epsilon(0.01));
}

TEST_CASE("few rows are a matter of bytes, many of operations") {
    CHECK(model_t4(w4a16_product, {1, 4096, 4096}).is_memory_bound());
    CHECK(model_t4(w4a16_product, {32, 4096, 4096}).is_memory_bound());
    CHECK(!model_t4(w4a16_product, {64, 4096, 4096}).is_memory_bound());
    CHECK(model_t4(w4a8_product, {64, 4096, 4096}).is_memory_bound());
    CHECK(model_t4(w4a4_product, {128, 4096, 4096}).is_memory_bound());
    CHECK(product_shape{2, 3, 4}.text() == "M2/N3/K4");
}
}  // namespace
