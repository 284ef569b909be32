// SPDX-License-Identifier: Apache-2.0
//
// What holds of round to nearest for every scheme that can be spelled, every shape and every instruction
// set: the scalar definition, fake quantization, order of rows and blocks, parts of a matrix, powers of
// two, values that are not finite, and a processor that flushes subnormals.
#include <qtk/core/spelling.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/encode_row.hpp>
#include <qtk/kernel/measure.hpp>
#include <qtk/method/rtn.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include "property.hpp"
#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace {

using qtk::any_qmatrix;
using qtk::any_quantizer;
using qtk::instruction_set;
using qtk::matrix_view;
using qtk::scheme;
using qtk::tile_params;

std::vector<instruction_set> usable_sets() {
    using enum instruction_set;
    std::vector<instruction_set> sets;
    for (instruction_set const set : {scalar, xsimd, avx2, avx512, amx})
        if (qtk::is_usable(set)) sets.push_back(set);
    return sets;
}

qtk::granularity any_grain(bool is_row) {
    int const rows = *rc::gen::inRange(1, 6);
    int const cols = *rc::gen::weightedOneOf<int>(
        {{2, rc::gen::element(16, 32, 64)}, {2, rc::gen::inRange(1, 70)}});
    switch (*rc::gen::inRange(0, is_row ? 2 : 4)) {
        case 0:
            return {1, cols};
        case 1:
            return qtk::per_channel;
        case 2:
            return qtk::per_tensor;
        default:
            return {rows, cols};
    }
}
/// Any that can be spelled; with `is_row`, tiles of one row with a scale of one level.
scheme any_scheme(bool is_row = false) {
    scheme s{.element = test::one_of(qtk::known_formats).value,
             .grain = any_grain(is_row),
             .scale = static_cast<qtk::scale_type>(*rc::gen::inRange(0, is_row ? 4 : 5)),
             .round = static_cast<qtk::rounding>(*rc::gen::inRange(0, 3))};
    if (s.element.is_integer() && *rc::gen::arbitrary<bool>()) s.zero = qtk::origin::floating;
    RC_ASSERT(qtk::parse_scheme(qtk::to_string(s)) == s);
    return s;
}

/// Rows and columns around the widths of vectors; the rows lie apart, and begin anywhere.
struct weights {
    std::size_t rows = 0, cols = 0, stride = 0, start = 0;
    std::vector<float> values;

    weights() {
        rows = *rc::gen::inRange<std::size_t>(0, 8);
        cols = test::length_around(test::one_of(std::array<std::size_t, 3>{8, 32, 64}));
        stride = cols + *rc::gen::inRange<std::size_t>(0, 5);
        start = *rc::gen::inRange<std::size_t>(0, 4);
        float const unit = std::fabs(test::float_between(-20, 10));
        values = qtk::gaussian_vector(start + rows * stride, *rc::gen::arbitrary<std::uint64_t>());
        // Among them zeros, and whole multiples of a step, where rules of rounding differ.
        std::uint64_t const kind = *rc::gen::inRange<std::uint64_t>(1, 9);
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::uint64_t const word = qtk::word_at(kind, i);
            if (word % 8 < kind % 4) values[i] = static_cast<float>(word >> 32 & 15) * 0.5f - 3.5f;
            if (word % 97 == 0) values[i] = 0.0f;
            values[i] *= unit;
        }
    }
    [[nodiscard]] matrix_view<float const> view() const {
        return {values.data() + start, rows, cols, std::max<std::size_t>(stride, 1)};
    }
    [[nodiscard]] float& at(std::size_t r, std::size_t c) { return values[start + r * stride + c]; }
};

/// The quantized matrix; nothing where a scale does not fit its type.
std::optional<any_qmatrix> quantized(matrix_view<float const> w, scheme const& s,
                                     qtk::quantize_options const& options = {}) {
    try {
        return qtk::quantize_any(w, s, qtk::minmax_range{}, options);
    } catch (qtk::value_error const&) {
        return std::nullopt;
    }
}

