// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/staged_folder.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <filesystem>
#include <string>

namespace fs = std::filesystem;

TEST_CASE("a folder appears as a whole") {
    test::scratch_folder const place;
    {
        qtk::staged_folder folder(place / "new");
        CHECK(folder.path() == place / ".new.qtk-part");
        qtk::write_text(folder.path() / "a.txt", "text");
        CHECK_FALSE(fs::exists(place / "new"));
        folder.commit();
    }
    CHECK(test::read_file(place / "new/a.txt") == "text");
    CHECK(place.files() == 1);
}

TEST_CASE("without commit nothing stays") {
    test::scratch_folder const place;
    {
        qtk::staged_folder const folder(place / "new");
        qtk::write_text(folder.path() / "a.txt", "text");
    }
    CHECK(place.files() == 0);
}

TEST_CASE("an empty folder is filled, and something else is never touched") {
    test::scratch_folder const place;
    fs::create_directory(place / "empty");
    qtk::staged_folder(place / "empty/").commit();
    CHECK(place.files() == 1);
    test::write_file(place / "file", "mine");
    fs::create_directory(place / "full");
    test::write_file(place / "full/x", "mine");
    fs::create_directory_symlink(place / "nowhere", place / "link");
    for (char const* const name : {"file", "full", "link"})
        CHECK_THROWS_WITH_AS(
            qtk::staged_folder(place / name),
            ((place / name).string() +
             ": something is there already, and a model is only written to a new or empty folder. "
             "Hint: remove it, or choose another name")
                .c_str(),
            qtk::io_error);
    CHECK_THROWS_AS(qtk::staged_folder("/"), qtk::io_error);
    CHECK_THROWS_AS(qtk::staged_folder(place / "absent/new"), qtk::system_error);
    qtk::staged_folder folder(place / "late");
    fs::create_directory(place / "late");
    test::write_file(place / "late/x", "mine");
    CHECK_THROWS_AS(folder.commit(), qtk::system_error);
    CHECK(test::read_file(place / "late/x") == "mine");
}

TEST_CASE("what a killed run left is removed, and a run at work is left alone") {
    test::scratch_folder const place;
    fs::create_directory(place / ".new.qtk-part");
    test::write_file(place / ".new.qtk-part/old", "old");
    qtk::staged_folder folder(place / "new");
    CHECK_FALSE(fs::exists(folder.path() / "old"));
    CHECK_THROWS_AS(qtk::staged_folder(place / "new"), qtk::system_error);
    CHECK(fs::exists(folder.path()));
}

TEST_CASE("a signal handler removes the folder and what is in it") {
    test::scratch_folder const place;
    qtk::staged_folder folder(place / "new");
    for (int i = 0; i < 300; ++i)
        test::write_file(folder.path() / ("file with a name " + std::to_string(i)), "x");
    qtk::atomic_file const part(folder.path() / "part");
    qtk::remove_unfinished_files();
    CHECK(place.files() == 0);
    qtk::staged_folder finished(place / "whole");
    finished.commit();
    qtk::remove_unfinished_files();
    CHECK(fs::exists(place / "whole"));
}
