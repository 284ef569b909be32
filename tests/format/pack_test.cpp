// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/pack.hpp>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <vector>

namespace {

std::vector<std::uint8_t> pack(std::vector<std::uint8_t> const& fields, int bits) {
    std::vector<std::uint8_t> bytes(qtk::packed_bytes(fields.size(), bits));
    qtk::pack_fields(fields, bits, bytes);
    return bytes;
}
std::vector<std::uint8_t> unpack(std::vector<std::uint8_t> const& bytes, int bits, std::size_t n) {
    std::vector<std::uint8_t> fields(n);
    qtk::unpack_fields(bytes, bits, fields);
    return fields;
}

}  // namespace

TEST_CASE("no fields take no bytes") {
    for (int bits = 1; bits <= 8; ++bits) {
        CHECK(qtk::packed_bytes(0, bits) == 0);
        CHECK(pack({}, bits).empty());
        CHECK(unpack({}, bits, 0).empty());
    }
}

TEST_CASE("the count of bytes is the bits rounded up, without wrapping") {
    for (int bits = 1; bits <= 8; ++bits)
        for (std::size_t n = 0; n < 100; ++n)
            CHECK(qtk::packed_bytes(n, bits) == (n * static_cast<std::size_t>(bits) + 7) / 8);
    CHECK(qtk::packed_bytes(~std::size_t{0}, 8) == ~std::size_t{0});
    CHECK(qtk::packed_bytes(std::size_t{1} << 63, 4) == std::size_t{1} << 62);
}

TEST_CASE("codes lie as the pictures say") {
    CHECK(pack({0x1, 0x2, 0xf}, 4) == std::vector<std::uint8_t>{0x21, 0x0f});
    CHECK(pack({0, 1, 2, 3, 3}, 2) == std::vector<std::uint8_t>{0b11'10'01'00, 0b11});
    CHECK(pack({1, 2, 3, 4, 5, 6, 7, 0}, 3) ==
          std::vector<std::uint8_t>{0b11'010'001, 0b0'101'100'0, 0b000'111'11});
    CHECK(pack({1, 0, 0, 0, 0, 0, 0, 1, 1}, 1) == std::vector<std::uint8_t>{0x81, 0x01});
    CHECK(pack({17, 255}, 8) == std::vector<std::uint8_t>{17, 255});
}

TEST_CASE("each field sits at its bit and nowhere else") {
    for (int bits = 1; bits <= 8; ++bits)
        for (std::size_t at = 0; at < 19; ++at) {
            CAPTURE(bits);
            CAPTURE(at);
            std::vector<std::uint8_t> fields(19);
            fields[at] = static_cast<std::uint8_t>((1 << bits) - 1);
            auto const bytes = pack(fields, bits);
            std::size_t const first = at * static_cast<std::size_t>(bits),
                              last = first + static_cast<std::size_t>(bits);
            bool right = true;
            for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit)
                right &= ((bytes[bit / 8] >> (bit % 8)) & 1) == (bit >= first && bit < last);
            CHECK(right);
        }
}

TEST_CASE("every byte survives being read and written, at every width") {
    std::vector<std::uint8_t> bytes(256);
    for (std::size_t i = 0; i < 256; ++i) bytes[i] = static_cast<std::uint8_t>(i);
    for (int bits = 1; bits <= 8; ++bits) {
        CAPTURE(bits);
        // 8 fields fill `bits` bytes, so take a multiple of both.
        std::vector<std::uint8_t> stream;
        for (int k = 0; k < bits; ++k) stream.insert(stream.end(), bytes.begin(), bytes.end());
        CHECK(pack(unpack(stream, bits, 256 * 8), bits) == stream);
    }
}

TEST_CASE("fields of any width and count come back, one by one too") {
    CHECK(rc::check("unpack and field_at undo pack", [] {
        int const bits = *rc::gen::inRange(1, 9);
        auto const raw = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
        std::vector<std::uint8_t> fields;
        for (auto const byte : raw)
            fields.push_back(static_cast<std::uint8_t>(byte & ((1 << bits) - 1)));
        auto const bytes = pack(fields, bits);
        RC_ASSERT(unpack(bytes, bits, fields.size()) == fields);
        for (std::size_t i = 0; i < fields.size(); ++i)
            RC_ASSERT(qtk::field_at(bytes.data(), i, bits) == fields[i]);
    }));
}

TEST_CASE("the rest of the last byte is zero and bytes behind it stay") {
    std::vector<std::uint8_t> bytes(4, 0xaa);
    std::vector<std::uint8_t> const fields{7, 7, 7};
    qtk::pack_fields(fields, 3, bytes);
    CHECK(bytes == std::vector<std::uint8_t>{0xff, 0x01, 0xaa, 0xaa});
}

TEST_CASE("unpacking may stop early") {
    std::vector<std::uint8_t> const bytes{0x21, 0x43};
    CHECK(unpack(bytes, 4, 3) == std::vector<std::uint8_t>{1, 2, 3});
}
