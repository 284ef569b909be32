// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/integer_product.hpp>
#include <qtk/cuda/pack.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include <cmath>
#include <cstdint>

namespace {
using namespace qtk::cuda;

/// Operand element e of a lane's word for rows g + 8 h and half a chunk: by instruction coordinates,
/// with K permuted as the activations are.
template <qtk::scheme S, int ActivationBits>
void check_halves() {
    constexpr int bits = S.element.bits;
    std::size_t const rows = 16, cols = 128;
    auto const weight = random_floats(rows * cols, 3);
    auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
    host_weight const packed = pack(q);
    std::vector<uint4> words(packed.words.size() / 4);
    std::memcpy(words.data(), packed.words.data(), packed.words.size() * 4);
    using mma = detail::integer_mma<ActivationBits>;
    constexpr unsigned steps = detail::steps_of_half<ActivationBits>;
    for (unsigned chunk = 0; chunk < 2; ++chunk)
        for (unsigned lane = 0; lane < 32; ++lane) {
            threadIdx = {lane, 0, 0};
            detail::lane_words<bits> w;
            w.load(words.data() + chunk * 32 * bits / 4);
            for (unsigned half = 0; half < 2; ++half) {
                std::uint32_t left[2][steps];
                detail::split_half<bits, ActivationBits>(w, half, left);
                for (unsigned i = 0; i < steps; ++i)
                    for (int e = 0; e < mma::packed; ++e) {
                        // The column whose activation lies at the same place of the B operand.
                        std::size_t k = 0;
                        unsigned const t = lane % 4, j = half * 2 + i;
                        for (std::size_t c = chunk * 64; c < chunk * 64 + 64; ++c) {
                            auto const at = int4_place(c);
                            if (ActivationBits == 8 ? int8_place(c) == chunk * 64 + t * 16 + j * 4 +
                                                                           static_cast<unsigned>(e)
                                                    : at.word == chunk * 8 + t * 2 + half &&
                                                          at.shift == 4 * static_cast<unsigned>(e))
                                k = c;
                        }
                        for (unsigned h = 0; h < 2; ++h)
                            CHECK((left[h][i] >> (32 / mma::packed * e) &
                                   ((1u << (32 / mma::packed)) - 1)) ==
                                  q.field(lane / 4 + 8 * h, k));
                    }
            }
        }
}

TEST_CASE("operands hold the fields of the columns that their activations have") {
    check_halves<qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(64)}, 8>();
    check_halves<qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(64)}, 4>();
    check_halves<qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel}, 8>();
}

TEST_CASE("a segment adds its products less offset and zero") {
    weight_operand w;
    w.layout.bits = 4;
    // Fields 3 and 12, codes -5 and 7, scale 0.5 and 0.25: (3 - 8) -5 + (12 - 8) 7 = 53.
    CHECK(detail::add_segment(w, 0.5f, 8, 0.25f, 3 * -5 + 12 * 7, 2, 1.0f) == 1.0f + 53 * 0.125f);
    std::uint8_t const zeros[2] = {};
    w.zeros = zeros;
    CHECK(detail::add_segment(w, 0.5f, 6, 0.25f, 3 * -5 + 12 * 7, 2, 1.0f) ==
          1.0f + (53 + 2 * 2) * 0.125f);
}
}  // namespace
