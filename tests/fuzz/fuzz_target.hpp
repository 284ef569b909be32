// SPDX-License-Identifier: Apache-2.0
//
// What do all fuzz targets share? The function that is fed, values taken from bytes, and a file that
// lives in memory. With libFuzzer a target is a program; without it all targets are one program that
// replays what they were once fed (replay_main.cpp), compiled as few translation units.
#pragma once

#include <qtk/core/error.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

using one_input = int (*)(std::uint8_t const* data, std::size_t size);

/// The targets of this program by name.
inline std::map<std::string_view, one_input>& targets() {
    static std::map<std::string_view, one_input> all;
    return all;
}
inline bool remember(std::string_view name, one_input target) {
    return targets().emplace(name, target).second;
}

}  // namespace fuzz

// The head of a target's function.
#if defined(QTK_FUZZ_REPLAY)
#define QTK_FUZZ_TARGET(name)                                                             \
    static int feed_##name(std::uint8_t const* data, std::size_t size);                   \
    [[maybe_unused]] static bool const knows_##name = fuzz::remember(#name, feed_##name); \
    static int feed_##name(std::uint8_t const* data, std::size_t size)
#else
#define QTK_FUZZ_TARGET(name) \
    extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
#endif

namespace fuzz {

/// A broken promise is a find.
inline void require(bool holds) {
    if (!holds) std::abort();
}

inline std::string_view text_of(std::uint8_t const* data, std::size_t size) {
    return {reinterpret_cast<char const*>(data), size};
}

/// Values from the front of the input; zeros where it has ended.
class cursor {
  public:
    cursor(std::uint8_t const* data, std::size_t size) : data_(data, size) {}

    [[nodiscard]] bool is_done() const { return data_.empty(); }
    [[nodiscard]] std::span<std::uint8_t const> rest() const { return data_; }
    std::uint8_t byte() {
        if (data_.empty()) return 0;
        std::uint8_t const first = data_.front();
        data_ = data_.subspan(1);
        return first;
    }
    /// 0 to n - 1, from one byte; n is at most 256.
    std::size_t below(std::size_t n) { return byte() % n; }
    std::uint16_t word() {
        unsigned const low = byte(), high = byte();
        return static_cast<std::uint16_t>(low | high << 8);
    }
    /// As many bytes as there are, then zeros.
    template <typename Byte = std::uint8_t>
    std::vector<Byte> bytes(std::size_t n) {
        std::vector<Byte> taken(n);
        std::size_t const have = std::min(n, data_.size());
        if (have > 0) std::memcpy(taken.data(), data_.data(), have);
        data_ = data_.subspan(have);
        return taken;
    }

  private:
    std::span<std::uint8_t const> data_;
};

/// A regular file with these bytes that no folder knows, for readers that open paths.
class memory_file {
  public:
    memory_file(std::uint8_t const* data, std::size_t size)
        : file_(::memfd_create("fuzz", MFD_CLOEXEC)) {
        require(file_ >= 0);
        while (size > 0) {
            ::ssize_t const done = ::write(file_, data, size);
            require(done > 0);
            data += done;
            size -= static_cast<std::size_t>(done);
        }
    }
    ~memory_file() { ::close(file_); }
    memory_file(memory_file const&) = delete;
    memory_file& operator=(memory_file const&) = delete;

    [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

  private:
    int file_;
};

}  // namespace fuzz
