// SPDX-License-Identifier: Apache-2.0
//
// How does a program end? One number per cause, the same in every qtk program, so that scripts can tell a wrong flag
// from a broken file and a broken file from a full disk.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/atomic_file.hpp>

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

namespace app {

enum exit_code : int {
    ok = 0,
    internal_error = 1,
    usage = 2,
    bad_input = 3,
    io_failure = 4,
    not_finite = 5,
    threshold_missed = 6,
    interrupted = 130
};

/// Ctrl-C that came to a program which had to finish something first; what() is the line for the user.
class interruption : public std::exception {
  public:
    explicit interruption(char const* line) noexcept : line_(line) {}
    [[nodiscard]] char const* what() const noexcept override { return line_; }

  private:
    char const* line_;  // a literal
};

/// Prints the one line that says what went wrong, and gives the exit code of its cause.
[[nodiscard]] inline int report(std::exception_ptr failure) {
    auto const line = [](char const* text, exit_code code) {
        std::fprintf(stderr, "error: %s\n", text);
        return static_cast<int>(code);
    };
    try {
        std::rethrow_exception(failure);
    } catch (interruption const& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return interrupted;
    } catch (qtk::nonfinite_error const& e) {
        return line(e.what(), not_finite);
    } catch (qtk::system_error const& e) {
        return line(e.what(), e.code == ENOENT || e.code == EACCES ? bad_input : io_failure);
    } catch (qtk::io_error const& e) {
        return line(e.what(), bad_input);
    } catch (qtk::shape_error const& e) {
        return line(e.what(), bad_input);
    } catch (qtk::value_error const& e) {
        return line(e.what(), usage);
    } catch (std::bad_alloc const&) {
        return line("out of memory. Hint: fewer --langs or --schemes at once", io_failure);
    } catch (std::exception const& e) {
        return line(e.what(), internal_error);
    }
}

/// Ctrl-C and kill: half-written files are removed, the terminal gets its line end, the shell sees 130.
inline void end_cleanly_on_signals() {
    auto const handler = [](int) {
        qtk::remove_unfinished_files();
        constexpr char text[] = "\ninterrupted: nothing was left half written\n";
        [[maybe_unused]] auto const written = write(STDERR_FILENO, text, sizeof text - 1);
        _exit(interrupted);
    };
    std::signal(SIGINT, handler);
    std::signal(SIGTERM, handler);
    std::signal(SIGXFSZ,
                SIG_IGN);  // a file-size limit shows as an error of write, with its message
}

}  // namespace app
