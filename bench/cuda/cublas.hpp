// SPDX-License-Identifier: Apache-2.0
//
// What does NVIDIA's own library take for the same product in fp16? cuBLAS is opened at run time: where
// it is missing its rows are left out, and no link can fail.
#pragma once

#include <qtk/cuda/device.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

#if defined(__CUDACC__)
#include <dlfcn.h>
#endif

namespace qtk_bench {

#if defined(__CUDACC__)

class cublas {
  public:
    explicit cublas(cudaStream_t stream) {
        for (char const* const name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
            if (library_ == nullptr) library_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (library_ == nullptr) return;
        auto const create = find<int(void**)>("cublasCreate_v2");
        auto const set_stream = find<int(void*, cudaStream_t)>("cublasSetStream_v2");
        multiply_ = find<gemm_function>("cublasGemmEx");
        if (create == nullptr || set_stream == nullptr || multiply_ == nullptr ||
            create(&handle_) != 0 || set_stream(handle_, stream) != 0)
            handle_ = nullptr;
    }
    cublas(cublas const&) = delete;
    cublas& operator=(cublas const&) = delete;
    ~cublas() {
        if (handle_ == nullptr) return;
        if (auto const destroy = find<int(void*)>("cublasDestroy_v2"); destroy != nullptr)
            destroy(handle_);
    }

    [[nodiscard]] bool is_there() const { return handle_ != nullptr; }

    /// y [m, n] = x [m, k] w [n, k]^T, halves, sums in floats. False if the library refuses.
    [[nodiscard]] bool multiply(std::uint16_t const* x, std::uint16_t const* w, std::uint16_t* y,
                                int m, int n, int k) const {
        // Column by column, as BLAS has it: y^T [n, m] = w x^T.
        float const one = 1.0f, zero = 0.0f;
        constexpr int transposed = 1, plain = 0, half = 2, sums = 68, any = -1;
        return multiply_(handle_, transposed, plain, n, m, k, &one, w, half, k, x, half, k, &zero,
                         y, half, n, sums, any) == 0;
    }

  private:
    using gemm_function = int(void*, int, int, int, int, int, void const*, void const*, int, int,
                              void const*, int, int, void const*, void*, int, int, int, int);
    template <typename F>
    [[nodiscard]] F* find(char const* name) const {
        return reinterpret_cast<F*>(dlsym(library_, name));
    }

    void* library_ = nullptr;
    void* handle_ = nullptr;
    gemm_function* multiply_ = nullptr;
};

#else

class cublas {
  public:
    explicit cublas(cudaStream_t) {}
    [[nodiscard]] bool is_there() const { return false; }
    [[nodiscard]] bool multiply(std::uint16_t const*, std::uint16_t const*, std::uint16_t*, int,
                                int, int) const {
        return false;
    }
};

#endif

}  // namespace qtk_bench
