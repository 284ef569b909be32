// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/write_journal.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.hpp"
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::vector<qtk::journal_entry> const entries{{"a", 0, 3, 0x1234}, {"b \"\n", 3, 2, ~0ull}};
qtk::journal_run const run{"digest", 5, true};

std::uint64_t sum_of(std::string_view text) {
    qtk::xxh64 sum;
    sum.update(std::as_bytes(std::span(text)));
    return sum.value();
}

}  // namespace

TEST_CASE("what was recorded is read") {
    test::scratch_folder const folder;
    auto const target = folder / "out";
    CHECK_FALSE(qtk::read_journal(target).has_value());
    qtk::write_journal journal(target, run);
    journal.add(entries);
    auto const content = qtk::read_journal(target);
    REQUIRE(content.has_value());
    CHECK(content->run == run);
    CHECK(content->entries == entries);
    CHECK(content->good_bytes == std::filesystem::file_size(qtk::journal_path(target)));
    journal.discard();
    CHECK(folder.files() == 0);
}

TEST_CASE("cut short at any byte, the journal is a shorter one that can be gone on with") {
    test::scratch_folder const folder;
    auto const target = folder / "out";
    {
        qtk::write_journal journal(target, run);
        journal.add(entries);
    }
    std::string const whole = test::read_file(qtk::journal_path(target));
    std::size_t const first_line = whole.find('\n') + 1;
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CAPTURE(n);
        test::write_file(qtk::journal_path(target), whole.substr(0, n));
        auto const content = qtk::read_journal(target);
        CHECK(content.has_value() == (n >= first_line));
        if (!content) continue;
        REQUIRE(content->entries.size() < entries.size());
        qtk::write_journal journal(target, *content);
        journal.add(std::span(entries).subspan(content->entries.size()));
        CHECK(test::read_file(qtk::journal_path(target)) == whole);
    }
}

TEST_CASE("lines that are no records end a journal, and a first line without a run is none") {
    test::scratch_folder const folder;
    auto const target = folder / "out";
    std::string const start = R"({"schema":"qtk.journal/1","run":"d","size":5,"replaces":false})"
                              "\n";
    std::string const good = R"({"name":"a","offset":0,"bytes":5,"xxh64":"0000000000000001"})"
                             "\n";
    auto const read = [&](std::string const& text) {
        test::write_file(qtk::journal_path(target), text);
        return qtk::read_journal(target);
    };
    CHECK(read(start + good)->entries.size() == 1);
    for (std::string const bad :
         {"\n", "[]\n", "{}\n", "\xff\n",
          R"({"name":"a","offset":0,"bytes":6,"xxh64":"0000000000000001"})"
          "\n",
          R"({"name":"a","offset":-1,"bytes":1,"xxh64":"0000000000000001"})"
          "\n",
          R"({"name":"a","offset":18446744073709551615,"bytes":2,"xxh64":"0000000000000001"})"
          "\n",
          R"({"name":"a","offset":0,"bytes":1,"xxh64":"1"})"
          "\n",
          R"({"name":"a","offset":0,"bytes":1,"xxh64":"-000000000000001"})"
          "\n",
          R"({"name":7,"offset":0,"bytes":1,"xxh64":"0000000000000001"})"
          "\n"}) {
        CAPTURE(bad);
        auto const content = read(start + bad + good);
        REQUIRE(content.has_value());
        CHECK(content->entries.empty());
        CHECK(content->good_bytes == start.size());
        CHECK_FALSE(read(bad + good).has_value());
    }
    CHECK_FALSE(read(R"({"schema":"qtk.journal/2","run":"d","size":5,"replaces":false})"
                     "\n")
                    .has_value());
}

TEST_CASE("an entry is believed for the bytes that it was made for") {
    test::scratch_folder const folder;
    qtk::staged_file file(folder / "out", 8);
    std::string_view const text = "abcdefgh";
    file.write(0, std::as_bytes(std::span(text)));
    CHECK(qtk::is_as_written(file, {"x", 2, 3, sum_of("cde")}));
    CHECK_FALSE(qtk::is_as_written(file, {"x", 1, 3, sum_of("cde")}));
    CHECK_FALSE(qtk::is_as_written(file, {"x", 7, 3, sum_of("h")}));
    CHECK(qtk::is_as_written(file, {"x", 8, 0, sum_of("")}));
    file.discard();
}

TEST_CASE("a journal whose first line finds no room leaves nothing in the way of the next run") {
    test::scratch_folder const folder;
    // In a child: a limit on sizes of files cannot be raised again.
    pid_t const child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        rlimit const limit{10, 10};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        try {
            qtk::write_journal const journal(folder / "out", run);
            ::_exit(1);
        } catch (qtk::write_error const& e) {
            ::_exit(e.code == EFBIG ? 0 : 2);
        }
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(folder.files() == 0);
}
