// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/contract.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace {

struct ending {
    int signal = 0;
    std::string said;
};

/// Runs f in a child process and gives how it ended and what it wrote on standard error.
template <typename F>
ending in_a_child(F const& f) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t const child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);  // the test runner's handler would report a failure
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        f();
        _exit(0);
    }
    close(ends[1]);
    ending result;
    char buffer[256];
    for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
        result.said.append(buffer, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    return result;
}

constexpr int half_of(int even) noexcept {
    QTK_EXPECTS(even % 2 == 0);
    return even / 2;
}
static_assert(half_of(4) == 2, "contracts are allowed in constant expressions");

}  // namespace

TEST_CASE("a precondition that holds costs nothing and says nothing") {
    auto const result = in_a_child([] { static_cast<void>(half_of(8)); });
    CHECK(result.signal == 0);
    CHECK(result.said.empty());
}

TEST_CASE("a broken contract names file, line and condition and aborts") {
    auto const result =
        in_a_child([] { qtk::detail::broken_contract("n > 0", "somewhere.hpp", 12); });
    CHECK(result.signal == SIGABRT);
    CHECK(result.said == "somewhere.hpp:12: qtk: the precondition `n > 0` does not hold\n");
}

#if !defined(NDEBUG)
TEST_CASE("QTK_EXPECTS aborts in a debug build") {
    auto const result = in_a_child([] { static_cast<void>(half_of(7)); });
    CHECK(result.signal == SIGABRT);
    CHECK(result.said.find("contract_test.cpp") != std::string::npos);
    CHECK(result.said.find("`even % 2 == 0`") != std::string::npos);
}
#endif
