// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/mapped_file.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>

#include "scratch.hpp"
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

TEST_CASE("both modes give the same bytes, and an empty file none") {
    test::scratch_folder const folder;
    test::write_file(folder / "a", "hello");
    test::write_file(folder / "empty", "");
    for (auto const mode : {qtk::io_mode::mmap, qtk::io_mode::read}) {
        CHECK(qtk::mapped_file::open(folder / "a", mode).text() == "hello");
        CHECK(qtk::mapped_file::open(folder / "empty", mode).bytes().empty());
    }
}

TEST_CASE("what is no regular file is refused") {
    test::scratch_folder const folder;
    CHECK_THROWS_AS(qtk::mapped_file::open(folder.path()), qtk::io_error);
    CHECK_THROWS_AS(qtk::mapped_file::open("/dev/zero"), qtk::io_error);
    // A pipe that nobody writes to must not hang the reader.
    REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
    CHECK_THROWS_WITH_AS(qtk::mapped_file::open(folder / "pipe"),
                         doctest::Contains("a device or a pipe"), qtk::io_error);
    try {
        (void)qtk::mapped_file::open(folder / "nowhere");
        FAIL("nothing was thrown");
    } catch (qtk::system_error const& e) {
        CHECK(e.code == ENOENT);
    }
}

TEST_CASE("a file larger than allowed is not read") {
    test::scratch_folder const folder;
    test::write_file(folder / "a", "hello");
    CHECK_THROWS_AS(qtk::mapped_file::open(folder / "a", qtk::io_mode::read, 4), qtk::io_error);
    CHECK(qtk::mapped_file::open(folder / "a", qtk::io_mode::read, 5).text() == "hello");
}

TEST_CASE("released memory can still be read, and a moved file keeps its bytes") {
    test::scratch_folder const folder;
    test::write_file(folder / "a", std::string(100'000, 'q'));
    auto first = qtk::mapped_file::open(folder / "a");
    first.release(first.bytes());
    auto const second = std::move(first);
    CHECK(second.text() == std::string(100'000, 'q'));
}

TEST_CASE("bytes of something else are never released") {
    test::scratch_folder const folder;
    test::write_file(folder / "a", std::string(100'000, 'q'));
    auto const file = qtk::mapped_file::open(folder / "a");
    // Pages of the heap would be zeros afterwards.
    std::vector<std::byte> const other(1 << 20, std::byte{7});
    file.release(other);
    CHECK(std::ranges::count(other, std::byte{7}) == 1 << 20);
}
