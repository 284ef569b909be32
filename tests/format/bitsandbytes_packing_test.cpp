// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/bitsandbytes_packing.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <doctest/doctest.h>

#include <array>

namespace {

/// The 64-bit FNV-1a recurrence with the offset basis that the golden hashes were made with.
std::uint64_t golden_hash(std::vector<std::uint8_t> const& bytes) {
    std::uint64_t hash = 1469598103934665603u;
    for (auto const byte : bytes) hash = (hash ^ byte) * 1099511628211u;
    return hash;
}

}  // namespace

TEST_CASE("no codes are no bytes") {
    CHECK(qtk::pack_bitsandbytes({}).empty());
    CHECK(qtk::unpack_bitsandbytes({}, 0).empty());
}

TEST_CASE("the first of two codes lies in the high nibble") {
    std::vector<std::uint8_t> const fields{1, 2, 15, 0};
    CHECK(qtk::pack_bitsandbytes(fields) == std::vector<std::uint8_t>{0x12, 0xf0});
}

TEST_CASE("an odd count leaves the last low nibble zero, and it is not looked at") {
    std::vector<std::uint8_t> const fields{1, 2, 15};
    CHECK(qtk::pack_bitsandbytes(fields) == std::vector<std::uint8_t>{0x12, 0xf0});
    std::vector<std::uint8_t> const foreign{0x12, 0xf7};
    CHECK(qtk::unpack_bitsandbytes(foreign, 3) == fields);
}

TEST_CASE("every byte survives being read and written") {
    std::vector<std::uint8_t> bytes(256);
    for (std::size_t i = 0; i < 256; ++i) bytes[i] = static_cast<std::uint8_t>(i);
    auto const fields = qtk::unpack_bitsandbytes(bytes, 512);
    CHECK(fields[2 * 0x5a] == 5);
    CHECK(fields[2 * 0x5a + 1] == 10);
    CHECK(qtk::pack_bitsandbytes(fields) == bytes);
}

TEST_CASE("bitsandbytes refuses 5-bit codes and wrong byte counts") {
    std::vector<std::uint8_t> const fields{1, 16};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::pack_bitsandbytes(fields)),
                         "bitsandbytes: expected fields below 16, found 16 at index 1",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::unpack_bitsandbytes(fields, 5)),
                         "bitsandbytes: expected 3 bytes for 5 codes of 4 bits, found 2",
                         qtk::shape_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::unpack_bitsandbytes(fields, 2)), qtk::shape_error);
}

TEST_CASE("NF4 in blocks of 64 has the golden bytes") {
    std::array<float, 256> x{};
    for (int i = 0; i < 256; ++i)
        x[static_cast<std::size_t>(i)] =
            static_cast<float>((7919 * i + 13) % 257 - 128) / 64.0f;  // exact in binary

    qtk::quantizer_for<qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}> const nf4;
    std::vector<std::uint8_t> fields;
    std::vector<float> absmax;
    double error = 0.0, power = 0.0;
    for (std::size_t first = 0; first < 256; first += 64) {
        auto const tile = std::span<float const>(x).subspan(first, 64);
        auto const p = nf4.fit(qtk::minmax_range{}.estimate(tile));
        absmax.push_back(p.scale);
        for (float const v : tile) {
            fields.push_back(nf4.encode(v, p));
            double const difference = double{v} - double{nf4.decode(fields.back(), p)};
            error += difference * difference;
            power += double{v} * double{v};
        }
    }
    auto const bytes = qtk::pack_bitsandbytes(fields);

    CHECK(absmax == std::vector<float>{2.0f, 2.0f, 1.984375f, 1.984375f});
    std::vector<std::uint8_t> const first_block{0x0e, 0xb7, 0x31, 0xfc, 0x84, 0x1f, 0xda, 0x62,
                                                0x0e, 0xb7, 0x31, 0xfd, 0x95, 0x20, 0xea, 0x62,
                                                0x0e, 0xc7, 0x31, 0xfd, 0x95, 0x20, 0xeb, 0x63,
                                                0x1e, 0xc8, 0x41, 0xfd, 0x95, 0x20, 0xeb, 0x63};
    CHECK(std::vector<std::uint8_t>(bytes.begin(), bytes.begin() + 32) == first_block);
    CHECK(bytes.size() == 128);
    CHECK(golden_hash(bytes) == 0xbd6824fbf36ce627u);
    // The figure has nine digits; each decoded value is rounded once to a float.
    CHECK(error / power == doctest::Approx(0.00860690486).epsilon(1e-6));
}
