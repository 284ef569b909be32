// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/atomic_file.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>
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
