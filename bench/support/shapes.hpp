// SPDX-License-Identifier: Apache-2.0
//
// Which products are timed? Y = X W^T in the shape of one large layer, for one row of X (a token)
// up to a prompt of 512.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/core/random.hpp>
#include <qtk/core/spelling.hpp>

#include "memory.hpp"
#include "rates.hpp"
#include <string>
#include <utility>
#include <vector>

namespace qtk_bench {

/// M x N x K: rows of X, rows of W, columns of both.
struct shape {
    std::size_t m = 1, n = 1, k = 1;

    [[nodiscard]] std::string text() const {
        return std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
    }
    [[nodiscard]] double operations() const {
        return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    }
    /// Bytes of X, one call.
    [[nodiscard]] double input_bytes(std::size_t element = sizeof(float)) const {
        return static_cast<double>(m * k * element);
    }
    [[nodiscard]] double output_bytes() const { return static_cast<double>(m * n * sizeof(float)); }
};

/// The layer's sides, and how many rows of X this run tries.
[[nodiscard]] inline std::size_t side() {
    return run_extent() == extent::smoke ? 128 : 4096;
}
[[nodiscard]] inline std::vector<std::size_t> row_counts() {
    switch (run_extent()) {
        case extent::smoke:
            return {1, 5};
        case extent::quick:
            return {1, 16, 512};
        case extent::full:
            break;
    }
    return {1, 4, 8, 16, 32, 64, 128, 512};
}

/// "gemv" for one row.
[[nodiscard]] inline std::string product_name(shape const& s) {
    return s.m == 1 ? "gemv" : "gemm";
}

/// Weights in cold memory matter where each is used once.
[[nodiscard]] inline std::vector<warmth> warmths_of(shape const& s) {
    if (s.m == 1) return {warmth::hot, warmth::cold};
    return {warmth::hot};
}

/// What one product does with weights of so many bytes.
[[nodiscard]] inline work product_work(shape const& s, std::size_t weight_bytes, warmth heat,
                                       arithmetic unit, qtk::instruction_set isa, int team,
                                       std::size_t input_element = sizeof(float)) {
    double const read = static_cast<double>(weight_bytes) + s.input_bytes(input_element);
    auto const all = static_cast<std::size_t>(read + s.output_bytes());
    return {.bytes_read = read,
            .bytes_written = s.output_bytes(),
            .operations = s.operations(),
            .from = heat == warmth::cold ? level::dram : level_of(all),
            .unit = unit,
            .isa = isa,
            .threads = team};
}

/// The spelling of a scheme for names of rows: without the scale where that is the default.
[[nodiscard]] inline std::string scheme_name(qtk::scheme const& s) {
    std::string name = qtk::to_string(s);
    if (s.scale == qtk::scale_type::f32 && name.ends_with("/f32")) name.resize(name.size() - 4);
    return name;
}

/// n x k standard normal floats, made once: all rows of a program share them.
[[nodiscard]] inline qtk::matrix_view<float const> normal_weights(std::size_t n, std::size_t k) {
    static huge_buffer kept;
    static std::pair<std::size_t, std::size_t> kept_shape;
    if (kept_shape != std::pair(n, k)) {
        std::vector<float> const values = qtk::gaussian_vector(n * k, 1);
        kept = in_huge_pages(std::span<float const>(values));
        kept_shape = {n, k};
    }
    return {kept.as<float>().data(), n, k};
}

/// X and Y of a product.
struct product_operands {
    huge_buffer x, y;
    shape size;

    explicit product_operands(shape s)
        : x(in_huge_pages(std::span<float const>(qtk::gaussian_vector(s.m * s.k, 2)))),
          y(s.m * s.n * sizeof(float)),
          size(s) {}
    [[nodiscard]] qtk::matrix_view<float const> input() const {
        return {x.as<float>().data(), size.m, size.k};
    }
    [[nodiscard]] qtk::matrix_view<float> output() const {
        return {y.as<float>().data(), size.m, size.n};
    }
};

}  // namespace qtk_bench
