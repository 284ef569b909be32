// SPDX-License-Identifier: Apache-2.0
//
// What is the next number of this file? A cursor over bytes that nobody vouches for: each step is
// checked against what is left, and a short read names the file, the byte and both lengths.
#pragma once

#include <qtk/core/error.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace qtk {

/// Little-endian bytes to a number on any machine; `from` may lie at any address.
template <typename T>
requires std::integral<T> || std::floating_point<T>
[[nodiscard]] T load_little_endian(std::byte const* from) noexcept {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), from, sizeof(T));
    if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
    return std::bit_cast<T>(bytes);
}

/// A number to little-endian bytes on any machine; `to` may lie at any address.
template <typename T>
requires std::integral<T> || std::floating_point<T>
void store_little_endian(T value, std::byte* to) noexcept {
    auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
    if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
    std::memcpy(to, bytes.data(), sizeof(T));
}

/// Reads a span from front to back. The span must outlive the reader.
class byte_reader {
  public:
    /// `origin` is the offset in the file of the first byte of the span.
    byte_reader(std::span<std::byte const> bytes, std::string path, std::uint64_t origin = 0)
        : bytes_(bytes), path_(std::move(path)), origin_(origin) {}

    [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - position_; }

    /// Offset in the file of the next byte.
    [[nodiscard]] std::uint64_t offset() const noexcept { return origin_ + position_; }

    /// The next `count` bytes; io_error where fewer are left. `what` names them in the message.
    std::span<std::byte const> take_bytes(std::uint64_t count, std::string_view what) {
        // Compared with what is left, never added to the position: a count of 2^64 - 1 cannot wrap.
        if (count > remaining())
            throw io_error(path_,
                           std::string(what) + " needs " + std::to_string(count) +
                               " bytes but only " + std::to_string(remaining()) +
                               " are left; the file is cut short or damaged",
                           offset());
        auto const taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
        position_ += taken.size();
        return taken;
    }

    /// The next number, little-endian; io_error where the file ends before it.
    template <typename T>
    requires std::integral<T> || std::floating_point<T> T take(std::string_view what) {
        return load_little_endian<T>(take_bytes(sizeof(T), what).data());
    }
    /// The same for a number whose first byte is the highest.
    template <std::unsigned_integral T>
    T take_big_endian(std::string_view what) {
        T value = 0;
        for (std::byte const byte : take_bytes(sizeof(T), what))
            value = static_cast<T>(value << 8 | std::to_integer<T>(byte));
        return value;
    }

  private:
    std::span<std::byte const> bytes_;
    std::string path_;
    std::uint64_t origin_ = 0;
    std::size_t position_ = 0;
};

}  // namespace qtk
