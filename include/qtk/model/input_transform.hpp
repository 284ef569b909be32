// SPDX-License-Identifier: Apache-2.0
//
// What does a layer do to its input before it multiplies its weight? Methods trade a weight that is
// hard to round for an easier one behind a change of the input that can be undone:
//
//   z = R(P(x * t))        t a factor for each column, P an order of the columns, R a rotation
//   W' = R(P(W / t))       by rows, so that z W'^T = x W^T: R is orthogonal, P a permutation
//
// The factors are those of SmoothQuant and AWQ where nothing before the layer can take them (by their
// inverses), the order is that of GPTQ (act-order), the rotation that of QuaRot.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/hadamard.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

class input_transform {
  public:
    /// Each may be left out, by an empty vector or no rotation.
    struct parts {
        std::vector<float> factors = {};        ///< t: column k is multiplied by factors[k]
        std::vector<std::uint32_t> order = {};  ///< column k becomes column order[k] of x * t
        std::optional<hadamard> rotation = {};  ///< of the columns in that order
    };

    /// Of rows of `size` values. Throws shape_error if a part has another size, value_error for a
    /// factor that is zero or not finite, or an order that is no permutation.
    input_transform(std::size_t size, parts what) : size_(size), parts_(std::move(what)) {
        require_size("factors", parts_.factors.size());
        require_size("columns in order", parts_.order.size());
        if (parts_.rotation) require_size("columns to rotate", parts_.rotation->size());
        for (std::size_t k = 0; k < parts_.factors.size(); ++k)
            if (!std::isfinite(parts_.factors[k]) || parts_.factors[k] == 0.0f)
                throw value_error(
                    "input transform: expected finite factors other than zero, found " +
                    std::to_string(parts_.factors[k]) + " for column " + std::to_string(k));
        require_permutation();
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] parts const& what() const noexcept { return parts_; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return parts_.factors.size() * sizeof(float) + parts_.order.size() * sizeof(std::uint32_t) +
               (parts_.rotation ? parts_.rotation->bytes() : 0);
    }

    /// z [m, size] from x [m, size]; they do not overlap. Throws shape_error if the shapes do not fit.
    void apply(matrix_view<float const> x, matrix_view<float> z) const {
        require_shapes(x, z);
        parallel_for(x.rows, 4 * x.size(), [&](std::size_t r) {
            std::span<float const> const from = x.row(r);
            std::span<float> const to = z.row(r);
            for (std::size_t k = 0; k < size_; ++k) to[k] = from[source(k)] * factor(source(k));
            if (parts_.rotation) parts_.rotation->apply(to);
        });
    }
    /// W' of W [out, size]: with it the layer computes what W computes without a transform. Throws
    /// shape_error if the shapes do not fit.
    [[nodiscard]] matrix weight_for(matrix_view<float const> w) const {
        matrix changed(w.rows, w.cols);
        require_shapes(w, changed.view());
        parallel_for(w.rows, 4 * w.size(), [&](std::size_t r) {
            std::span<float const> const from = w.row(r);
            std::span<float> const to = changed.view().row(r);
            for (std::size_t k = 0; k < size_; ++k) to[k] = from[source(k)] / factor(source(k));
            if (parts_.rotation) parts_.rotation->apply(to);
        });
        return changed;
    }
    /// W of W' [out, size]: what a layer that holds W' behind the transform computes. Throws shape_error
    /// if the shapes do not fit.
    [[nodiscard]] matrix weight_without(matrix_view<float const> changed) const {
        matrix w(changed.rows, changed.cols);
        require_shapes(changed, w.view());
        parallel_for(changed.rows, 4 * changed.size(), [&](std::size_t r) {
            std::span<float const> const row = changed.row(r);
            std::vector<float> from(row.begin(), row.end());
            if (parts_.rotation) parts_.rotation->apply_inverse(from);
            std::span<float> const to = w.view().row(r);
            for (std::size_t k = 0; k < size_; ++k) to[source(k)] = from[k] * factor(source(k));
        });
        return w;
    }

  private:
    [[nodiscard]] std::size_t source(std::size_t k) const noexcept {
        return parts_.order.empty() ? k : parts_.order[k];
    }
    [[nodiscard]] float factor(std::size_t k) const noexcept {
        return parts_.factors.empty() ? 1.0f : parts_.factors[k];
    }
    void require_size(char const* what, std::size_t found) const {
        if (found != 0 && found != size_)
            throw shape_error("input transform: expected " + std::to_string(size_) + " " + what +
                              ", found " + std::to_string(found));
    }
    void require_permutation() const {
        std::vector<bool> is_seen(parts_.order.size());
        for (std::uint32_t const k : parts_.order) {
            if (k >= is_seen.size() || is_seen[k])
                throw value_error(
                    "input transform: expected every column once in the order, found " +
                    std::to_string(k) +
                    (k >= is_seen.size() ? " of " + std::to_string(size_) : std::string(" twice")));
            is_seen[k] = true;
        }
    }
    void require_shapes(matrix_view<float const> from, matrix_view<float const> to) const {
        if (from.cols != size_ || to.cols != size_ || from.rows != to.rows)
            throw shape_error("input transform: expected rows of " + std::to_string(size_) +
                              ", found [" + std::to_string(from.rows) + ", " +
                              std::to_string(from.cols) + "] and [" + std::to_string(to.rows) +
                              ", " + std::to_string(to.cols) + "]");
    }

    std::size_t size_;
    parts parts_;
};

}  // namespace qtk
