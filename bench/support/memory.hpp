// SPDX-License-Identifier: Apache-2.0
//
// Where do the operands of a bench lie? In 2 MiB pages, so that the figures do not depend on the
// fragments that the system had left; for a cold row in copies that take turns, so that none of
// them is still in a cache when it comes round again.
#pragma once

#include <sys/mman.h>

#include "machine.hpp"
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk_bench {

/// Zeroed bytes in huge pages where the system has them, aligned to 2 MiB.
class huge_buffer {
  public:
    static constexpr std::size_t page = std::size_t{2} << 20;

    huge_buffer() = default;
    explicit huge_buffer(std::size_t bytes)
        : size_(bytes), mapped_((bytes + page - 1) / page * page + page) {
        base_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base_ == MAP_FAILED) throw std::bad_alloc();
        auto const at = (reinterpret_cast<std::uintptr_t>(base_) + page - 1) / page * page;
        data_ = reinterpret_cast<std::uint8_t*>(at);
#if defined(MADV_HUGEPAGE)
        // Refused where the system has none: ordinary pages serve.
        static_cast<void>(madvise(data_, mapped_ - page, MADV_HUGEPAGE));
#endif
    }
    huge_buffer(huge_buffer&& other) noexcept {
        swap(other);
    }
    huge_buffer& operator=(huge_buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    ~huge_buffer() {
        if (base_ != nullptr) munmap(base_, mapped_);
    }

    [[nodiscard]] std::uint8_t* data() const noexcept {
        return data_;
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return size_;
    }
    /// The same bytes as values of T; their lifetime starts with the first write.
    template <typename T>
    [[nodiscard]] std::span<T> as() const noexcept {
        return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
    }

  private:
    void swap(huge_buffer& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(mapped_, other.mapped_);
    }

    void* base_ = nullptr;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0, mapped_ = 0;
};

template <typename T>
[[nodiscard]] huge_buffer in_huge_pages(std::span<T const> values) {
    huge_buffer buffer(values.size_bytes());
    std::memcpy(buffer.data(), values.data(), values.size_bytes());
    return buffer;
}

/// Are the weights in a cache when the call begins (as far as one holds them), or in DRAM?
enum class warmth { hot, cold };

[[nodiscard]] constexpr std::string_view name_of(warmth w) noexcept {
    return w == warmth::hot ? "hot" : "cold";
}

/// How many copies of `bytes` take turns: cold rows want more than four times the last cache, but
/// no more than 1 GiB.
[[nodiscard]] inline std::size_t copies_of(std::size_t bytes, warmth w) {
    if (w == warmth::hot || bytes == 0) return 1;
    if (run_extent() == extent::smoke) return 2;
    std::size_t const most = std::max<std::size_t>((std::size_t{1} << 30) / bytes, 1);
    return std::clamp<std::size_t>(4 * std::max(caches().l3, caches().l2) / bytes + 1, 1, most);
}

/// Equal operands that take turns.
template <typename T>
class rotation {
  public:
    /// make() is called once for each copy.
    template <typename Make>
    rotation(std::size_t copies, Make const& make) {
        copies_.reserve(copies);
        for (std::size_t i = 0; i < copies; ++i) copies_.push_back(make());
    }
    [[nodiscard]] T& next() noexcept {
        at_ = at_ + 1 < copies_.size() ? at_ + 1 : 0;
        return copies_[at_];
    }

  private:
    std::vector<T> copies_;
    std::size_t at_ = 0;
};

}  // namespace qtk_bench
