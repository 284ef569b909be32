// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/half_lanes.hpp>
#include <qtk/kernel/avx512/half_lanes.hpp>
#include <qtk/kernel/half_lanes.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include "product_cases.hpp"

namespace {

std::vector<qtk::lane_engine const*> engines() {
    std::vector<qtk::lane_engine const*> all{&qtk::scalar::lanes};
#if QTK_HAS_X86
    if (qtk::cpu().avx2) all.push_back(&qtk::avx2::lanes);
    if (qtk::cpu().avx512) all.push_back(&qtk::avx512::lanes);
#endif
    return all;
}
constexpr std::array<qtk::gguf_type, 3> plain{qtk::gguf_type::f32, qtk::gguf_type::f16,
                                              qtk::gguf_type::bf16};

}  // namespace

TEST_CASE("products of floats and halves in lanes have the twin's bits, whatever the tile") {
    for (std::size_t kind = 0; kind < plain.size(); ++kind)
        for (std::size_t const n : {1u, 15u, 16u, 17u, 64u, 100u})
            for (std::size_t const width : {1u, 7u, 8u, 13u, 32u})
                for (std::size_t const count : {1u, 2u, 3u, 4u, 5u, 9u}) {
                    cases::gguf_weights const w(plain[kind], width, n);
                    std::size_t const stride = n + 3;
                    std::vector<float> const x = qtk::gaussian_vector(count * stride, 4);
                    auto const sums_of = [&](qtk::lane_engine const& engine) {
                        std::vector<float> lanes(count * 32 * 16, 3.0f);
                        // In two pieces: the second goes on where the first ended.
                        std::size_t const cut = n / 32 * 16,
                                          row = w.view.row_blocks() * w.view.block_bytes();
                        auto const type = static_cast<qtk::plain_type>(kind);
                        qtk::multiply_lanes(engine, type, w.view.bytes.data(), row, width, x.data(),
                                            stride, count, cut, lanes.data(), true);
                        qtk::multiply_lanes(
                            engine, type, w.view.bytes.data() + cut * w.view.block_bytes(), row,
                            width, x.data() + cut, stride, count, n - cut, lanes.data(), cut == 0);
                        std::vector<float> sums;
                        for (std::size_t m = 0; m < count; ++m)
                            for (std::size_t r = 0; r < width; ++r)
                                sums.push_back(qtk::sum_of_lanes(lanes.data() + (m * 32 + r) * 16));
                        return sums;
                    };
                    std::vector<float> const expected = sums_of(qtk::scalar::lanes);
                    for (auto const* const engine : engines())
                        REQUIRE(cases::same_bits(sums_of(*engine), expected));
                }
}

TEST_CASE("all halves and bfloat16s become the same floats on every instruction set") {
    for (std::size_t kind = 1; kind < plain.size(); ++kind) {
        std::vector<std::uint8_t> bytes(2 * 65536);
        for (std::size_t i = 0; i < 65536; ++i) {
            bytes[2 * i] = static_cast<std::uint8_t>(i & 0xff);
            bytes[2 * i + 1] = static_cast<std::uint8_t>(i >> 8);
        }
        std::vector<float> expected(65536), found(65536);
        qtk::decode_gguf_row({plain[kind], bytes, 1, 65536}, 0, expected);
        for (auto const* const engine : engines()) {
            engine->convert[kind](bytes.data(), 65536, found.data());
            CHECK(std::memcmp(found.data(), expected.data(), 65536 * sizeof(float)) == 0);
            // Nothing is written behind the end.
            for (std::size_t const n : {0u, 1u, 17u, 31u}) {
                std::vector<float> some(n + 1, 7.0f);
                engine->convert[kind](bytes.data(), n, some.data());
                CHECK(std::memcmp(some.data(), expected.data(), n * sizeof(float)) == 0);
                CHECK(some[n] == 7.0f);
            }
        }
    }
}
