// SPDX-License-Identifier: Apache-2.0
//
// What went wrong, where, what was expected and found? One root, one child per cause; the message
// is a whole sentence and ends in a hint where there is one. Programs map the children to exit
// codes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace qtk {

/// The root of everything qtk throws.
struct error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Two shapes that do not fit each other, or a shape that a scheme cannot take.
struct shape_error : error {
    using error::error;
};

/// A value outside what the operation is defined for (a scheme, an option, a spelling).
struct value_error : error {
    using error::error;
};

/// NaN or infinity where numbers are needed: how many there are and where the first one lies (flat,
/// row-major index).
struct nonfinite_error : value_error {
    nonfinite_error(std::string const& what, std::size_t how_many, std::size_t where)
        : value_error(what), count(how_many), first(where) {}
    std::size_t count;
    std::size_t first;
};

/// A file whose content breaks its format. `offset` is the byte in the file where the fault was
/// found.
struct io_error : error {
    static constexpr std::uint64_t no_offset = ~std::uint64_t{0};

    io_error(std::string_view file, std::string_view what, std::uint64_t where = no_offset)
        : error(sentence(file, what, where)), path(file), offset(where) {}
    std::string path;
    std::uint64_t offset;

  private:
    static std::string sentence(std::string_view path, std::string_view what,
                                std::uint64_t offset) {
        std::string text(path);
        if (offset != no_offset) text += ": byte " + std::to_string(offset);
        return text.append(": ").append(what);
    }
};

/// The operating system refused: not found, no permission, disk full. Carries errno.
struct system_error : io_error {
    system_error(std::string_view file, std::string_view what, int number)
        : io_error(file, what), code(number) {}
    int code;
};

/// The same where a file was to be written: programs tell a disk that refuses from an input that is bad.
struct write_error : system_error {
    using system_error::system_error;
};

}  // namespace qtk
