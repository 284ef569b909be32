// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/descriptor.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>

#include <cerrno>

TEST_CASE("a descriptor closes what it owns, once") {
    int number = -1;
    {
        qtk::detail::descriptor first(::open("/dev/null", O_RDONLY));
        REQUIRE(first.is_open());
        number = first.get();
        qtk::detail::descriptor const second(std::move(first));
        CHECK(second.get() == number);
        CHECK(::fcntl(number, F_GETFD) != -1);
    }
    CHECK(::fcntl(number, F_GETFD) == -1);
}

TEST_CASE("errno becomes a sentence with path, action, reason and hint") {
    try {
        qtk::detail::throw_system_error("a.bin", "open the file", ENOENT, "look again");
        FAIL("nothing was thrown");
    } catch (qtk::system_error const& e) {
        CHECK(e.code == ENOENT);
        CHECK(std::string(e.what()) ==
              "a.bin: cannot open the file: No such file or directory; hint: look again");
    }
}
