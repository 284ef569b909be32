// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/weights.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace {
qtk::matrix some_floats() {
    qtk::matrix w(5, 7);
    std::ranges::copy(qtk::gaussian_vector(35, 1), w.data());
    return w;
}
}  // namespace

TEST_CASE("halves hold what rounding to 16 bits leaves") {
    qtk::matrix const w = some_floats();
    qtk::matrix const half = qtk::half_weight(w.view(), qtk::gguf_type::f16).floats(),
                      brain = qtk::half_weight(w.view(), qtk::gguf_type::bf16).floats();
    for (std::size_t i = 0; i < 35; ++i) {
        CHECK(half.data()[i] == qtk::f16_to_float(qtk::float_to_f16(w.data()[i])));
        CHECK(brain.data()[i] == qtk::bf16_to_float(qtk::float_to_bf16(w.data()[i])));
    }
    CHECK(qtk::half_weight(w.view(), qtk::gguf_type::f16).bytes() == 70);
}

TEST_CASE("NaN and infinities are found where they lie, in every float type") {
    qtk::matrix w = some_floats();
    for (auto const type : {qtk::gguf_type::f16, qtk::gguf_type::bf16}) {
        qtk::weight_matrix const fine = qtk::half_weight(w.view(), type);
        CHECK(qtk::find_nonfinite(fine.find<qtk::stored_weight>()->blocks).count == 0);
    }
    w(3, 2) = std::numeric_limits<float>::infinity();
    w(4, 6) = std::numeric_limits<float>::quiet_NaN();
    for (auto const type : {qtk::gguf_type::f16, qtk::gguf_type::bf16}) {
        qtk::weight_matrix const bad = qtk::half_weight(w.view(), type);
        auto const found = qtk::find_nonfinite(bad.find<qtk::stored_weight>()->blocks);
        CHECK(found.count == 2);
        CHECK(found.first == 23);
    }
    auto const* const bytes = reinterpret_cast<std::uint8_t const*>(w.data());
    auto const found = qtk::find_nonfinite({qtk::gguf_type::f32, {bytes, 140}, 5, 7});
    CHECK(found.count == 2);
    CHECK(found.first == 23);
}
