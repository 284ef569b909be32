// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/past.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

qtk::attention_shape seeing(std::size_t window) {
    return {4, 2, 6, window};
}

}  // namespace

TEST_CASE("what is written is read back, floats as they are and codes within half a step") {
    matrix const x = random_matrix(5, 12, 1);
    for (auto const storage : {qtk::kv_storage::f32, qtk::kv_storage::i8}) {
        qtk::head_rows rows(storage, 8, 2, 6);
        rows.write(0, {x.data(), 2, 12, 12});
        rows.write(2, {x.data() + 24, 3, 12, 12});
        std::vector<float> scratch;
        for (std::size_t h = 0; h < 2; ++h) {
            auto const back = rows.read(h, 1, 4, scratch);
            CHECK(back.rows == 4);
            CHECK(back.cols == 6);
            CHECK(scratch.empty() == (storage == qtk::kv_storage::f32));
            for (std::size_t r = 1; r < 5; ++r) {
                float largest = 0.0f;
                for (std::size_t c = 0; c < 6; ++c)
                    largest = std::max(largest, std::fabs(x(r, h * 6 + c)));
                float const step = storage == qtk::kv_storage::f32 ? 0.0f : largest / 127.0f;
                for (std::size_t c = 0; c < 6; ++c)
                    CHECK(std::fabs(back(r - 1, c) - x(r, h * 6 + c)) <= 0.501f * step);
            }
        }
    }
    CHECK(qtk::head_rows(qtk::kv_storage::f32, 8, 2, 6).bytes() == 8 * 12 * 4);
    CHECK(qtk::head_rows(qtk::kv_storage::i8, 8, 2, 6).bytes() == 8 * 12 + 8 * 2 * 4);
}

TEST_CASE("attention after a past is attention to the whole text, with and without a window") {
    for (std::size_t const window : {0u, 1u, 3u, 9u}) {
        auto const shape = seeing(window);
        matrix const q = random_matrix(9, 24, 1), k = random_matrix(9, 12, 2),
                     v = random_matrix(9, 12, 3);
        matrix whole(9, 24);
        qtk::attend(shape, nullptr, q.view(), k.view(), v.view(), whole.view());
        qtk::layer_past past(qtk::kv_storage::f32, 9, shape);
        std::size_t done = 0;
        for (std::size_t const count : {std::size_t{4}, std::size_t{1}, std::size_t{4}}) {
            matrix y(count, 24);
            qtk::attend(shape, &past, {q.data() + done * 24, count, 24, 24},
                        {k.data() + done * 12, count, 12, 12},
                        {v.data() + done * 12, count, 12, 12}, y.view());
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
}

TEST_CASE("attention to codes is attention to what they decode to") {
    for (std::size_t const window : {0u, 4u})
        for (std::size_t const count : {std::size_t{1}, std::size_t{2}, std::size_t{70}}) {
            auto const shape = seeing(window);
            matrix const q = random_matrix(count, 24, 1), k = random_matrix(90, 12, 2),
                         v = random_matrix(90, 12, 3);
            qtk::layer_past past(qtk::kv_storage::i8, 90, shape);
            past.append({k.data(), 90 - count, 12}, {v.data(), 90 - count, 12});
            matrix y(count, 24), expected(count, 24), keys(90, 12), values(90, 12);
            qtk::attend(shape, &past, q.view(), {k.data() + (90 - count) * 12, count, 12},
                        {v.data() + (90 - count) * 12, count, 12}, y.view());
            std::vector<float> scratch;
            for (std::size_t h = 0; h < 2; ++h)
                for (auto const& [from, to] :
                     {std::pair(&past.keys(), &keys), std::pair(&past.values(), &values)}) {
                    auto const head = from->read(h, 0, 90, scratch);
                    for (std::size_t r = 0; r < 90; ++r)
                        for (std::size_t c = 0; c < 6; ++c) (*to)(r, h * 6 + c) = head(r, c);
                }
            qtk::causal_attention(shape, q.view(), keys.view(), values.view(), expected.view());
            CHECK(y == expected);
        }
}

TEST_CASE("a prompt at once and token by token leave the same groups, and attention stays close") {
    auto const shape = seeing(0);
    matrix const q = random_matrix(50, 24, 1), k = random_matrix(50, 12, 2),
                 v = random_matrix(50, 12, 3);
    matrix exact(50, 24);
    qtk::attend(shape, nullptr, q.view(), k.view(), v.view(), exact.view());
    double before = 0.0;
    for (char const* const text : {"i8/g8/r4", "i4/g8/r4", "i2/g8/r4"}) {
        CAPTURE(text);
        auto const how = qtk::parse_kv_format(text);
        qtk::layer_past once(how, 50, shape), stepwise(how, 50, shape);
        matrix prompt(50, 24), written(50, 24);
        qtk::attend(shape, &once, q.view(), k.view(), v.view(), prompt.view());
        for (std::size_t t = 0; t < 50; ++t)
            qtk::attend(shape, &stepwise, {q.data() + t * 24, 1, 24}, {k.data() + t * 12, 1, 12},
                        {v.data() + t * 12, 1, 12}, {written.data() + t * 24, 1, 24});
        std::vector<float> a, b;
        for (std::size_t h = 0; h < 2; ++h)
            for (auto const& [one, other] : {std::pair(&once.keys(), &stepwise.keys()),
                                             std::pair(&once.values(), &stepwise.values())}) {
                static_cast<void>(one->read(h, 0, 50, a));
                static_cast<void>(other->read(h, 0, 50, b));
                CHECK(a == b);
            }
        CHECK(once.bytes() == stepwise.bytes());
        // The prompt itself is attended to in floats.
        double error = 0.0;
        for (std::size_t i = 0; i < exact.view().size(); ++i) {
            CHECK(std::fabs(prompt.data()[i] - exact.data()[i]) < 1e-5f);
            double const e =
                static_cast<double>(written.data()[i]) - static_cast<double>(exact.data()[i]);
            error += e * e;
        }
        CHECK(error > 8.0 * before);
        CHECK(error < 50.0 * 24.0 * 0.2);
        before = error;
        once.shorten(20);
        CHECK(once.length() == 20);
        matrix again(30, 24);
        qtk::attend(shape, &once, {q.data() + 20 * 24, 30, 24}, {k.data() + 20 * 12, 30, 12},
                    {v.data() + 20 * 12, 30, 12}, again.view());
        CHECK(once.length() == 50);
    }
    qtk::layer_past recent(qtk::parse_kv_format("i2/g8/r50"), 50, shape);
    matrix y(1, 24);
    for (std::size_t t = 0; t < 50; ++t)
        qtk::attend(shape, &recent, {q.data() + t * 24, 1, 24}, {k.data() + t * 12, 1, 12},
                    {v.data() + t * 12, 1, 12}, y.view());
    for (std::size_t c = 0; c < 24; ++c) CHECK(std::fabs(y(0, c) - exact(49, c)) < 1e-5f);
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
