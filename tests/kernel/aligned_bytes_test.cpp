// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/aligned_bytes.hpp>

#include <doctest/doctest.h>

TEST_CASE("bytes lie on cache lines, and on large pages where there are many") {
    for (std::size_t const size : {std::size_t{1}, std::size_t{100}, std::size_t{3} << 20}) {
        qtk::aligned_bytes const bytes(size);
        CHECK(bytes.size() == size);
        std::size_t const alignment = size < (std::size_t{1} << 21) ? 64 : std::size_t{1} << 21;
        CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0);
    }
    CHECK(qtk::aligned_bytes(0).data() == nullptr);
    CHECK_THROWS_AS(qtk::aligned_bytes(~std::size_t{0} - 5), std::bad_alloc);
}

TEST_CASE("scratch grows, is kept, and differs by purpose") {
    struct one;
    struct other;
    std::uint8_t* const first = qtk::thread_scratch<one>(100);
    CHECK(qtk::thread_scratch<one>(50) == first);
    CHECK(qtk::thread_scratch<other>(100) != first);
    std::uint8_t* const larger = qtk::thread_scratch<one>(100'000);
    larger[99'999] = 1;
    CHECK(qtk::thread_scratch<one>(1) == larger);
}
