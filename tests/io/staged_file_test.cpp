// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/staged_file.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>

#include "scratch.hpp"
#include <array>
#include <csignal>
#include <string_view>

namespace {

void put(qtk::staged_file& file, std::uint64_t offset, std::string_view text) {
    file.write(offset, std::as_bytes(std::span(text)));
}
using start = qtk::staged_file::start;

}  // namespace

TEST_CASE("pieces may come in any order, the target is there when all are") {
    test::scratch_folder const folder;
    auto const target = folder / "out";
    qtk::staged_file file(target, 10);
    put(file, 7, "rld");
    put(file, 0, "hello");
    CHECK_FALSE(std::filesystem::exists(target));
    put(file, 5, " w");
    file.commit();
    using namespace std::literals;
    CHECK(test::read_file(target) == "hello wrld"sv);
    CHECK(folder.files() == 1);
}

TEST_CASE("bytes that nobody wrote are zero") {
    test::scratch_folder const folder;
    qtk::staged_file file(folder / "out", 4);
    put(file, 1, "x");
    file.commit();
    CHECK(test::read_file(folder / "out") == std::string("\0x\0\0", 4));
}

TEST_CASE("without commit the old file is as it was and the part can be gone on with") {
    test::scratch_folder const folder;
    auto const target = folder / "out";
    test::write_file(target, "old");
    {
        qtk::staged_file file(target, 6);
        put(file, 0, "abc");
    }
    CHECK(test::read_file(target) == "old");
    CHECK(std::filesystem::exists(qtk::part_path(target)));
    CHECK_THROWS_AS(qtk::staged_file(target, 6), qtk::system_error);
    CHECK_THROWS_AS(qtk::staged_file(target, 7, start::resumed), qtk::io_error);
    qtk::staged_file file(target, 6, start::resumed);
    std::array<std::byte, 3> back{};
    file.read(0, back);
    CHECK(back[2] == std::byte{'c'});
    put(file, 3, "def");
    file.commit();
    CHECK(test::read_file(target) == "abcdef");
    CHECK(folder.files() == 1);
}

TEST_CASE("two processes do not write one file") {
    test::scratch_folder const folder;
    // A lock belongs to the open file, so another opening of the same process is refused, too.
    {
        qtk::staged_file const file(folder / "out", 1);
        CHECK_THROWS_AS(qtk::staged_file(folder / "out", 1, start::resumed), qtk::system_error);
        CHECK_THROWS_AS(qtk::staged_file::discard_left(folder / "out"), qtk::system_error);
        CHECK(folder.files() == 1);
    }
    qtk::staged_file::discard_left(folder / "out");
    qtk::staged_file::discard_left(folder / "out");
    CHECK(folder.files() == 0);
}

TEST_CASE("what is not there cannot be gone on with") {
    test::scratch_folder const folder;
    CHECK_THROWS_AS(qtk::staged_file(folder / "out", 1, start::resumed), qtk::system_error);
    CHECK_THROWS_AS(qtk::staged_file(folder / "nowhere/out", 1), qtk::system_error);
    CHECK(folder.files() == 0);
}

TEST_CASE("places outside of the file are refused") {
    test::scratch_folder const folder;
    qtk::staged_file file(folder / "out", 4);
    CHECK_THROWS_AS(put(file, 3, "xx"), qtk::value_error);
    CHECK_THROWS_AS(put(file, ~std::uint64_t{0}, "x"), qtk::value_error);
    std::array<std::byte, 5> back{};
    CHECK_THROWS_AS(file.read(0, back), qtk::value_error);
    file.discard();
    CHECK(folder.files() == 0);
}

TEST_CASE("a file that takes another's place keeps its permissions") {
    test::scratch_folder const folder;
    test::write_file(folder / "out", "old");
    std::filesystem::permissions(folder / "out", std::filesystem::perms(0640));
    qtk::staged_file file(folder / "out", 1);
    CHECK(std::filesystem::status(qtk::part_path(folder / "out")).permissions() ==
          std::filesystem::perms(0600));
    file.commit();
    CHECK(std::filesystem::status(folder / "out").permissions() == std::filesystem::perms(0640));
}

TEST_CASE("a disk that is too small shows before a byte is written, and nothing is left") {
    test::scratch_folder const folder;
    test::write_file(folder / "out", "old");
    // A file-size limit stands for the disk; in a child, since it cannot be raised again.
    pid_t const child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        rlimit const limit{1000, 1000};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        try {
            qtk::staged_file const file(folder / "out", 5000);
            ::_exit(1);
        } catch (qtk::system_error const& e) {
            bool const says_why =
                std::string(e.what()).find("free some space") != std::string::npos;
            ::_exit(e.code == EFBIG && says_why ? 0 : 2);
        }
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(test::read_file(folder / "out") == "old");
    CHECK(folder.files() == 1);
}
