// SPDX-License-Identifier: Apache-2.0
//
// What happens when a mapped file becomes shorter while it is read? The kernel sends SIGBUS at the first page that is
// no longer there. The program then says which file it was and ends with the exit code of a bad input file.
//
// Everything here runs in the signal handler: system calls and memory of its own, nothing else.
#pragma once

#include <qtk/io/atomic_file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include "exit_code.hpp"
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace app {
namespace detail {

/// Text of a fixed size; what does not fit is left out.
struct signal_text {
    char characters[4096];
    std::size_t size = 0;

    void add(std::string_view text) noexcept {
        for (char const c : text)
            if (size < sizeof characters) characters[size++] = c;
    }
    [[nodiscard]] std::string_view view() const noexcept { return {characters, size}; }
};

/// The number in hexadecimal digits that `text` begins with; removes it.
[[nodiscard]] inline std::uintptr_t take_hex(std::string_view& text) noexcept {
    std::uintptr_t value = 0;
    while (!text.empty()) {
        char const c = text.front();
        int const digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) break;
        value = value * 16 + static_cast<std::uintptr_t>(digit);
        text.remove_prefix(1);
    }
    return value;
}

/// The file of a line of /proc/self/maps, "begin-end rights offset device inode path", if the address lies in it.
[[nodiscard]] inline std::string_view path_if_inside(std::string_view line,
                                                     std::uintptr_t address) noexcept {
    std::uintptr_t const begin = take_hex(line);
    if (!line.starts_with('-')) return {};
    line.remove_prefix(1);
    std::uintptr_t const end = take_hex(line);
    std::size_t const slash = line.find('/');
    return address >= begin && address < end && slash != line.npos ? line.substr(slash)
                                                                   : std::string_view();
}

/// Adds the path of the file that is mapped at the address; false if there is none.
[[nodiscard]] inline bool add_mapped_path(std::uintptr_t address, signal_text& to) noexcept {
    int const maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps < 0) return false;
    signal_text line;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::read(maps, buffer, sizeof buffer)) > 0)
        for (char const c : std::string_view(buffer, static_cast<std::size_t>(count))) {
            if (c != '\n') {
                line.add({&c, 1});
                continue;
            }
            if (auto const path = path_if_inside(line.view(), address); !path.empty()) {
                to.add(path);
                static_cast<void>(::close(maps));
                return true;
            }
            line.size = 0;
        }
    static_cast<void>(::close(maps));
    return false;
}

inline std::atomic_flag a_file_was_lost = ATOMIC_FLAG_INIT;

inline void tell_lost_file(int, siginfo_t* info, void*) {
    // Threads that meet the same fault wait for the first one's end.
    if (a_file_was_lost.test_and_set())
        for (;;) ::pause();
    qtk::remove_unfinished_files();
    signal_text text;
    text.add("error: ");
    bool const is_file = add_mapped_path(reinterpret_cast<std::uintptr_t>(info->si_addr), text);
    text.add(is_file ? ": the file became shorter, or its disk failed, while it was read. Hint: "
                       "nothing may write "
                       "to a model that is in use\n"
                     : "SIGBUS: the memory at an address that belongs to no file is gone\n");
    [[maybe_unused]] auto const written = ::write(STDERR_FILENO, text.characters, text.size);
    _exit(is_file ? bad_input : internal_error);
}

}  // namespace detail

/// From now on a mapped file that loses pages ends the program with one line and exit code 3.
inline void end_cleanly_on_lost_files() {
    struct sigaction action {};
    action.sa_sigaction = detail::tell_lost_file;
    action.sa_flags = SA_SIGINFO;
    static_cast<void>(::sigaction(SIGBUS, &action, nullptr));
}

}  // namespace app
