// SPDX-License-Identifier: Apache-2.0
//
// Which square matrices of +1 and -1 have orthogonal rows if their order is no power of two? Those
// of Paley (1933), computed from the squares modulo a prime q, chi(a) = +1 for a square, -1 else:
//
//   first kind   q mod 4 = 3, order q + 1       I + S, S bordered by 1 and -1, S_ij = chi(j - i)
//   second kind  q mod 4 = 1, order 2 (q + 1)   C bordered by 1, C_ij = chi(i - j), with 0 replaced
//                                               by [[1, -1], [-1, -1]], c by c [[1, 1], [1, -1]]
//
// Differs from the paper: powers of primes are left out.
#pragma once

#include <qtk/core/contract.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qtk {

/// Beyond it the matrix costs more than it spreads, and no longer fits the first cache.
inline constexpr std::size_t largest_paley_order = 256;

namespace detail {

[[nodiscard]] constexpr bool is_prime(std::size_t n) noexcept {
    if (n < 2) return false;
    for (std::size_t d = 2; d * d <= n; ++d)
        if (n % d == 0) return false;
    return true;
}

/// chi(0), ..., chi(q - 1) for an odd prime q.
[[nodiscard]] inline std::vector<std::int8_t> quadratic_characters(std::size_t q) {
    std::vector<std::int8_t> chi(q, -1);
    chi[0] = 0;
    for (std::size_t a = 1; a < q; ++a) chi[a * a % q] = 1;
    return chi;
}

}  // namespace detail

/// The prime behind the matrix of that order: 0 if neither kind has the order.
[[nodiscard]] constexpr std::size_t paley_prime(std::size_t order) noexcept {
    if (order < 4 || order % 4 != 0) return 0;
    if (detail::is_prime(order - 1)) return order - 1;  // order - 1 mod 4 is 3
    std::size_t const q = order / 2 - 1;
    return q % 4 == 1 && detail::is_prime(q) ? q : 0;
}
static_assert(paley_prime(12) == 11 && paley_prime(20) == 19 && paley_prime(28) == 13);
static_assert(paley_prime(92) == 0, "found by Baumert, Golomb and Hall only in 1962");

/// The entries of the matrix of that order, row-major, +1 and -1; paley_prime(order) is not 0.
[[nodiscard]] inline std::vector<std::int8_t> paley_matrix(std::size_t order) {
    std::size_t const q = paley_prime(order);
    QTK_EXPECTS(q != 0);
    std::vector<std::int8_t> const chi = detail::quadratic_characters(q);
    bool const is_first = q + 1 == order;
    // Entry (i, j) of the bordered matrix, [q + 1, q + 1], with zeros on its diagonal.
    auto const bordered = [&](std::size_t i, std::size_t j) -> int {
        if (i == j) return 0;
        if (i == 0) return 1;
        if (j == 0) return is_first ? -1 : 1;
        return chi[(j + q - i) % q];
    };
    std::vector<std::int8_t> h(order * order);
    for (std::size_t i = 0; i < order; ++i)
        for (std::size_t j = 0; j < order; ++j) {
            int entry = 0;
            if (is_first) {
                entry = i == j ? 1 : bordered(i, j);
            } else {
                int const c = bordered(i / 2, j / 2);
                bool const is_last = i % 2 == 1 && j % 2 == 1;
                entry = c != 0 ? (is_last ? -c : c) : (i % 2 == 0 && j % 2 == 0 ? 1 : -1);
            }
            h[i * order + j] = static_cast<std::int8_t>(entry);
        }
    return h;
}

}  // namespace qtk
