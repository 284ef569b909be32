// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/decode.hpp>
#include <qtk/kernel/avx512/decode.hpp>
#include <qtk/kernel/decode.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <cmath>
#include <cstring>

namespace {

/// The value of one element, straight from the definition.
float value_of(qtk::any_qmatrix const& q, std::size_t r, std::size_t c) {
    qtk::format const& f = q.scheme().element;
    qtk::tile_params const p = q.params(r / q.grid().rows, c / q.grid().cols);
    int const zero = f.is_integer() ? p.zero : 0;
    return (qtk::levels_of(f)[q.field(r, c)] - static_cast<float>(zero)) * p.scale;
}

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void check_rows(qtk::scheme const& s, std::size_t rows, std::size_t cols) {
    std::string const name = qtk::to_string(s);
    CAPTURE(name);
    qtk::any_qmatrix const q = cases::random_qmatrix(s, rows, cols, 11);
    std::vector<float> expected(q.size());
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < cols; ++c) expected[r * cols + c] = value_of(q, r, c);
    std::vector<float> decoded(q.size());
    qtk::decode_rows(q, 0, rows, decoded.data());
    CHECK(same_bits(decoded, expected));
    for (qtk::instruction_set const set : cases::usable_sets()) {
        CAPTURE(qtk::name_of(set));
        qtk::row_decoder decoder(q, set);
        // One float further than any alignment, and one behind that nobody may touch.
        std::vector<float> plain(q.size() + 2, 7.0f), streamed = plain;
        decoder.decode(0, rows, plain.data() + 1);
        for (std::size_t r = 0; r < rows; ++r) decoder.stream(r, streamed.data() + 1 + r * cols);
        qtk::stream_fence();
        CHECK(plain.back() == 7.0f);
        CHECK(same_bits({plain.begin() + 1, plain.end() - 1}, expected));
        CHECK(streamed == plain);
    }
}

}  // namespace

TEST_CASE("no fields and no rows write nothing") {
    float untouched = 3.0f;
    for (qtk::instruction_set const set : cases::usable_sets())
        qtk::decode_span(set, qtk::level_rule(qtk::i4), {}, {1.0f, 8}, &untouched);
    qtk::any_qmatrix const q = cases::random_qmatrix({.element = qtk::i4}, 2, 3, 1);
    qtk::decode_rows(q, 2, 0, &untouched);
    qtk::decode_rows(qtk::any_qmatrix{}, 0, 0, &untouched);
    CHECK(untouched == 3.0f);
}

TEST_CASE("a field is its distance from zero times the scale") {
    std::uint8_t const fields[] = {0, 8, 15, 1};
    float out[4];
    for (qtk::instruction_set const set : cases::usable_sets()) {
        qtk::decode_span(set, qtk::level_rule(qtk::i4), fields, {0.5f, 8}, out);
        CHECK(out[0] == -4.0f);
        CHECK(out[1] == 0.0f);
        CHECK(out[2] == 3.5f);
        CHECK(out[3] == -3.5f);
        qtk::decode_span(set, qtk::level_rule(qtk::nf4), fields, {2.0f, 0}, out);
        CHECK(out[0] == -2.0f);
        CHECK(out[2] == 2.0f);
    }
}

TEST_CASE("decoding has the bits of its scalar twin in every format and at every length") {
    qtk::splitmix64 random(3);
    for (auto const& [name, f] : qtk::known_formats) {
        std::string const element{name};
        CAPTURE(element);
        qtk::level_rule const rule(f);
        std::vector<std::uint8_t> fields(1023 + 3);
        for (std::uint8_t& field : fields)
            field = static_cast<std::uint8_t>(random() & (static_cast<unsigned>(f.patterns()) - 1));
        int const zero = f.is_integer() ? f.patterns() - 1 : 0;
        for (qtk::instruction_set const set : cases::usable_sets())
            for (std::size_t const n : cases::odd_lengths)
                for (std::size_t shift = 0; shift < 4; ++shift) {
                    // NaN fields have one pattern, so that memcmp sees no difference between paths.
                    std::vector<float> fast(n + shift + 1, 7.0f), slow = fast;
                    auto const some = std::span<std::uint8_t const>(fields).subspan(shift, n);
                    qtk::decode_span(set, rule, some, {0.037f, zero}, fast.data() + shift);
                    qtk::decode_span_scalar(f, some, {0.037f, zero}, rule.level,
                                            slow.data() + shift);
                    CAPTURE(qtk::name_of(set));
                    REQUIRE(same_bits(fast, slow));
                }
    }
}

TEST_CASE("rows are their elements in every format, with a last partial group") {
    for (qtk::scheme const& s : cases::schemes_of_every_format())
        for (std::size_t const cols : {1u, 17u, 64u, 127u}) check_rows(s, 3, cols);
}

TEST_CASE("rows are their elements however scales are shared and stored") {
    for (qtk::scheme const& s : cases::schemes_of_every_scale())
        for (std::size_t const cols : {1u, 33u, 64u, 130u}) check_rows(s, 7, cols);
}

TEST_CASE("long rows are decoded in pieces that meet, tiles across them or not") {
    for (qtk::format const& f : {qtk::i4, qtk::i3, qtk::i5, qtk::nf4, qtk::e3m2, qtk::e4m3})
        for (qtk::granularity const& grain :
             {qtk::per_group(128), qtk::per_group(136), qtk::per_group(9), qtk::per_channel})
            check_rows({.element = f, .grain = grain}, 2, 5003);
}

TEST_CASE("rows in the middle are decoded as in the whole") {
    qtk::any_qmatrix const q = cases::random_qmatrix(
        {.element = qtk::i3, .grain = qtk::per_block(2, 9), .zero = qtk::origin::floating}, 9, 40,
        5);
    std::vector<float> whole(q.size()), part(3 * q.cols());
    qtk::decode_rows(q, 0, 9, whole.data());
    qtk::decode_rows(q, 5, 3, part.data());
    CHECK(std::memcmp(part.data(), whole.data() + 5 * q.cols(), part.size() * sizeof(float)) == 0);
}
