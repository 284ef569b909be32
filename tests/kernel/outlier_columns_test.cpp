// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/outlier_columns.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <limits>
#include <vector>

TEST_CASE("outlier columns are those in which a finite value reaches the threshold") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    std::size_t const rows = 3, cols = 1100, stride = 1103;
    std::vector<float> x(rows * stride, 5.99f);
    x[0 * stride + 7] = 6.0f;
    x[2 * stride + 511] = -6.5f;
    x[1 * stride + 512] = -1e30f;
    x[1 * stride + 600] = infinity;
    x[1 * stride + 601] = std::numeric_limits<float>::quiet_NaN();
    x[2 * stride + 1099] = 100.0f;
    x[2 * stride + 1100] = 100.0f;  // behind the row
    auto const found = qtk::detail::outlier_columns_of(
        qtk::matrix_view<float const>(x.data(), rows, cols, stride), 6.0f);
    CHECK(found == std::vector<std::uint32_t>{7, 511, 512, 1099});
    CHECK(qtk::detail::outlier_columns_of(
              qtk::matrix_view<float const>(x.data(), rows, cols, stride), infinity)
              .empty());
}

TEST_CASE("decoded columns are the floats of decode_rows") {
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        cases::product const p(s, {1, 45, 150});
        std::vector<std::uint32_t> k(150);
        for (std::size_t i = 0; i < 150; ++i) k[i] = static_cast<std::uint32_t>(i);
        std::vector<float> columns(150 * 32);
        for (std::size_t panel = 0; panel < 2; ++panel) {
            qtk::detail::column_decoder(p.packed.view())
                .decode(panel, k.data(), 150, columns.data());
            for (std::size_t n = 32 * panel; n < std::min<std::size_t>(45, 32 * panel + 32); ++n)
                for (std::size_t i = 0; i < 150; ++i)
                    REQUIRE(columns[i * 32 + n % 32] == p.decoded[n * 150 + i]);
        }
    }
}

TEST_CASE("columns are added with the same bits on every instruction set") {
    std::size_t const rows = 7, count = 13;
    std::vector<float> const columns = qtk::gaussian_vector(count * 32, 1),
                             x = qtk::gaussian_vector(rows * 20, 2),
                             start = qtk::gaussian_vector(rows * 32, 3);
    std::vector<float> expected = start;
    qtk::scalar::add_columns(columns.data(), count, x.data(), 20, rows, expected.data());
    CHECK(expected[40] == doctest::Approx([&] {
              double y = static_cast<double>(start[40]);
              for (std::size_t j = 0; j < count; ++j)
                  y += static_cast<double>(x[20 + j]) * static_cast<double>(columns[32 * j + 8]);
              return y;
          }()));
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        std::vector<float> found = start;
        qtk::detail::add_columns_on(isa, columns.data(), count, x.data(), 20, rows, found.data());
        CHECK(cases::same_bits(found, expected));
    }
}
