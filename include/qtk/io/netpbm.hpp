// SPDX-License-Identifier: Apache-2.0
//
// What does this PGM or PPM file show? The binary kinds of Netpbm, P5 (grey) and P6 (red, green, blue):
//
//   P6 <width> <height> <largest value>, then one white space and the bytes; # starts a comment
//
// A largest value below 255 is made 255: v becomes the whole number next to 255 v / largest. Two-byte
// samples, text kinds and files with more than one image are refused.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/image.hpp>
#include <qtk/io/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace qtk {
namespace detail {

/// The head of a file, token by token.
class netpbm_header {
  public:
    netpbm_header(std::string_view text, std::string const& path) : text_(text), path_(path) {}

    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[noreturn]] void refuse(std::string const& what) const { throw io_error(path_, what, at_); }

    /// 1 or 3 channels.
    std::size_t channels() {
        if (!text_.starts_with("P5") && !text_.starts_with("P6"))
            refuse("this is no binary PGM or PPM file: expected P5 or P6");
        at_ = 2;
        return text_[1] == '5' ? 1 : 3;
    }
    std::uint64_t number(char const* what) {
        if (!skip_space()) refuse(std::string("expected white space before the ") + what);
        std::uint64_t value = 0;
        std::size_t const first = at_;
        for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
            if (at_ - first == 9) refuse(std::string("the ") + what + " has more than 9 digits");
            value = 10 * value + static_cast<std::uint64_t>(text_[at_] - '0');
        }
        if (at_ == first) refuse(std::string("expected the ") + what + ", a whole number");
        return value;
    }
    /// The one character between the head and the bytes.
    void end() {
        if (at_ >= text_.size() || !is_space(text_[at_]))
            refuse("expected one white space after the largest value");
        ++at_;
    }

  private:
    static bool is_space(char c) noexcept {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
    }
    static bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
    bool skip_space() {
        std::size_t const first = at_;
        while (at_ < text_.size() && (is_space(text_[at_]) || text_[at_] == '#'))
            if (text_[at_++] == '#')
                while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
        return at_ > first;
    }

    std::string_view text_;
    std::string const& path_;
    std::size_t at_ = 0;
};

}  // namespace detail

/// Does a file with these first bytes claim to be one of the kinds above?
[[nodiscard]] inline bool is_netpbm(std::string_view start) noexcept {
    return start.starts_with("P5") || start.starts_with("P6");
}

/// Checks and decodes the bytes of a whole file. Throws io_error naming `path` and the byte; nothing is
/// allocated before the size is known to be the file's.
[[nodiscard]] inline image decode_netpbm(std::span<std::byte const> file, std::string const& path,
                                         io_limits const& limits = {}) {
    std::string_view const text(reinterpret_cast<char const*>(file.data()), file.size());
    detail::netpbm_header head(text, path);
    image result;
    result.channels = head.channels();
    std::uint64_t const width = head.number("width"), height = head.number("height");
    std::uint64_t const largest = head.number("largest value");
    if (largest < 1 || largest > 255)
        head.refuse("expected a largest value from 1 to 255, found " + std::to_string(largest));
    std::size_t const bytes = checked_image_bytes(path, 2, height, width, result.channels, limits);
    head.end();
    if (file.size() - head.at() != bytes)
        head.refuse("the header promises " + std::to_string(bytes) + " bytes of pixels, " +
                    std::to_string(file.size() - head.at()) +
                    " follow; the file is cut short, damaged or holds more than one image");
    result.height = static_cast<std::size_t>(height);
    result.width = static_cast<std::size_t>(width);
    result.bytes.resize(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        auto const value = std::to_integer<std::uint64_t>(file[head.at() + i]);
        if (value > largest)
            throw io_error(path,
                           "expected values up to " + std::to_string(largest) + ", found " +
                               std::to_string(value),
                           head.at() + i);
        result.bytes[i] = static_cast<std::uint8_t>((2 * 255 * value + largest) / (2 * largest));
    }
    return result;
}

}  // namespace qtk
