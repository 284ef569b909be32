// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx512/gemv_f32.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <tuple>

#if QTK_HAS_X86

// With small integers for x and scales of 1 every order of sums is exact.
TEST_CASE("one row of small integers is multiplied exactly, by tables and directly") {
    if (!qtk::cpu().avx512) return;
    for (auto const& [name, f] : qtk::known_formats) {
        if (!f.is_integer()) continue;
        CAPTURE(name);
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating})
            // Two panels; five; and a row that is cut into pieces in the middle of its one group.
            for (auto const& [n, k, group] : {std::tuple{40u, 170u, 40}, std::tuple{130u, 170u, 40},
                                              std::tuple{33u, 4500u, 9000}}) {
                qtk::scheme const s{.element = f, .grain = {1, group}, .zero = zero};
                qtk::any_qmatrix q = cases::random_qmatrix(s, n, k, 3);
                std::vector<qtk::tile_params> params(q.grid().count());
                for (std::size_t i = 0; i < params.size(); ++i)
                    params[i] = {1.0f, zero == qtk::origin::fixed
                                           ? qtk::symmetric_zero(f)
                                           : static_cast<int>(i) % f.patterns()};
                q.set_params(params);
                std::vector<float> x(k), y(n);
                for (std::size_t i = 0; i < k; ++i) x[i] = static_cast<float>(i * 5 % 17) - 8.0f;
                qtk::detail::checked_product(qtk::instruction_set::avx512, qtk::prepack(q),
                                             qtk::matrix_view<float const>(x.data(), 1, k),
                                             qtk::matrix_view<float>(y.data(), 1, n), {});
                for (std::size_t r = 0; r < n; ++r) {
                    std::int64_t sum = 0;
                    for (std::size_t i = 0; i < k; ++i)
                        sum += (q.field(r, i) - q.params(r, i / q.grid().cols).zero) *
                               static_cast<int>(x[i]);
                    REQUIRE(y[r] == static_cast<float>(sum));
                }
            }
    }
}

TEST_CASE("many panels lie within the stated bound, where two and three bits use tables") {
    if (!qtk::cpu().avx512) return;
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        cases::product const p(s, {1, 131, 200});
        REQUIRE(cases::within(p.on(qtk::instruction_set::avx512, {}),
                              p.on(qtk::instruction_set::scalar, {}),
                              p.bounds(qtk::activation_type::f32)));
    }
}

#endif
