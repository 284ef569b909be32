// SPDX-License-Identifier: Apache-2.0
//
// How does a program end? One number per cause, the same in every qtk program, so that scripts can tell a wrong flag
// from a broken file and a broken file from a full disk.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/atomic_file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <system_error>

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

/// Each in words, for --help and the manual.
struct exit_meaning {
    exit_code code;
    char const* meaning;
};
inline constexpr exit_meaning exit_meanings[] = {
    {ok, "ok"},
    {internal_error, "internal error"},
    {usage, "usage"},
    {bad_input, "bad input file"},
    {io_failure, "I/O error, disk full or out of memory"},
    {not_finite, "NaN or infinity in the weights"},
    {threshold_missed, "threshold not met"},
    {interrupted, "interrupted"},
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
    } catch (qtk::write_error const& e) {
        return line(e.what(), io_failure);
    } catch (qtk::system_error const& e) {
        return line(e.what(), e.code == ENOENT || e.code == EACCES ? bad_input : io_failure);
    } catch (qtk::io_error const& e) {
        return line(e.what(), bad_input);
    } catch (qtk::shape_error const& e) {
        return line(e.what(), bad_input);
    } catch (qtk::value_error const& e) {
        return line(e.what(), usage);
    } catch (std::bad_alloc const&) {
        return line(
            "out of memory. Hint: fewer --langs, --schemes or --models at once, or --max-memory",
            io_failure);
    } catch (std::system_error const& e) {
        // Folders, paths and streams of the standard library.
        return line(e.what(), e.code() == std::errc::no_such_file_or_directory ||
                                      e.code() == std::errc::permission_denied
                                  ? bad_input
                                  : io_failure);
    } catch (std::exception const& e) {
        return line(e.what(), internal_error);
    }
}

/// What nothing has caught, be it before main() or in a thread, ends as every other error does.
inline void end_cleanly_on_uncaught() {
    std::set_terminate([] {
        qtk::remove_unfinished_files();
        _exit(std::current_exception() ? report(std::current_exception()) : internal_error);
    });
}

/// Standard output that could not be written is an error: nobody is to take half a report for a whole one.
[[nodiscard]] inline int after_output(int code) {
    bool const was_lost = std::ferror(stdout) != 0;
    errno = 0;
    if (std::fflush(stdout) == 0 && !was_lost) return code;
    if (code != ok) return code;
    std::fprintf(stderr, "error: standard output: cannot write%s%s\n", errno != 0 ? ": " : "",
                 errno != 0 ? std::generic_category().message(errno).c_str() : "");
    return io_failure;
}

/// A standard stream that the caller has closed must not become a file that the program opens: what is printed
/// would go into it. It becomes one that refuses.
inline void keep_standard_streams() {
    for (int const stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(stream, F_GETFD) < 0) {
            // The lowest number that is free is this one.
            [[maybe_unused]] int const opened =
                ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
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
