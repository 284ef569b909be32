// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/product_isa.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include "product_cases.hpp"
#include <limits>

using qtk::activation_scale;

namespace {

/// Rows of one matrix quantized on `isa`; everything a kernel would read.
struct quantized {
    qtk::packed_layout w;
    qtk::aligned_bytes storage;
    qtk::quantized_rows rows;

    quantized(qtk::instruction_set isa, std::vector<float> const& x, std::size_t m,
              qtk::packed_layout const& layout, std::size_t units, activation_scale sharing)
        : w(layout),
          storage(
              qtk::quantized_rows_storage(m, w.depth(), qtk::segment_plan(w, units).total).bytes() +
              64),
          rows(qtk::quantized_rows_in(storage.data(), m, w, qtk::segment_plan(w, units), sharing,
                                      0.02f)) {
        std::fill_n(storage.data(), storage.size(), std::uint8_t{0xee});
        for (std::size_t r = 0; r < qtk::div_ceil(m, rows.tile_rows) * rows.tile_rows; ++r)
            if (r < m)
                qtk::detail::quantize_row_on(isa, x.data() + r * w.cols, r, w, rows);
            else
                qtk::clear_row(r, rows);
    }
    [[nodiscard]] std::vector<std::uint8_t> bytes() const {
        return {storage.data(), storage.data() + storage.size()};
    }
};

}  // namespace

TEST_CASE("codes are those of the quantizer, sums are theirs") {
    qtk::packed_layout const w({.element = qtk::i4, .grain = qtk::per_group(40)}, 1, 100);
    std::vector<float> const x = qtk::gaussian_vector(300, 4);
    quantized const q(qtk::instruction_set::scalar, x, 3, w, 100, activation_scale::segment);
    qtk::tile_quantizer<qtk::i8, qtk::origin::fixed> const reference;
    for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t g = 0; g < 3; ++g) {
            std::size_t const width = g < 2 ? 40 : 20;
            float largest = 0.0f;
            for (std::size_t i = 0; i < width; ++i)
                largest = std::max(largest, std::fabs(x[r * 100 + g * 40 + i]));
            qtk::tile_params const p = reference.fit({-largest, largest});
            CHECK(q.rows.scale(r, g) == p.scale);
            int sum = 0;
            for (std::size_t i = 0; i < 64; ++i) {
                int const expected =
                    i < width ? reference.encode(x[r * 100 + g * 40 + i], p) - 128 : 0;
                if (g < 2 || i < 32) CHECK(*q.rows.code(r, g * 64 + i) == expected);
                sum += expected;
            }
            CHECK(q.rows.sums[q.rows.at(r, g)] == sum);
        }
}

TEST_CASE("a row with infinity or NaN gets the scale NaN and codes of zero") {
    for (float const bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        qtk::packed_layout const w({.element = qtk::i4, .grain = qtk::per_group(32)}, 1, 64);
        std::vector<float> x = qtk::gaussian_vector(64, 4);
        x[50] = bad;
        quantized const by_segment(qtk::instruction_set::scalar, x, 1, w, 100,
                                   activation_scale::segment);
        CHECK(by_segment.rows.scale(0, 0) == by_segment.rows.scale(0, 0));
        CHECK(by_segment.rows.scale(0, 1) != by_segment.rows.scale(0, 1));
        CHECK(*by_segment.rows.code(0, 51) == 0);
        for (auto const sharing : {activation_scale::row, activation_scale::fixed}) {
            quantized const by_row(qtk::instruction_set::scalar, x, 1, w, 100, sharing);
            CHECK(by_row.rows.scale(0, 0) != by_row.rows.scale(0, 0));
            CHECK(*by_row.rows.code(0, 0) == 0);
        }
    }
}

TEST_CASE("every instruction set writes the twin's bytes") {
    for (auto const& [grain, k, units] :
         {std::tuple{qtk::per_group(128), std::size_t{512}, std::size_t{100}},
          {qtk::per_group(32), 200, 100},
          {qtk::per_group(20), 133, 100},
          {qtk::per_channel, 1000, 4},
          {qtk::per_channel, 70, 512},
          {qtk::per_channel, 1, 512}})
        for (std::size_t const m : {1u, 3u, 7u, 18u})
            for (auto const sharing :
                 {activation_scale::segment, activation_scale::row, activation_scale::fixed}) {
                qtk::packed_layout const w({.element = qtk::i4, .grain = grain}, 1, k);
                std::vector<float> x = qtk::gaussian_vector(m * k, 5);
                // Ties, extremes, zeros, denormals, and what is not finite.
                for (std::size_t i = 0; i < x.size(); i += 7)
                    x[i] = static_cast<float>(static_cast<int>(i % 255) - 127) * 0.5f * 0.02f;
                for (std::size_t i = 0; i < std::min<std::size_t>(k, 64); ++i) x[i] = 0.0f;
                if (m > 1) x[k] = 1e-42f;
                if (m > 2) x[2 * k] = 3e38f;
                if (m > 3) x[3 * k] = std::numeric_limits<float>::infinity();
                CAPTURE(k);
                CAPTURE(m);
                quantized const expected(qtk::instruction_set::scalar, x, m, w, units, sharing);
                for (qtk::instruction_set const isa : cases::usable_isas()) {
                    std::string const name(qtk::name_of(isa));
                    CAPTURE(name);
                    quantized const found(isa, x, m, w, units, sharing);
                    REQUIRE(found.bytes() == expected.bytes());
                }
            }
}
