// SPDX-License-Identifier: Apache-2.0
//
// With which command was this made? What a report shows so that it can be made again.
#pragma once

#include <string>
#include <string_view>

namespace app {

/// An argument as a shell takes it.
[[nodiscard]] inline std::string shell_word(std::string_view text) {
    constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
    if (!text.empty() && text.find_first_not_of(plain) == text.npos) return std::string(text);
    std::string word = "'";
    for (char const c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return word + "'";
}

/// The arguments of this process, the program by its name alone. Set once, by run_program().
inline std::string& command_line() {
    static std::string line;
    return line;
}
inline void remember_command_line(int argc, char** argv) {
    std::string& line = command_line();
    line.clear();
    for (int i = 0; i < argc; ++i) {
        std::string_view word(argv[i]);
        if (i == 0) word.remove_prefix(word.rfind('/') + 1);
        line += (i == 0 ? "" : " ") + shell_word(word);
    }
}

}  // namespace app
