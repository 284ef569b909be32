// SPDX-License-Identifier: Apache-2.0
//
// Who closes the file, and what did the system say? The owner of a POSIX file descriptor, and
// errno as a sentence.
#pragma once

#include <qtk/core/error.hpp>

#include <unistd.h>

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace qtk::detail {

/// Closes its descriptor; -1 owns nothing.
class descriptor {
  public:
    descriptor() noexcept = default;
    explicit descriptor(int number) noexcept : number_(number) {}
    descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~descriptor() {
        if (number_ >= 0) ::close(number_);
    }

    [[nodiscard]] int get() const noexcept { return number_; }
    [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }

  private:
    int number_ = -1;
};

/// "cannot ACTION: REASON" and, where there is one, "; hint: HINT".
[[nodiscard]] inline std::string refusal(std::string_view action, int code, std::string_view hint) {
    std::string what =
        "cannot " + std::string(action) + ": " + std::generic_category().message(code);
    if (!hint.empty()) what.append("; hint: ").append(hint);
    return what;
}
/// Throws system_error: "PATH: " and the refusal.
[[noreturn]] inline void throw_system_error(std::string_view path, std::string_view action,
                                            int code, std::string_view hint = {}) {
    throw system_error(path, refusal(action, code, hint), code);
}
/// Throws write_error, of a file that was to be written.
[[noreturn]] inline void throw_write_error(std::string_view path, std::string_view action, int code,
                                           std::string_view hint = {}) {
    throw write_error(path, refusal(action, code, hint), code);
}

}  // namespace qtk::detail
