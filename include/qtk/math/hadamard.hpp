// SPDX-License-Identifier: Apache-2.0
//
// How are outliers spread over a whole row without losing anything? By an orthogonal matrix whose
// entries have one size, and which costs n log n and not n^2:
//
//   y = (x * signs) R,  R = H_n / sqrt(n),  H_n = H_m (x) H_p (Kronecker), p a power of two
//
// Sylvester's H_2p = [[H_p, H_p], [H_p, -H_p]] (1867) by butterflies, H_m of Paley. A size without a
// known H_m is cut into equal blocks, powers of two: 11008 = 43 * 256. Random signs keep a constant
// row from becoming one large value.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/core/random.hpp>
#include <qtk/math/paley.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace qtk {
namespace detail {
inline namespace QTK_ABI_NS {

/// Four values in one vector register of every machine, so that all of them compute the same.
using float_quad = float __attribute__((vector_size(16)));

[[nodiscard]] inline float_quad load_quad(float const* x) noexcept {
    float_quad v;
    std::memcpy(&v, x, sizeof v);
    return v;
}
inline void store_quad(float* x, float_quad v) noexcept {
    std::memcpy(x, &v, sizeof v);
}

/// Butterflies at distance `step`, of any length.
inline void butterflies(float* x, std::size_t n, std::size_t step) noexcept {
    for (std::size_t block = 0; block < n; block += 2 * step)
        for (std::size_t i = block; i < block + step; ++i) {
            float const low = x[i], high = x[i + step];
            x[i] = low + high, x[i + step] = low - high;
        }
}

/// Those at distances 1 and 2, inside one register.
[[nodiscard]] inline float_quad near_butterflies(float_quad v) noexcept {
    v = float_quad{v[0], v[0], v[2], v[2]} + float_quad{v[1], -v[1], v[3], -v[3]};
    return float_quad{v[0], v[1], v[0], v[1]} + float_quad{v[2], v[3], -v[2], -v[3]};
}

/// Those at distances `step` and 2 * step, step a multiple of 4, in one pass over memory; before them
/// those at distances 1 and 2 if `IsFirst`.
template <bool IsFirst>
void far_butterflies(float* x, std::size_t n, std::size_t step) noexcept {
    for (std::size_t block = 0; block < n; block += 4 * step)
        for (std::size_t i = block; i < block + step; i += 4) {
            float_quad a = load_quad(x + i), b = load_quad(x + i + step),
                       c = load_quad(x + i + 2 * step), d = load_quad(x + i + 3 * step);
            if constexpr (IsFirst)
                a = near_butterflies(a), b = near_butterflies(b), c = near_butterflies(c),
                d = near_butterflies(d);
            store_quad(x + i, (a + b) + (c + d));
            store_quad(x + i + step, (a - b) + (c - d));
            store_quad(x + i + 2 * step, (a + b) - (c + d));
            store_quad(x + i + 3 * step, (a - b) - (c - d));
        }
}

/// x H_n, not normalized.
inline void sylvester(float* x, std::size_t n) noexcept {
    std::size_t step = 1;
    if (n >= 16) {
        far_butterflies<true>(x, n, 4);
        for (step = 16; 4 * step <= n; step *= 4) far_butterflies<false>(x, n, step);
    }
    for (; step < n; step *= 2) butterflies(x, n, step);
}

/// x [m, p] becomes H x, or H^T x: the factor of Paley, `lanes` columns at a time.
template <std::size_t Lanes>
void multiply_by_signs(std::span<float const> h, std::size_t m, bool is_transposed, float* x,
                       std::size_t p) noexcept {
    std::array<std::array<float, Lanes>, largest_paley_order> in;
    for (std::size_t k = 0; k < m; ++k) std::copy_n(x + k * p, Lanes, in[k].begin());
    for (std::size_t i = 0; i < m; ++i) {
        std::array<float, Lanes> sum{};
        for (std::size_t k = 0; k < m; ++k) {
            float const sign = is_transposed ? h[k * m + i] : h[i * m + k];
            for (std::size_t c = 0; c < Lanes; ++c) sum[c] += sign * in[k][c];
        }
        std::copy_n(sum.begin(), Lanes, x + i * p);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace detail

/// x becomes x H_n / sqrt(n), n = x.size() a power of two; a second time gives x again.
inline void walsh_hadamard(std::span<float> x) noexcept {
    QTK_EXPECTS(std::has_single_bit(x.size()));
    detail::sylvester(x.data(), x.size());
    float const factor = 1.0f / std::sqrt(static_cast<float>(x.size()));
    for (float& v : x) v *= factor;
}

/// How a size is cut: blocks of `paley_order` * `power` values, the order 1 or one of Paley's.
struct hadamard_shape {
    std::size_t paley_order = 1, power = 1, blocks = 1;
    [[nodiscard]] constexpr std::size_t block() const noexcept { return paley_order * power; }
    friend constexpr bool operator==(hadamard_shape const&, hadamard_shape const&) = default;
};

/// One block where the size has a known matrix, else blocks of the largest power of two that divides
/// it. size is positive.
[[nodiscard]] constexpr hadamard_shape hadamard_shape_of(std::size_t size) noexcept {
    QTK_EXPECTS(size > 0);
    std::size_t const power = std::size_t{1} << std::countr_zero(size), odd = size / power;
    if (odd == 1) return {.power = power};
    for (std::size_t order = 4 * odd; order <= std::min(size, largest_paley_order); order *= 2)
        if (size % order == 0 && paley_prime(order) != 0)
            return {.paley_order = order, .power = size / order};
    return {.power = power, .blocks = odd};
}
static_assert(hadamard_shape_of(192) == hadamard_shape{.paley_order = 12, .power = 16});
static_assert(hadamard_shape_of(768) == hadamard_shape{.paley_order = 12, .power = 64});
static_assert(hadamard_shape_of(11008) == hadamard_shape{.power = 256, .blocks = 43});

/// The rotation of rows of one size.
class hadamard {
  public:
    /// `seed` draws the signs; without one they are +1. size is positive.
    explicit hadamard(std::size_t size, std::optional<std::uint64_t> seed = {})
        : hadamard(hadamard_shape_of(size), seed) {}
    /// With blocks of the caller's choice; a paley_order that is not 1 has a prime.
    explicit hadamard(hadamard_shape const& shape, std::optional<std::uint64_t> seed = {})
        : shape_(shape) {
        QTK_EXPECTS(std::has_single_bit(shape.power) && shape.blocks > 0);
        if (shape.paley_order != 1) {
            std::vector<std::int8_t> const entries = paley_matrix(shape.paley_order);
            paley_.assign(entries.begin(), entries.end());
        }
        if (!seed) return;
        signs_.resize(size());
        for (std::size_t i = 0; i < signs_.size(); ++i)
            signs_[i] = (word_at(*seed, i) & 1u) != 0 ? 1.0f : -1.0f;
    }

    [[nodiscard]] std::size_t size() const noexcept { return shape_.block() * shape_.blocks; }
    [[nodiscard]] hadamard_shape const& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return (paley_.size() + signs_.size()) * sizeof(float);
    }

    /// row becomes (row * signs) R; row has size() values.
    void apply(std::span<float> row) const noexcept {
        QTK_EXPECTS(row.size() == size());
        flip(row);
        rotate(row, false);
    }
    /// The inverse, up to rounding: (row R^T) * signs.
    void apply_inverse(std::span<float> row) const noexcept {
        QTK_EXPECTS(row.size() == size());
        rotate(row, true);
        flip(row);
    }

  private:
    void flip(std::span<float> row) const noexcept {
        for (std::size_t i = 0; i < signs_.size(); ++i) row[i] *= signs_[i];
    }
    /// A row x of m * p values is a matrix X [m, p], and x (H_m (x) H_p) is H_m^T X H_p.
    void rotate(std::span<float> row, bool is_inverse) const noexcept {
        std::size_t const m = shape_.paley_order, p = shape_.power;
        float const factor = 1.0f / std::sqrt(static_cast<float>(shape_.block()));
        for (std::size_t b = 0; b < shape_.blocks; ++b) {
            float* const x = row.data() + b * shape_.block();
            for (std::size_t k = 0; k < m; ++k) detail::sylvester(x + k * p, p);
            if (m != 1) multiply(x, !is_inverse);
            for (std::size_t i = 0; i < shape_.block(); ++i) x[i] *= factor;
        }
    }
    void multiply(float* x, bool is_transposed) const noexcept {
        constexpr std::size_t lanes = 8;
        std::size_t const m = shape_.paley_order, p = shape_.power;
        std::size_t c = 0;
        for (; c + lanes <= p; c += lanes)
            detail::multiply_by_signs<lanes>(paley_, m, is_transposed, x + c, p);
        for (; c < p; ++c) detail::multiply_by_signs<1>(paley_, m, is_transposed, x + c, p);
    }

    hadamard_shape shape_;
    std::vector<float> paley_, signs_;  // [m, m] or none, [size] or none
};

}  // namespace qtk
