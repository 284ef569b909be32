// SPDX-License-Identifier: Apache-2.0
//
// How are two float matrices multiplied? By a CBLAS where the program links one (QTK_HAS_CBLAS,
// which the CMake component qtk::models defines), else by a blocked loop that any compiler turns
// into vector code. A BLAS may order its sums by the shape of a product and by its own threads, so
// it gets tiles of a fixed size, which are shared between ours: the number of threads changes no bit.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/checked.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>

#if !defined(QTK_HAS_CBLAS)
#define QTK_HAS_CBLAS 0
#endif
#if QTK_HAS_CBLAS
#include <cblas.h>
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

namespace qtk {

/// c = alpha a b + beta c. With beta = 0, c is not read.
struct matmul_options {
    float alpha = 1.0f, beta = 0.0f;
};

/// How the second factor lies: [n, k], as weights do, or [k, n].
enum class factor { transposed, plain };

namespace detail {
inline namespace QTK_ABI_NS {

/// Eight floats that are added and multiplied together, in one vector register or in two.
using float_octet = float __attribute__((vector_size(32)));

/// The meaning of matmul(): panels of 8 columns of the product, their part of b laid out as [k, 8];
/// 4 rows of a at a time. Every element is one sum in the order of k.
template <factor B>
void matmul_loop(matrix_view<float const> a, matrix_view<float const> b, matrix_view<float> c,
                 matmul_options options) {
    constexpr std::size_t wide = 8, tall = 4;
    std::vector<float_octet> panel(a.cols);
    for (std::size_t j = 0; j < c.cols; j += wide) {
        std::size_t const columns = std::min(wide, c.cols - j);
        for (std::size_t k = 0; k < a.cols; ++k) {
            panel[k] = float_octet{};
            for (std::size_t n = 0; n < columns; ++n)
                panel[k][n] = B == factor::transposed ? b(j + n, k) : b(k, j + n);
        }
        for (std::size_t i = 0; i < c.rows; i += tall) {
            // Rows past the end repeat the last one and are not stored.
            std::array<float const*, tall> row;
            for (std::size_t m = 0; m < tall; ++m)
                row[m] = a.data + std::min(i + m, a.rows - 1) * a.stride;
            std::array<float_octet, tall> sum{};
            for (std::size_t k = 0; k < a.cols; ++k)
                for (std::size_t m = 0; m < tall; ++m) sum[m] += row[m][k] * panel[k];
            for (std::size_t m = 0; m < std::min(tall, c.rows - i); ++m)
                for (std::size_t n = 0; n < columns; ++n) {
                    float& out = c(i + m, j + n);
                    float const product = options.alpha * sum[m][n];
                    out = options.beta == 0.0f ? product : product + options.beta * out;
                }
        }
    }
}

#if QTK_HAS_CBLAS
template <factor B>
void matmul_cblas(matrix_view<float const> a, matrix_view<float const> b, matrix_view<float> c,
                  matmul_options options) {
    // A leading dimension may not be 0, not even of an empty matrix.
    auto const step = [](auto const& m) { return checked_cast<int>(std::max(m.stride, m.cols)); };
    cblas_sgemm(CblasRowMajor, CblasNoTrans, B == factor::transposed ? CblasTrans : CblasNoTrans,
                checked_cast<int>(c.rows), checked_cast<int>(c.cols), checked_cast<int>(a.cols),
                options.alpha, a.data, std::max(step(a), 1), b.data, std::max(step(b), 1),
                options.beta, c.data, std::max(step(c), 1));
}
#endif

}  // namespace QTK_ABI_NS
}  // namespace detail

// What depends on the library that is linked bears its name, as abi.hpp explains.
#if QTK_HAS_CBLAS
inline namespace with_cblas {
#else
inline namespace without_cblas {
#endif

/// While one exists, OpenBLAS computes on the calling thread alone; the last one to go restores the
/// number of threads. Other BLAS libraries are left as they are.
class single_threaded_blas {
  public:
    single_threaded_blas() { count(+1); }
    ~single_threaded_blas() { count(-1); }
    single_threaded_blas(single_threaded_blas const&) = delete;
    single_threaded_blas& operator=(single_threaded_blas const&) = delete;

  private:
#if QTK_HAS_CBLAS && defined(OPENBLAS_VERSION)
    static void count(int change) {
        static std::mutex mutex;
        static int users = 0, threads = 1;
        std::lock_guard const lock(mutex);
        if (users == 0) threads = openblas_get_num_threads();
        users += change;
        openblas_set_num_threads(users == 0 ? threads : 1);
    }
#else
    static void count(int) noexcept {}
#endif
};

/// c [m, n] = alpha a [m, k] b + beta c, with b [n, k] (transposed, the default: a weight) or
/// [k, n] (plain). c overlaps neither a nor b. Throws shape_error if the shapes do not fit.
template <factor B = factor::transposed>
void matmul(matrix_view<float const> a, matrix_view<float const> b, matrix_view<float> c,
            matmul_options options = {}) {
    std::size_t const inner = B == factor::transposed ? b.cols : b.rows;
    std::size_t const outer = B == factor::transposed ? b.rows : b.cols;
    if (a.cols != inner || c.rows != a.rows || c.cols != outer) {
        auto const shape = [](auto const& m) {
            return "[" + std::to_string(m.rows) + ", " + std::to_string(m.cols) + "]";
        };
        throw shape_error("matmul: " + shape(a) + " times " + shape(b) +
                          (B == factor::transposed ? " transposed" : "") + " does not give " +
                          shape(c));
    }
    if (c.rows == 0 || c.cols == 0) return;
#if QTK_HAS_CBLAS
    constexpr std::size_t tall = 256, wide = 256;
    std::size_t const across = div_ceil(c.cols, wide), tiles = div_ceil(c.rows, tall) * across;
    auto const part = [](auto m, std::size_t row, std::size_t rows, std::size_t col,
                         std::size_t cols) {
        return decltype(m)(m.data + row * m.stride + col, rows, cols, m.stride);
    };
    single_threaded_blas const one_thread;
    parallel_for(tiles, c.rows * c.cols / 64 * a.cols, [&](std::size_t t) {
        std::size_t const i = t / across * tall, rows = std::min(tall, c.rows - i),
                          j = t % across * wide, cols = std::min(wide, c.cols - j);
        detail::matmul_cblas<B>(
            part(a, i, rows, 0, a.cols),
            B == factor::transposed ? part(b, j, cols, 0, b.cols) : part(b, 0, b.rows, j, cols),
            part(c, i, rows, j, cols), options);
    });
#else
    detail::matmul_loop<B>(a, b, c, options);
#endif
}

}  // namespace with_cblas or without_cblas
}  // namespace qtk
