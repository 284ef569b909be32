// SPDX-License-Identifier: Apache-2.0
//
// Memory that a kernel and the test both see: managed memory where there is a GPU, the heap where
// the kernel is emulated.
#pragma once

#include <qtk/cuda/operand.hpp>
#include <qtk/cuda/pack.hpp>

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

/// A packed weight where kernels read it.
struct weight_on_device {
    qtk::cuda::host_weight host;
    device_vector<std::uint32_t> words;
    device_vector<std::uint8_t> scales, zeros;

    explicit weight_on_device(qtk::any_qmatrix const& q)
        : host(qtk::cuda::pack(q)),
          words(on_device(host.words)),
          scales(on_device(host.scales)),
          zeros(on_device(host.zeros)) {}
    [[nodiscard]] qtk::cuda::weight_operand operand() const {
        using qtk::cuda::number;
        return {reinterpret_cast<uint4 const*>(words.data()), scales.data(),
                zeros.empty() ? nullptr : zeros.data(), host.layout,
                host.scheme.scale == qtk::scale_type::f16 ? number::f16 : number::f32};
    }
    /// With m rows of halves, to floats.
    [[nodiscard]] qtk::cuda::half_arguments times(device_vector<std::uint16_t> const& x,
                                                  std::size_t m, device_vector<float>& y) const {
        qtk::cuda::half_arguments a{operand(),
                                    x.data(),
                                    host.layout.cols,
                                    m,
                                    {y.data(), host.layout.rows, qtk::cuda::number::f32, {}}};
        a.has_levels = !host.scheme.element.is_integer();
        if (a.has_levels) a.levels = qtk::cuda::level_bytes(qtk::levels_of(host.scheme.element));
        return a;
    }
};
