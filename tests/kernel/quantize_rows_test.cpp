// SPDX-License-Identifier: Apache-2.0
//
// quantized_rows_test.cpp compares the bytes on every instruction set; here: the largest magnitude.
#include <qtk/kernel/avx2/quantize_rows.hpp>
#include <qtk/kernel/avx512/quantize_rows.hpp>
#include <qtk/kernel/isa.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <cstring>

#if QTK_HAS_X86

namespace {

template <typename Largest>
void check_largest(Largest const& largest) {
    for (std::size_t const n : cases::odd_lengths)
        for (std::size_t at = 0; at < n; at += n < 70 ? 1 : 37)
            for (float const value : {-9.0f, std::numeric_limits<float>::infinity(),
                                      -std::numeric_limits<float>::quiet_NaN()}) {
                std::vector<float> x = qtk::gaussian_vector(n, 3);
                x[at] = value;
                float const found = largest(x.data(), n);
                float const expected = qtk::detail::largest_bits(x.data(), n);
                REQUIRE(std::memcmp(&found, &expected, sizeof found) == 0);
                REQUIRE((found == 9.0f || !(found - found == 0.0f)));
            }
    CHECK(largest(nullptr, 0) == 0.0f);
}

}  // namespace

TEST_CASE("the largest magnitude is found at every place, NaN above all") {
    if (qtk::is_usable(qtk::instruction_set::avx2)) check_largest(qtk::avx2::largest_magnitude);
    if (qtk::is_usable(qtk::instruction_set::avx512)) check_largest(qtk::avx512::largest_magnitude);
}

#endif
