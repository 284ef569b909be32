// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/input_statistics.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

qtk::matrix noise(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    qtk::matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

}  // namespace

TEST_CASE("two rows of two columns, by hand, in one piece or in two") {
    std::vector<float> const x{1.0f, -2.0f, 3.0f, 4.0f};
    qtk::input_statistics whole(2), pieces(2);
    whole.add({x.data(), 2, 2});
    pieces.add({x.data(), 1, 2});
    pieces.add({x.data() + 2, 1, 2});
    for (qtk::input_statistics const* seen : {&whole, &pieces}) {
        CHECK(seen->count() == 2);
        CHECK(seen->mean() == std::vector<float>{2.0f, 1.0f});
        CHECK(seen->abs_mean() == std::vector<float>{2.0f, 3.0f});
        CHECK(seen->square_mean() == std::vector<float>{5.0f, 10.0f});
        CHECK(seen->abs_max()[0] == 3.0f);
        CHECK(seen->abs_max()[1] == 4.0f);
        qtk::matrix const h = seen->hessian();  // 2/2 of [1+9, -2+12; ., 4+16]
        CHECK(h(0, 0) == 10.0f);
        CHECK(h(0, 1) == 10.0f);
        CHECK(h(1, 0) == 10.0f);
        CHECK(h(1, 1) == 20.0f);
    }
}

TEST_CASE("the range is that of all values seen, and need not hold zero") {
    qtk::input_statistics seen(2, {.has_hessian = false});
    CHECK(seen.range().highest == 0.0f);
    qtk::matrix x(1, 2);
    x(0, 0) = 3.0f, x(0, 1) = 5.0f;
    seen.add(x.view());
    CHECK(seen.range().lowest == 3.0f);
    x(0, 1) = 9.0f, x(0, 0) = 4.0f;
    seen.add(x.view());
    CHECK(seen.range().lowest == 3.0f);
    CHECK(seen.range().highest == 9.0f);
}

TEST_CASE("the Hessian is 2/N sum of products, for more rows and columns than one strip") {
    qtk::matrix const x = noise(700, 150, 1);
    qtk::input_statistics seen(150);
    seen.add({x.data(), 650, 150});
    seen.add({x.data() + 650 * 150, 50, 150});
    qtk::matrix const h = seen.hessian();
    for (std::size_t i = 0; i < 150; i += 7)
        for (std::size_t j = 0; j < 150; j += 11) {
            double sum = 0.0;
            for (std::size_t r = 0; r < 700; ++r)
                sum += static_cast<double>(x(r, i)) * static_cast<double>(x(r, j));
            CHECK(h(i, j) == doctest::Approx(2.0 * sum / 700.0).epsilon(1e-4).scale(1.0));
            CHECK(h(i, j) == h(j, i));
        }
}

TEST_CASE("the sample holds rows that were there, each about equally often") {
    // Row r is filled with r, so that a kept row says which one it was.
    qtk::matrix x(200, 3);
    for (std::size_t r = 0; r < 200; ++r)
        for (std::size_t c = 0; c < 3; ++c) x(r, c) = static_cast<float>(r);
    std::vector<int> kept(200);
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
        qtk::input_statistics seen(3, {.has_hessian = false, .kept_rows = 20, .seed = seed});
        seen.add({x.data(), 150, 3});
        seen.add({x.data() + 450, 50, 3});
        auto const rows = seen.rows();
        REQUIRE(rows.rows == 20);
        std::set<float> different;
        for (std::size_t r = 0; r < 20; ++r) {
            REQUIRE(rows(r, 0) == rows(r, 2));
            different.insert(rows(r, 0));
            ++kept[static_cast<std::size_t>(rows(r, 0))];
        }
        REQUIRE(different.size() == 20);
    }
    // 40 expected each, with a standard deviation of 6.
    for (int const n : kept) CHECK(std::abs(n - 40) < 30);
}

TEST_CASE("fewer rows than the sample holds are all kept") {
    qtk::matrix const x = noise(3, 4, 2);
    qtk::input_statistics seen(4, {.kept_rows = 8});
    seen.add(x.view());
    REQUIRE(seen.rows().rows == 3);
    for (std::size_t i = 0; i < 12; ++i) CHECK(seen.rows().data[i] == x.data()[i]);
}

TEST_CASE("rows that cannot count are refused, and nothing is counted") {
    qtk::input_statistics seen(2);
    std::vector<float> const bad{1.0f, std::numeric_limits<float>::infinity()};
    CHECK_THROWS_WITH_AS(seen.add({bad.data(), 1, 1}),
                         "input statistics: expected rows of 2, found 1", qtk::shape_error);
    CHECK_THROWS_AS(seen.add({bad.data(), 1, 2}), qtk::nonfinite_error);
    CHECK(seen.count() == 0);
    CHECK_THROWS_WITH_AS(static_cast<void>(seen.hessian()),
                         "input statistics: there is no Hessian, no row was added",
                         qtk::value_error);
    qtk::input_statistics none(2, {.has_hessian = false});
    none.add({bad.data(), 0, 2});
    std::vector<float> const good{1.0f, 2.0f};
    none.add({good.data(), 1, 2});
    CHECK_THROWS_WITH_AS(static_cast<void>(none.hessian()),
                         "input statistics: there is no Hessian, none was asked for",
                         qtk::value_error);
}

#if defined(_OPENMP)
TEST_CASE("statistics are the same for any number of threads") {
    qtk::matrix const x = noise(600, 300, 3);
    qtk::input_statistics one(300), four(300);
    int const before = omp_get_max_threads();
    omp_set_num_threads(1);
    one.add(x.view());
    omp_set_num_threads(4);
    four.add(x.view());
    omp_set_num_threads(before);
    CHECK(one.hessian() == four.hessian());
}
#endif