bool same_bits(float const* a, float const* b, std::size_t n) {
    return n == 0 || std::memcmp(a, b, n * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE(
    "round to nearest is its definition: fit every tile, encode every value where it stands") {
    test::property("tile by tile with the quantizer alone", [] {
        weights const data;
        matrix_view<float const> const w = data.view();
        scheme const s = any_scheme();
        auto const seed = *rc::gen::inRange<std::uint64_t>(0, 1000);
        auto const q = quantized(w, s, {.seed = seed});
        RC_PRE(q.has_value());
        any_quantizer const quantizer(s, q->tensor_scale());
        qtk::tile_grid const grid(s.grain, w.rows, w.cols);
        for (std::size_t i = 0; i < grid.down; ++i)
            for (std::size_t j = 0; j < grid.across; ++j) {
                std::size_t const top = i * grid.rows, left = j * grid.cols;
                qtk::interval range{};
                for (std::size_t r = top; r < top + grid.height(i); ++r)
                    for (std::size_t c = left; c < left + grid.width(j); ++c) {
                        range.lowest = std::min(range.lowest, w(r, c));
                        range.highest = std::max(range.highest, w(r, c));
                    }
                tile_params const p = quantizer.fit(range);
                RC_ASSERT(q->params(i, j).scale == p.scale);
                RC_ASSERT(q->params(i, j).zero == p.zero);
                for (std::size_t r = top; r < top + grid.height(i); ++r)
                    for (std::size_t c = left; c < left + grid.width(j); ++c) {
                        float const toss = qtk::half_open_unit(qtk::word_at(seed, r * w.cols + c));
                        RC_ASSERT(q->field(r, c) == quantizer.encode(w(r, c), p, toss));
                    }
            }
        qtk::matrix const back = qtk::dequantize(*q);
        for (std::size_t r = 0; r < w.rows; ++r)
            for (std::size_t c = 0; c < w.cols; ++c)
                RC_ASSERT(back(r, c) == quantizer.decode(q->field(r, c),
                                                         q->params(r / grid.rows, c / grid.cols)));
    });
}

TEST_CASE("a row is the same on every instruction set: extremes, scales, codes, values") {
    test::property("quantize_row, fake_quantize_row and row_decoder of all sets", [] {
        weights const data;
        matrix_view<float const> const w = data.view();
        scheme const s = any_scheme(true);
        any_quantizer const q(s);
        qtk::level_rule const rule(s.element);
        any_qmatrix kept(s, w.rows, w.cols);
        std::size_t const tile = kept.grid().cols;
        qtk::dither_source const dither{.seed = 7, .first = 31};
        // One byte further than a row begins, with a byte behind it.
        std::size_t const bytes = kept.row_bytes();
        for (std::size_t r = 0; r < w.rows; ++r) {
            std::vector<tile_params> expected(kept.grid().across), params = expected;
            std::vector<std::uint8_t> codes(bytes + 2, 0xcd), found = codes;
            std::vector<float> values(w.cols), fake(w.cols);
            bool const is_sound = qtk::quantize_row(instruction_set::scalar, q, w.row(r), tile,
                                                    dither, expected.data(), codes.data() + 1);
            RC_PRE(is_sound);
            for (instruction_set const set : usable_sets()) {
                std::ranges::fill(found, std::uint8_t{0xcd});
                RC_ASSERT(qtk::quantize_row(set, q, w.row(r), tile, dither, params.data(),
                                            found.data() + 1));
                RC_ASSERT(params == expected);
                RC_ASSERT(found == codes);
                any_qmatrix row(s, 1, w.cols);
                std::copy_n(codes.data() + 1, bytes, row.writable_row_codes(0).data());
                row.set_params(expected);
                qtk::row_decoder(row, set).decode(0, values.data());
                RC_ASSERT(qtk::fake_quantize_row(set, q, rule, w.row(r), tile, dither, false,
                                                 params.data(), fake.data()));
                RC_ASSERT(same_bits(values.data(), fake.data(), w.cols));
                for (std::size_t c = 0; c < w.cols; ++c) {
                    tile_params const p = expected[c / tile];
                    std::uint8_t const field = row.field(0, c);
                    float const value = q.decode(field, p);
                    RC_ASSERT(same_bits(&value, &values[c], 1));
                }
            }
        }
    });
}

TEST_CASE("fake quantization leaves the bits that packing and decoding leave, for every scheme") {
    test::property("fake == dequantize(quantize)", [] {
        weights const data;
        matrix_view<float const> const w = data.view();
        scheme const s = any_scheme(true);
        auto const q = quantized(w, s, {.seed = 3});
        qtk::matrix fake(w.rows, w.cols);
        RC_ASSERT(qtk::fake_round_to_nearest<any_quantizer>(s, w, fake.view(), {.seed = 3}) ==
                  q.has_value());
        if (q) RC_ASSERT(same_bits(qtk::dequantize(*q).data(), fake.data(), w.size()));
    });
}

TEST_CASE("rows and columns of tiles may change their places, and a matrix may come in parts") {
    test::property("permuted tiles give permuted codes; a few rows give the rows of the whole", [] {
        weights data;
        scheme s = any_scheme(true);
        RC_PRE(s.round != qtk::rounding::stochastic);
        if (s.grain.cols > 0) s.grain.cols = std::min(s.grain.cols, 16);
        auto const whole = quantized(data.view(), s);
        RC_PRE(whole.has_value());
        std::size_t const tile = whole->grid().cols, full = data.cols / tile;
        auto const rows =
            *rc::gen::map(rc::gen::arbitrary<std::uint64_t>(), [&](std::uint64_t seed) {
                std::vector<std::size_t> order(data.rows + full);
                std::iota(order.begin(), order.end(), std::size_t{0});
                qtk::splitmix64 random(seed);
                std::shuffle(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(data.rows),
                             random);
                std::shuffle(order.begin() + static_cast<std::ptrdiff_t>(data.rows), order.end(),
                             random);
                return order;
            });
        auto const column_from = [&](std::size_t c) {
            return c / tile < full ? (rows[data.rows + c / tile] - data.rows) * tile + c % tile : c;
        };
        qtk::matrix moved(data.rows, data.cols);
        for (std::size_t r = 0; r < data.rows; ++r)
            for (std::size_t c = 0; c < data.cols; ++c)
                moved(r, c) = data.at(rows[r], column_from(c));
        any_qmatrix const q = *quantized(moved.view(), s);
        for (std::size_t r = 0; r < data.rows; ++r) {
            for (std::size_t c = 0; c < data.cols; ++c) {
                RC_ASSERT(q.field(r, c) == whole->field(rows[r], column_from(c)));
                RC_ASSERT(q.scale(r, c) == whole->scale(rows[r], column_from(c)));
            }
            matrix_view<float const> const one(data.values.data() + data.start + r * data.stride, 1,
                                               data.cols);
            any_qmatrix const alone = *quantized(one, s);
            RC_ASSERT(std::ranges::equal(alone.row_codes(0), whole->row_codes(r)));
        }
    });
}

TEST_CASE("weights times a power of two have the same codes, and scales times it") {
    test::property("exact for f32, bf16, e8m0 and two-level scales", [] {
        weights data;
        scheme s = any_scheme();
        RC_PRE(s.scale != qtk::scale_type::f16);
        any_qmatrix const q = *quantized(data.view(), s);
        int const power = *rc::gen::inRange(-30, 31);
        weights far = data;
        for (float& x : far.values) x = std::ldexp(x, power);
        any_qmatrix const p = *quantized(far.view(), s);
        RC_ASSERT(std::ranges::equal(p.codes(), q.codes()));
        RC_ASSERT(std::ranges::equal(p.zeros(), q.zeros()));
        for (std::size_t i = 0; i < q.grid().down; ++i)
            for (std::size_t j = 0; j < q.grid().across; ++j) {
                // A tile of zeros has the scale of one.
                float const scale = q.params(i, j).scale, other = p.params(i, j).scale;
                bool is_zero = true;
                for (std::size_t r = 0; r < q.grid().height(i); ++r)
                    for (std::size_t c = 0; c < q.grid().width(j); ++c)
                        is_zero = is_zero &&
                                  data.at(i * q.grid().rows + r, j * q.grid().cols + c) == 0.0f;
                if (!is_zero) RC_ASSERT(other == std::ldexp(scale, power));
            }
    });
}

TEST_CASE(
    "values that are not finite are refused, marked, or replaced before anything else happens") {
    test::property("error, propagate, saturate, zero", [] {
        weights data;
        RC_PRE(data.rows * data.cols > 0);
        scheme const s = any_scheme();
        weights clean = data;
        std::size_t const count = *rc::gen::inRange<std::size_t>(1, 4);
        constexpr float bad[] = {std::numeric_limits<float>::infinity(),
                                 -std::numeric_limits<float>::infinity(),
                                 std::numeric_limits<float>::quiet_NaN()};
        for (std::size_t i = 0; i < count; ++i)
            data.at(*rc::gen::inRange<std::size_t>(0, data.rows),
                    *rc::gen::inRange<std::size_t>(0, data.cols)) = test::one_of(bad);
        std::size_t found = 0, first = 0;
        for (std::size_t i = data.rows * data.cols; i-- > 0;)
            if (!std::isfinite(data.at(i / data.cols, i % data.cols))) ++found, first = i;
        try {
            static_cast<void>(qtk::quantize_any(data.view(), s));
            RC_FAIL("nothing was thrown");
        } catch (qtk::nonfinite_error const& e) {
            RC_ASSERT(e.count == found);
            RC_ASSERT(e.first == first);
        }
        qtk::tile_grid const grid(s.grain, data.rows, data.cols);
        for (auto const policy : {qtk::nonfinite::saturate, qtk::nonfinite::zero}) {
            weights replaced = data;
            for (std::size_t i = 0; i < data.rows * data.cols; ++i) {
                std::size_t const r = i / data.cols, c = i % data.cols;
                float const x = data.at(r, c);
                if (std::isfinite(x)) continue;
                float largest = 0.0f;
                if (policy == qtk::nonfinite::saturate && !std::isnan(x))
                    for (std::size_t k = 0; k < data.rows * data.cols; ++k) {
                        std::size_t const rr = k / data.cols, cc = k % data.cols;
                        if (rr / grid.rows == r / grid.rows && cc / grid.cols == c / grid.cols &&
                            std::isfinite(data.at(rr, cc)))
                            largest = std::max(largest, std::fabs(data.at(rr, cc)));
                    }
                replaced.at(r, c) = x < 0.0f ? -largest : largest;
            }
            auto const expected = quantized(replaced.view(), s);
            auto const q = quantized(data.view(), s, {.on_nonfinite = policy});
            RC_ASSERT(q == expected);
        }
        auto const marked = quantized(data.view(), s, {.on_nonfinite = qtk::nonfinite::propagate});
        RC_PRE(marked.has_value());
        qtk::matrix const back = qtk::dequantize(*marked);
        for (std::size_t i = 0; i < grid.down; ++i)
            for (std::size_t j = 0; j < grid.across; ++j) {
                bool is_bad = false;
                for (std::size_t r = 0; r < grid.height(i); ++r)
                    for (std::size_t c = 0; c < grid.width(j); ++c)
                        is_bad =
                            is_bad || !std::isfinite(data.at(i * grid.rows + r, j * grid.cols + c));
                for (std::size_t r = 0; r < grid.height(i); ++r)
                    for (std::size_t c = 0; c < grid.width(j); ++c)
                        RC_ASSERT(std::isnan(back(i * grid.rows + r, j * grid.cols + c)) == is_bad);
            }
    });
}

#if defined(__SSE__)
namespace {

/// Subnormal results and operands count as zero while it lives.
struct flushed {
    unsigned before = _mm_getcsr();
    flushed() { _mm_setcsr(before | 0x8040u); }
    flushed(flushed const&) = delete;
    flushed& operator=(flushed const&) = delete;
    ~flushed() { _mm_setcsr(before); }
};

}  // namespace

TEST_CASE(
    "a processor that flushes subnormals gives the same bytes and values where nothing is "
    "subnormal") {
    test::property("with and without FTZ and DAZ", [] {
        weights const data;
        scheme const s = any_scheme();
        auto const q = quantized(data.view(), s, {.seed = 5});
        RC_PRE(q.has_value());
        qtk::matrix const back = qtk::dequantize(*q);
        std::optional<any_qmatrix> other;
        qtk::matrix again;
        {
            flushed const state;
            other = quantized(data.view(), s, {.seed = 5});
            again = qtk::dequantize(*q);
        }
        RC_ASSERT(other == q);
        RC_ASSERT(back == again);
    });
}

TEST_CASE(
    "a processor that flushes subnormals turns a subnormal tile into values no larger than it") {
    test::property("finite, and not larger than the tile's largest value and a step", [] {
        weights data;
        scheme const s = any_scheme();
        // Just above and below the smallest normal float.
        float largest = 0.0f;
        for (float const x : data.values) largest = std::max(largest, std::fabs(x));
        RC_PRE(largest > 0.0f);
        int const exponent = *rc::gen::inRange(-140, -115) - std::ilogb(largest);
        largest = std::ldexp(largest, exponent);
        for (float& x : data.values) x = std::ldexp(x, exponent);
        qtk::matrix back;
        {
            flushed const state;
            back = qtk::dequantize(*quantized(data.view(), s));
        }
        for (std::size_t r = 0; r < data.rows; ++r)
            for (std::size_t c = 0; c < data.cols; ++c)
                RC_ASSERT(std::fabs(back(r, c)) <= 4.0f * largest);
    });
}
#endif
