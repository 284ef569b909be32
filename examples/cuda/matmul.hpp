// SPDX-License-Identifier: Apache-2.0
//
// What the numbered programs share: a layer of 4-bit weights in device memory, several copies of it so that
// each call finds its weights outside the cache, a check against a sum in double, and then, where there is
// a GPU, the time. Compiled by g++ the kernels run on the CPU, smaller and untimed.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/cuda/buffer.hpp>
#include <qtk/cuda/linear.hpp>
#include <qtk/cuda/pack.hpp>
#include <qtk/quantize.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <optional>
#include <vector>

namespace matmul {

constexpr qtk::scheme w4{
    .element = qtk::i4, .grain = qtk::per_group(128), .scale = qtk::scale_type::f16};
constexpr unsigned group = 128;

#if defined(__CUDACC__)
inline bool has_device() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}
constexpr unsigned n = 4096, k = 4096, copies = 8;  // 69 MB
#else
inline bool has_device() {
    return true;
}
constexpr unsigned n = 48, k = 512, copies = 1;
#endif

/// Y [m, n] = X [m, k] W^T. The weights lie in device memory twice: row by row, two fields a byte with a scale
/// for 128 columns, and packed for tensor cores (qtk/cuda/layout.hpp).
struct problem {
    unsigned m;
    qtk::any_qmatrix q;
    std::vector<std::uint16_t> host_x;
    std::vector<qtk::cuda::buffer<std::uint8_t>> codes;
    std::vector<qtk::cuda::linear> packed;
    qtk::cuda::buffer<std::uint8_t> scales;
    qtk::cuda::buffer<std::uint16_t> x;
    qtk::cuda::buffer<float> y;

    problem(unsigned rows, qtk::cuda::linear_options const& options) : m(rows), y(rows * n) {
        std::vector<float> const weight = qtk::gaussian_vector(n * k, 1);
        q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), n, k));
        for (float const v : qtk::gaussian_vector(m * k, 2)) host_x.push_back(qtk::float_to_f16(v));
        auto const packed_once = qtk::cuda::pack(q);
        for (unsigned i = 0; i < copies; ++i) {
            codes.emplace_back(q.codes(), cudaStream_t{});
            packed.emplace_back(packed_once, cudaStream_t{}, options);
        }
        scales = qtk::cuda::buffer<std::uint8_t>(q.scales(), {});
        x = qtk::cuda::buffer<std::uint16_t>(std::span<std::uint16_t const>(host_x), {});
    }

    /// ||y - X W^T|| / ||X W^T|| over 64 outputs.
    [[nodiscard]] double relative_error() const {
        auto const found = y.to_host({});
        double difference = 0.0, size = 0.0;
        for (unsigned i = 0; i < 64; ++i) {
            unsigned const row = i % m, col = i * 7919 % n;
            double exact = 0.0;
            for (unsigned c = 0; c < k; ++c)
                exact += q.code(col, c) * static_cast<double>(q.scale(col, c)) *
                         static_cast<double>(qtk::f16_to_float(host_x[row * k + c]));
            difference += std::pow(static_cast<double>(found[row * n + col]) - exact, 2.0);
            size += exact * exact;
        }
        return std::sqrt(difference / size);
    }
};

/// Microseconds of a call, the median of 50 rounds over all copies; none where nothing can be timed.
template <typename Launch>
std::optional<double> time_us([[maybe_unused]] Launch const& launch) {
#if defined(__CUDACC__)
    cudaEvent_t begin, end;
    qtk::cuda::check(cudaEventCreate(&begin), "cudaEventCreate");
    qtk::cuda::check(cudaEventCreate(&end), "cudaEventCreate");
    std::vector<float> milliseconds(50);
    for (float& ms : milliseconds) {
        qtk::cuda::check(cudaEventRecord(begin), "cudaEventRecord");
        for (unsigned i = 0; i < copies; ++i) launch(i);
        qtk::cuda::check(cudaEventRecord(end), "cudaEventRecord");
        qtk::cuda::check(cudaEventSynchronize(end), "cudaEventSynchronize");
        qtk::cuda::check(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    return static_cast<double>(milliseconds[25]) * 1e3 / copies;
#else
    return std::nullopt;
#endif
}

/// Checks launch(problem, copy), then times it. The status of the program: 0, 1 if the result is wrong, 77
/// without a device.
template <typename Launch>
int run(char const* name, unsigned m, double bound, Launch const& launch,
        qtk::cuda::linear_options const& options = {}) try {
    if (!has_device()) {
        std::printf(
            "skipped: no CUDA device. The test `example: cuda/%s` runs the kernel on the CPU\n",
            name);
        return 77;
    }
    problem p(m, options);
    launch(p, 0);
    double const error = p.relative_error();
    bool const is_right = error <= bound;
    std::printf("%s: %u x %u x %u, relative error %.1e (bound %.0e): %s\n", name, m, n, k, error,
                bound, is_right ? "right" : "WRONG");
    if (!is_right) return 1;
    if (auto const us = time_us([&](unsigned i) { launch(p, i); }))
        std::printf("%.1f us a call, %.0f GB/s of weights\n", *us,
                    (n / 2.0 * k + 2.0 * n * k / group) / *us * 1e-3);
    else
        std::printf("run on the CPU, thread by thread: nothing was timed\n");
    return 0;
} catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
}

}  // namespace matmul
