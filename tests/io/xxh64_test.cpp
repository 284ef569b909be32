// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/xxh64.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

std::vector<std::byte> const data = [] {
    std::vector<std::byte> bytes(1000);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>((i * 131 + 7) % 256);
    return bytes;
}();

std::uint64_t sum_of(std::span<std::byte const> bytes) {
    qtk::xxh64 sum;
    sum.update(bytes);
    return sum.value();
}

}  // namespace

TEST_CASE("sums are those of PyPI's xxhash") {
    CHECK(sum_of(std::as_bytes(std::span(std::string_view("abc")))) == 0x44bc2cf5ad770999u);
    struct expected {
        std::size_t bytes;
        std::uint64_t sum;
    };
    for (auto const [bytes, sum] : {expected{0, 0xef46db3751d8e999u},
                                    {1, 0xa96c7f0ce858bbb7u},
                                    {3, 0xbed43740ee6332bbu},
                                    {4, 0xfa212ae44b3bb23du},
                                    {7, 0x2744460dd675d2c0u},
                                    {8, 0x994b676b71ce94ddu},
                                    {11, 0x97f078da7a1a590cu},
                                    {12, 0xb92f588ce720786eu},
                                    {31, 0x6711d55e306b5d8fu},
                                    {32, 0x07f7b8e3bc5d6e25u},
                                    {33, 0x09f85eeb4e1cbe9fu},
                                    {39, 0xb13c137a0fb701c3u},
                                    {63, 0xb7c9968c066cb6a5u},
                                    {64, 0x50d4159a0411632eu},
                                    {65, 0xd277176bff863efcu},
                                    {100, 0x9ddada11d3dc2d8fu},
                                    {1000, 0x0bf0bdbcc82eb373u}}) {
        CAPTURE(bytes);
        CHECK(sum_of(std::span(data).first(bytes)) == sum);
    }
}

TEST_CASE("it does not matter in which pieces the bytes come") {
    for (std::size_t const step : {1u, 3u, 8u, 31u, 32u, 33u, 100u}) {
        CAPTURE(step);
        qtk::xxh64 sum;
        for (std::size_t at = 0; at < data.size(); at += step)
            sum.update(std::span(data).subspan(at, std::min(step, data.size() - at)));
        CHECK(sum.value() == sum_of(data));
    }
}

TEST_CASE("one other bit is another sum") {
    for (std::size_t at = 0; at < data.size(); at += 37) {
        std::vector<std::byte> changed = data;
        changed[at] ^= std::byte{16};
        CHECK(sum_of(changed) != sum_of(data));
    }
}
