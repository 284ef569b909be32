// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/prepack.hpp>
// The kernels of each instruction set are tested through it.
#include <qtk/kernel/avx2/prepack.hpp>
#include <qtk/kernel/avx512/prepack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include "threads.hpp"
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

TEST_CASE("unpack gives back what prepack took, for every format and way of sharing scales") {
    auto all = cases::schemes_of_every_format();
    for (qtk::scheme const& s : cases::schemes_of_every_scale()) all.push_back(s);
    for (qtk::scheme const& s : all)
        for (auto const& [rows, cols] : {std::pair<std::size_t, std::size_t>{1, 1},
                                         {31, 33},
                                         {32, 64},
                                         {70, 130},
                                         {0, 5},
                                         {5, 0}}) {
            std::string const name = qtk::to_string(s);
            CAPTURE(name);
            CAPTURE(rows);
            CAPTURE(cols);
            qtk::any_qmatrix const q = cases::random_qmatrix(s, rows, cols, 11 + rows);
            qtk::packed_matrix const packed = qtk::prepack(q);
            REQUIRE(packed.rows() == rows);
            REQUIRE(packed.cols() == cols);
            REQUIRE(qtk::unpack(packed) == q);
            qtk::any_qmatrix given_away = q;
            qtk::packed_matrix const moved = qtk::prepack(std::move(given_away));
            REQUIRE((packed.bytes() == 0 ||
                     std::memcmp(moved.view().data, packed.view().data, packed.bytes()) == 0));
        }
}

TEST_CASE("every instruction set packs and unpacks the twin's bytes") {
    for (int bits = 2; bits <= 8; ++bits)
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating})
            // 0 is the whole row; 20 and 5 do not fill units, 5 of odd bits begins inside a byte.
            for (int const group : {0, 5, 16, 20, 32, 40, 128})
                for (auto const& [rows, cols] : {std::pair<std::size_t, std::size_t>{64, 256},
                                                 {32, 96},
                                                 {33, 257},
                                                 {31, 130},
                                                 {1, 1}}) {
                    CAPTURE(bits);
                    CAPTURE(group);
                    CAPTURE(rows);
                    CAPTURE(cols);
                    qtk::scheme const s{.element = {.bits = bits},
                                        .grain = {.rows = 1, .cols = group},
                                        .zero = zero,
                                        .scale = qtk::scale_type::f16};
                    qtk::any_qmatrix const q = cases::random_qmatrix(s, rows, cols, 5 + rows);
                    qtk::packed_matrix const expected =
                        qtk::detail::prepack_on(qtk::instruction_set::scalar, q);
                    REQUIRE(qtk::detail::unpack_on(qtk::instruction_set::scalar, expected) == q);
                    for (qtk::instruction_set const isa : cases::usable_isas()) {
                        std::string const isa_name(qtk::name_of(isa));
                        CAPTURE(isa_name);
                        qtk::packed_matrix const packed = qtk::detail::prepack_on(isa, q);
                        REQUIRE(std::memcmp(packed.view().data, expected.view().data,
                                            expected.bytes()) == 0);
                        REQUIRE(qtk::detail::unpack_on(isa, packed) == q);
                    }
                }
}

TEST_CASE("bits behind a row's last code do not reach the stream") {
    qtk::scheme const s{.element = qtk::i3, .grain = qtk::per_channel};
    // 33 codes take 99 of 104 bits.
    std::size_t const rows = 40, row_bytes = 13;
    std::vector<std::uint8_t> clean(rows * row_bytes, 0xff), scales(rows * 4);
    std::vector<std::uint8_t> stray = clean;
    for (std::size_t r = 0; r < rows; ++r) clean[r * row_bytes + 12] = 0x07;
    qtk::qmatrix_view const a(s, rows, 33, clean, scales, {}), b(s, rows, 33, stray, scales, {});
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        qtk::packed_matrix const from_clean = qtk::detail::prepack_on(isa, a);
        qtk::packed_matrix const from_stray = qtk::detail::prepack_on(isa, b);
        CHECK(std::memcmp(from_clean.view().data, from_stray.view().data, from_clean.bytes()) == 0);
    }
}

#if defined(__linux__)
namespace {
/// A line of /proc/self/status, in KiB.
long status_of(std::string const& name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.compare(0, name.size(), name) == 0) return std::stol(line.substr(name.size() + 1));
    return -1;
}
}  // namespace

TEST_CASE("a matrix that is given away never lies in memory twice") {
    qtk::scheme const s{.element = qtk::i4, .grain = qtk::per_group(128)};
    constexpr std::size_t cols = 4096, rows = 32768;  // 64 MiB of codes
    static_cast<void>(cases::on_threads(2, [&] {
        qtk::any_qmatrix q(s, rows, cols);
        long const before = status_of("VmRSS:");
        // Sets the high-water mark back to what is there now.
        std::ofstream("/proc/self/clear_refs") << "5" << std::flush;
        if (before < 0 || status_of("VmHWM:") > before + 4096) {
            MESSAGE("the high-water mark of memory cannot be set back here");
            return std::vector<float>{};
        }
        qtk::packed_matrix const packed = qtk::prepack(std::move(q));
        REQUIRE(packed.bytes() > (std::size_t{64} << 20));
        // Headers, a megabyte and a huge page a thread; sanitizers keep an eighth beside.
        CHECK(status_of("VmHWM:") < before + (24 << 10));
        return std::vector<float>{};
    }));
}
#endif

TEST_CASE("one thread and several pack the same bytes") {
    qtk::any_qmatrix const q = cases::random_qmatrix(
        {.element = qtk::i4, .grain = qtk::per_group(64), .zero = qtk::origin::floating}, 500, 700,
        3);
    auto const bytes = [&] {
        qtk::packed_matrix const packed = qtk::prepack(q);
        std::vector<float> out(packed.bytes());
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = static_cast<float>(packed.view().data[i]);
        return out;
    };
    std::vector<float> const alone = cases::on_threads(1, bytes);
    CHECK(cases::on_threads(2, bytes) == alone);
    CHECK(cases::on_threads(5, bytes) == alone);
}
