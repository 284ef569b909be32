// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx512/gemv_f32.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

// With small integers for x and scales of 1 every order of sums is exact.
TEST_CASE("one row of small integers is multiplied exactly, by tables and directly") {
    if (!qtk::cpu().avx512) return;
    for (auto const& [name, f] : qtk::known_formats) {
        if (!f.is_integer()) continue;
        CAPTURE(name);
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating})
            for (std::size_t const n : {40u, 130u}) {  // two panels; five, which is worth tables
                qtk::scheme const s{.element = f, .grain = qtk::per_group(40), .zero = zero};
                qtk::any_qmatrix q = cases::random_qmatrix(s, n, 170, 3);
                std::vector<qtk::tile_params> params(q.grid().count());
                for (std::size_t i = 0; i < params.size(); ++i)
                    params[i] = {1.0f, zero == qtk::origin::fixed
                                           ? qtk::symmetric_zero(f)
                                           : static_cast<int>(i) % f.patterns()};
                q.set_params(params);
                std::vector<float> x(170), y(n);
                for (std::size_t k = 0; k < 170; ++k) x[k] = static_cast<float>(k * 5 % 17) - 8.0f;
                qtk::detail::checked_product(qtk::instruction_set::avx512, qtk::prepack(q),
                                             qtk::matrix_view<float const>(x.data(), 1, 170),
                                             qtk::matrix_view<float>(y.data(), 1, n), {});
                for (std::size_t r = 0; r < n; ++r) {
                    float sum = 0.0f;
                    for (std::size_t k = 0; k < 170; ++k)
                        sum += static_cast<float>(q.field(r, k) - q.params(r, k / 40).zero) * x[k];
                    REQUIRE(y[r] == sum);
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
