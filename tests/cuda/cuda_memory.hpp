// SPDX-License-Identifier: Apache-2.0
//
// Memory that a kernel and the test both see: managed memory where there is a GPU, the heap where
// the kernel is emulated.
#pragma once

#include <qtk/cuda/device.hpp>

#include <cstddef>
#include <vector>

#if defined(__CUDACC__)

template <typename T>
struct managed_allocator {
    using value_type = T;

    managed_allocator() = default;
    template <typename U>
    managed_allocator(managed_allocator<U> const&) noexcept {}

    [[nodiscard]] T* allocate(std::size_t count) {
        void* memory = nullptr;
        qtk::cuda::check(cudaMallocManaged(&memory, count * sizeof(T)), "cudaMallocManaged");
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t) noexcept { cudaFree(memory); }
    friend bool operator==(managed_allocator const&, managed_allocator const&) { return true; }
};
template <typename T>
using device_vector = std::vector<T, managed_allocator<T>>;

inline void wait_for_device() {
    qtk::cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

#else

template <typename T>
using device_vector = std::vector<T>;

inline void wait_for_device() {}

#endif

template <typename T, typename A>
[[nodiscard]] device_vector<T> on_device(std::vector<T, A> const& values) {
    return {values.begin(), values.end()};
}
