// SPDX-License-Identifier: Apache-2.0
//
// Where do packed weights and scratch lie? On cache lines, in large pages where the system gives
// them (a stream of gigabytes in 4 KiB pages spends a fifth of its time on page walks), with room
// behind the end for prefetches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace qtk {

class aligned_bytes {
  public:
    aligned_bytes() = default;
    /// Not initialized. Throws std::bad_alloc.
    explicit aligned_bytes(std::size_t size) : size_(size) {
        if (size == 0) return;
        std::size_t const alignment = size >= huge_page ? huge_page : line;
        std::size_t const whole = (size + alignment - 1) / alignment * alignment;
        if (whole < size) throw std::bad_alloc();
        bytes_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(alignment, whole)));
        if (!bytes_) throw std::bad_alloc();
#if defined(__linux__)
        if (size >= huge_page) madvise(bytes_.get(), whole, MADV_HUGEPAGE);
#endif
    }

    [[nodiscard]] std::uint8_t* data() noexcept {
        return bytes_.get();
    }
    [[nodiscard]] std::uint8_t const* data() const noexcept {
        return bytes_.get();
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return size_;
    }

    /// The bytes as T; their lifetime begins here, their values are whatever lay there.
    template <typename T>
    [[nodiscard]] T* as(std::size_t offset = 0) noexcept {
        return reinterpret_cast<T*>(bytes_.get() + offset);
    }

  private:
    struct release {
        void operator()(std::uint8_t* p) const noexcept { std::free(p); }
    };
    static constexpr std::size_t line = 64, huge_page = std::size_t{1} << 21;

    std::unique_ptr<std::uint8_t[], release> bytes_;
    std::size_t size_ = 0;
};

/// Scratch of the calling thread, at least `size` bytes, kept between calls: what a product needs
/// again and again should not be asked of the system each time. `Purpose` tells scratches apart
/// that are in use at the same time.
template <typename Purpose>
[[nodiscard]] std::uint8_t* thread_scratch(std::size_t size) {
    thread_local aligned_bytes bytes;
    if (bytes.size() < size) {
        bytes = {};
        bytes = aligned_bytes(size);
    }
    return bytes.data();
}

}  // namespace qtk
