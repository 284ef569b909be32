// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/past.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

constexpr qtk::attention_shape shape{4, 2, 6};

}  // namespace

TEST_CASE("what is written is read back, floats as they are and codes within half a step") {
    matrix const x = random_matrix(5, 12, 1);
    for (auto const storage : {qtk::kv_storage::f32, qtk::kv_storage::i8}) {
        qtk::head_rows rows(storage, 8, 2, 6);
        rows.write(0, {x.data(), 2, 12, 12});
        rows.write(2, {x.data() + 24, 3, 12, 12});
        matrix scratch;
        auto const back = rows.read(5, scratch);
        for (std::size_t r = 0; r < 5; ++r)
            for (std::size_t h = 0; h < 2; ++h) {
                float largest = 0.0f;
                for (std::size_t c = 0; c < 6; ++c)
                    largest = std::max(largest, std::fabs(x(r, h * 6 + c)));
                float const step = storage == qtk::kv_storage::f32 ? 0.0f : largest / 127.0f;
                for (std::size_t c = 0; c < 6; ++c)
                    CHECK(std::fabs(back(r, h * 6 + c) - x(r, h * 6 + c)) <= 0.501f * step);
            }
    }
    CHECK(qtk::head_rows(qtk::kv_storage::f32, 8, 2, 6).bytes() == 8 * 12 * 4);
    CHECK(qtk::head_rows(qtk::kv_storage::i8, 8, 2, 6).bytes() == 8 * 12 + 8 * 2 * 4);
}

TEST_CASE("attention after a past is attention to the whole text") {
    matrix const q = random_matrix(9, 24, 1), k = random_matrix(9, 12, 2),
                 v = random_matrix(9, 12, 3);
    matrix whole(9, 24);
    qtk::attend(shape, nullptr, q.view(), k.view(), v.view(), whole.view());
    qtk::layer_past past(qtk::kv_storage::f32, 9, shape);
    std::size_t done = 0;
    for (std::size_t const count : {std::size_t{4}, std::size_t{1}, std::size_t{4}}) {
        matrix y(count, 24);
        qtk::attend(shape, &past, {q.data() + done * 24, count, 24, 24},
                    {k.data() + done * 12, count, 12, 12}, {v.data() + done * 12, count, 12, 12},
                    y.view());
        for (std::size_t r = 0; r < count; ++r)
            for (std::size_t c = 0; c < 24; ++c)
                CHECK(std::fabs(y(r, c) - whole(done + r, c)) < 1e-5f);
        done += count;
        CHECK(past.length() == done);
    }
    past.shorten(3);
    CHECK(past.length() == 3);
    past.shorten(5);
    CHECK(past.length() == 3);
}

TEST_CASE("a cache has a past for each layer, and no more room than the context") {
    qtk::decoder_config config;
    config.layers = 3, config.heads = 4, config.kv_heads = 2, config.head_dim = 6;
    config.context = 10;
    qtk::kv_cache cache(config, 100);
    CHECK(cache.capacity() == 10);
    CHECK(cache.length() == 0);
    CHECK(cache.bytes() == 3 * 2 * 10 * 12 * 4);
    CHECK(qtk::kv_cache(config, 4, qtk::kv_storage::i8).bytes() == 3 * 2 * (4 * 12 + 4 * 2 * 4));
}
