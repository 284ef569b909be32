// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/atomic_file.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.hpp"
#include <csignal>

namespace {
void put(qtk::atomic_file& file, std::string_view text) {
    file.write(std::as_bytes(std::span(text)));
}
}  // namespace

TEST_CASE("nothing is visible before commit, everything after") {
    test::scratch_folder const folder;
    auto const target = folder / "out";
    {
        qtk::atomic_file file(target, 5);
        put(file, "he");
        put(file, "llo");
        CHECK(file.written() == 5);
        CHECK_FALSE(std::filesystem::exists(target));
        file.commit();
    }
    CHECK(test::read_file(target) == "hello");
    CHECK(folder.files() == 1);
}

TEST_CASE("without commit the old file stays and nothing is left") {
    test::scratch_folder const folder;
    test::write_file(folder / "out", "old");
    {
        qtk::atomic_file file(folder / "out");
        put(file, "new");
    }
    CHECK(test::read_file(folder / "out") == "old");
    CHECK(folder.files() == 1);
}

TEST_CASE("a replaced file keeps its permissions") {
    test::scratch_folder const folder;
    test::write_file(folder / "out", "old");
    std::filesystem::permissions(folder / "out", std::filesystem::perms(0600));
    qtk::atomic_file file(folder / "out");
    put(file, "new");
    file.commit();
    CHECK(std::filesystem::status(folder / "out").permissions() == std::filesystem::perms(0600));
    CHECK(test::read_file(folder / "out") == "new");
}

TEST_CASE("a folder that is not there is a system error") {
    test::scratch_folder const folder;
    CHECK_THROWS_AS(qtk::atomic_file(folder / "nowhere/out"), qtk::system_error);
}

TEST_CASE("a disk that fills up leaves the old file, nothing else, and says why") {
    test::scratch_folder const folder;
    test::write_file(folder / "out", "old");
    // A file-size limit stands for the disk; in a child, since it cannot be raised again.
    pid_t const child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        rlimit const limit{1000, 1000};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        try {
            qtk::atomic_file file(folder / "out");
            put(file, std::string(5000, 'x'));
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

TEST_CASE("unfinished files can be removed from outside, as a signal handler does") {
    test::scratch_folder const folder;
    qtk::atomic_file file(folder / "out");
    put(file, "half");
    CHECK(folder.files() == 1);
    qtk::remove_unfinished_files();
    CHECK(folder.files() == 0);
}

TEST_CASE("a pipe and a folder are not replaced by a file, and that shows before the work") {
    test::scratch_folder const folder;
    REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
    std::filesystem::create_directory(folder / "folder");
    std::filesystem::create_symlink(folder / "pipe", folder / "link");
    for (char const* const name : {"pipe", "folder", "link"}) {
        CAPTURE(name);
        CHECK_THROWS_AS(qtk::atomic_file(folder / name), qtk::io_error);
        CHECK_THROWS_AS(qtk::atomic_file::require_possible(folder / name), qtk::io_error);
    }
    CHECK(std::filesystem::is_fifo(folder / "pipe"));
    CHECK_THROWS_AS(qtk::atomic_file::require_possible(folder / "nowhere/out"), qtk::write_error);
    CHECK_NOTHROW(qtk::atomic_file::require_possible(folder / "new"));
    CHECK(folder.files() == 3);
}

TEST_CASE("a link stays one, and the file that it names is replaced") {
    test::scratch_folder const folder;
    std::filesystem::create_directory(folder / "elsewhere");
    test::write_file(folder / "elsewhere/real", "old");
    std::filesystem::create_symlink("elsewhere/real", folder / "link");
    qtk::atomic_file file(folder / "link");
    put(file, "new");
    file.commit();
    CHECK(std::filesystem::is_symlink(folder / "link"));
    CHECK(test::read_file(folder / "elsewhere/real") == "new");
}
