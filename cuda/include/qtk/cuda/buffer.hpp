// SPDX-License-Identifier: Apache-2.0
//
// Who frees device memory? A buffer owns it and moves; nothing else in the device headers allocates.
// Copies to and from the host wait for the stream, since host memory need not be pinned.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/cuda/device.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk::cuda {

template <typename T>
class buffer {
  public:
    buffer() = default;
    /// Not filled. Throws cuda_error if there is no memory.
    explicit buffer(std::size_t count) : count_(count) {
        if (count == 0) return;
        void* memory = nullptr;
        check(cudaMalloc(&memory, checked_mul(count, sizeof(T))), "cudaMalloc");
        data_ = static_cast<T*>(memory);
    }
    /// A copy of host memory.
    buffer(std::span<T const> values, cudaStream_t stream) : buffer(values.size()) {
        if (count_ == 0) return;
        check(cudaMemcpyAsync(data_, values.data(), bytes(), cudaMemcpyHostToDevice, stream),
              "cudaMemcpyAsync to the device");
        check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    }
    buffer(buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
    buffer& operator=(buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(count_, other.count_);
        return *this;
    }
    ~buffer() {
        if (data_ != nullptr) static_cast<void>(cudaFree(data_));
    }

    [[nodiscard]] T* data() noexcept { return data_; }
    [[nodiscard]] T const* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] std::size_t bytes() const noexcept { return count_ * sizeof(T); }

    /// Sets every byte to zero, in the order of the stream.
    void clear(cudaStream_t stream) {
        if (count_ > 0) check(cudaMemsetAsync(data_, 0, bytes(), stream), "cudaMemsetAsync");
    }
    /// A copy in host memory, of what the stream has written by then.
    [[nodiscard]] std::vector<T> to_host(cudaStream_t stream) const {
        std::vector<T> values(count_);
        if (count_ == 0) return values;
        check(cudaMemcpyAsync(values.data(), data_, bytes(), cudaMemcpyDeviceToHost, stream),
              "cudaMemcpyAsync to the host");
        check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
        return values;
    }

  private:
    T* data_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace qtk::cuda
