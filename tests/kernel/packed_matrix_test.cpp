// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/packed_matrix.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("a stream moves and leaves nothing behind") {
    qtk::scheme const s{.element = qtk::i4, .grain = qtk::per_group(32)};
    qtk::packed_matrix first(s, 40, 64);
    std::uint8_t const* const data = first.view().data;
    CHECK(first.bytes() == first.view().layout.bytes);
    qtk::packed_matrix second = std::move(first);
    CHECK(second.view().data == data);
    CHECK(second.rows() == 40);
    CHECK(first.rows() == 0);
    CHECK(first.view().data == nullptr);
    first = std::move(second);
    CHECK(first.cols() == 64);
    CHECK(first.scheme() == s);
}

TEST_CASE("a scheme that makes no sense is refused") {
    CHECK_THROWS_AS(qtk::packed_matrix({.element = qtk::nf4, .zero = qtk::origin::floating}, 1, 1),
                    qtk::value_error);
}

TEST_CASE("a header is read as its scale type says") {
    qtk::packed_layout const w(
        {.element = qtk::u4, .zero = qtk::origin::floating, .scale = qtk::scale_type::bf16}, 32,
        32);
    std::vector<std::uint8_t> block(w.panel_bytes);
    block[2 * 7] = 0xc0, block[2 * 7 + 1] = 0x3f;  // 1.5 in bf16
    block[64 + 7] = 9;
    qtk::header_params const p = qtk::read_header(w, block.data(), 7);
    CHECK(p.scale == 1.5f);
    CHECK(p.zero == 9);
}
