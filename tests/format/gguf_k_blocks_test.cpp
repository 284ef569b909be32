// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_k_blocks.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <algorithm>
#include <bit>

namespace {

template <typename Block>
void decodes_to_its_nmse() {
    cases::ggml_golden const& golden = cases::golden_of(qtk::name_of(Block::type));
    CAPTURE(golden.type);
    std::vector<std::uint8_t> const bytes = cases::bytes_of(golden.first);
    std::array<std::uint8_t, sizeof(Block)> raw;
    REQUIRE(bytes.size() == raw.size());
    std::copy(bytes.begin(), bytes.end(), raw.begin());
    auto const block = std::bit_cast<Block>(raw);
    std::vector<float> back(256);
    block.decode(std::span<float>(back).template first<256>());
    CHECK(cases::nmse(cases::golden_input(), back) == doctest::Approx(golden.nmse).epsilon(1e-8));

    // Taken apart and put together again.
    Block again{};
    again.d = block.d;
    if constexpr (requires { again.dmin; }) again.dmin = block.dmin;
    for (std::size_t i = 0; i < 256; ++i) again.put_field(i, static_cast<unsigned>(block.field(i)));
    if constexpr (Block::type == qtk::gguf_type::q6_K) {
        again.scales = block.scales;
    } else {
        std::size_t const runs =
            Block::type == qtk::gguf_type::q2_K || Block::type == qtk::gguf_type::q3_K ? 16 : 8;
        for (std::size_t s = 0; s < runs; ++s) {
            auto const scale = static_cast<unsigned>(block.scale(s));
            if constexpr (requires { block.minimum(s); })
                again.put_scale(s, scale, static_cast<unsigned>(block.minimum(s)));
            else
                again.put_scale(s, scale);
        }
    }
    CHECK(cases::hex_of(std::bit_cast<decltype(raw)>(again)) == golden.first);
}

}  // namespace

TEST_CASE("ggml's K blocks decode to their NMSE, and every bit has its place") {
    decodes_to_its_nmse<qtk::q2_K_block>();
    decodes_to_its_nmse<qtk::q3_K_block>();
    decodes_to_its_nmse<qtk::q4_K_block>();
    decodes_to_its_nmse<qtk::q5_K_block>();
    decodes_to_its_nmse<qtk::q6_K_block>();
}
