// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/pack.hpp>
#include <qtk/kernel/avx512/pack.hpp>
#include <qtk/kernel/pack.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <vector>

namespace {

std::vector<std::uint8_t> random_fields(std::size_t n, int bits) {
    std::vector<std::uint8_t> fields(n);
    qtk::splitmix64 random(n + static_cast<std::size_t>(bits));
    for (std::uint8_t& f : fields) f = static_cast<std::uint8_t>(random() & ((1u << bits) - 1));
    return fields;
}

}  // namespace

TEST_CASE("every instruction set packs the canonical stream and nothing behind it") {
    for (qtk::instruction_set const set : cases::usable_sets())
        for (int bits = 1; bits <= 8; ++bits)
            for (std::size_t n = 0; n < 600; n += n < 260 ? 1 : 61)
                for (std::size_t const shift : {0u, 1u, 7u}) {
                    std::vector<std::uint8_t> const fields = random_fields(n + shift, bits);
                    auto const some = std::span<std::uint8_t const>(fields).subspan(shift);
                    std::vector<std::uint8_t> fast(qtk::packed_bytes(n, bits) + shift + 20, 0xcd);
                    std::vector<std::uint8_t> slow = fast;
                    std::size_t const room = qtk::packed_bytes(n, bits);
                    qtk::pack_fields(set, some, bits, std::span(fast).subspan(shift, room));
                    qtk::pack_fields(some, bits, std::span(slow).subspan(shift, room));
                    CAPTURE(qtk::name_of(set));
                    CAPTURE(bits);
                    CAPTURE(n);
                    REQUIRE(fast == slow);
                }
}

TEST_CASE("every instruction set unpacks what was packed, reading no byte behind the stream") {
    for (qtk::instruction_set const set : cases::usable_sets())
        for (int bits = 1; bits <= 8; ++bits)
            for (std::size_t n = 0; n < 600; n += n < 260 ? 1 : 61) {
                std::vector<std::uint8_t> const fields = random_fields(n, bits);
                // A vector of its own, so that a sanitizer sees a read behind its end.
                std::vector<std::uint8_t> packed(qtk::packed_bytes(n, bits));
                qtk::pack_fields(fields, bits, packed);
                std::vector<std::uint8_t> back(n + 9, 0xcd);
                qtk::unpack_fields(set, packed, bits, std::span(back).first(n));
                std::vector<std::uint8_t> expected = fields;
                expected.resize(n + 9, 0xcd);
                CAPTURE(qtk::name_of(set));
                CAPTURE(bits);
                CAPTURE(n);
                REQUIRE(back == expected);
            }
}
