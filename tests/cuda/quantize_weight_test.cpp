// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/quantize_weight.hpp>
#include <qtk/quantize.hpp>
#include <qtk/range/percentile.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {
using namespace qtk::cuda;

/// What the device makes of W, as the host would have packed it.
host_weight on_the_device(qtk::scheme const& s, numbers_in const& w, std::size_t rows,
                          std::size_t cols, given_intervals const& given = {}) {
    weight_layout const layout{rows, cols, detail::group_of(s, cols), s.element.bits};
    device_vector<std::uint32_t> words(layout.words(), 99);
    device_vector<std::uint8_t> scales(layout.params() * qtk::scale_bytes(s.scale), 99);
    device_vector<std::uint8_t> zeros(s.has_zero_point() ? layout.params() : 0, 99);
    launch_quantize_weight(w, given,
                           {reinterpret_cast<uint4*>(words.data()), scales.data(),
                            zeros.empty() ? nullptr : zeros.data(), layout,
                            s.scale == qtk::scale_type::f16 ? number::f16 : number::f32},
                           {});
    wait_for_device();
    return {s,
            layout,
            {words.begin(), words.end()},
            {scales.begin(), scales.end()},
            {zeros.begin(), zeros.end()}};
}

void check_equal(host_weight const& found, host_weight const& expected) {
    CHECK(found.words == expected.words);
    CHECK(found.scales == expected.scales);
    CHECK(found.zeros == expected.zeros);
}

/// Groups of every kind: ordinary, zero, negative, positive, tiny, as wide as floats are.
std::vector<float> awkward_floats(std::size_t rows, std::size_t cols) {
    auto w = random_floats(rows * cols, 7);
    for (std::size_t n = 0; n < rows; ++n)
        for (std::size_t k = 0; k < cols; ++k) {
            float& v = w[n * cols + k];
            switch (n % 7) {
                case 1:
                    v = 0.0f;
                    break;
                case 2:
                    v = -std::fabs(v);
                    break;
                case 3:
                    v = std::fabs(v);
                    break;
                case 4:
                    v *= 1e-41f;
                    break;
                case 5:
                    v = (k % 3 == 0 ? 3.4e38f : -3.4e38f);
                    break;
                default:
                    break;
            }
        }
    return w;
}

template <qtk::scheme S>
void check_scheme() {
    for (auto const& [rows, cols] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {35, 200}, {16, 64}}) {
        INFO(qtk::to_string(S) << " " << rows << "x" << cols);
        auto floats = awkward_floats(rows, cols);
        if (S.scale == qtk::scale_type::f16)
            for (float& v : floats) v = std::clamp(v, -6e4f, 6e4f);  // scales that f16 holds
        auto const x = on_device(floats);
        auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(floats.data(), rows, cols));
        check_equal(on_the_device(S, {x.data(), cols, number::f32}, rows, cols), pack(q));
        // The same from halves.
        auto const halves = on_device(random_halves(rows * cols, 9));
        for (std::size_t i = 0; i < floats.size(); ++i) floats[i] = qtk::f16_to_float(halves[i]);
        auto const of_halves =
            qtk::quantize<S>(qtk::matrix_view<float const>(floats.data(), rows, cols));
        check_equal(on_the_device(S, {halves.data(), cols, number::f16}, rows, cols),
                    pack(of_halves));
    }
}

TEST_CASE("weights quantized on the device have the CPU's bits") {
    using namespace qtk;
    constexpr auto floating = origin::floating;
    check_scheme<scheme{.element = i4, .grain = per_group(32)}>();
    check_scheme<scheme{.element = i4, .grain = per_group(128), .scale = scale_type::f16}>();
    check_scheme<scheme{.element = u4, .grain = per_group(64), .zero = floating}>();
    check_scheme<scheme{
        .element = i4, .grain = per_channel, .zero = floating, .scale = scale_type::f16}>();
    check_scheme<scheme{.element = i8, .grain = per_channel}>();
    check_scheme<scheme{.element = u8, .grain = per_group(96), .zero = floating}>();
}

template <qtk::scheme S>
void check_given() {
    std::size_t const rows = 20, cols = 200;
    auto const floats = random_floats(rows * cols, 7);
    auto const x = on_device(floats);
    qtk::matrix_view<float const> const view(floats.data(), rows, cols);
    // A scale a tensor: its extremes.
    qtk::interval const whole = qtk::minmax_range{}.estimate(floats);
    device_vector<qtk::interval> const one(1, whole);
    constexpr qtk::scheme tensor{.element = S.element, .zero = S.zero};
    check_equal(
        on_the_device(tensor, {x.data(), cols, number::f32}, rows, cols, {one.data(), true}),
        pack(qtk::quantize<tensor>(view)));
    // A percentile for each group.
    qtk::percentile_range const clipped{0.9f};
    std::size_t const group = static_cast<std::size_t>(S.grain.cols);
    device_vector<qtk::interval> ranges;
    for (std::size_t n = 0; n < rows; ++n)
        for (std::size_t k = 0; k < cols; k += group)
            ranges.push_back(clipped.estimate(
                std::span(floats).subspan(n * cols + k, std::min(group, cols - k))));
    check_equal(on_the_device(S, {x.data(), cols, number::f32}, rows, cols, {ranges.data(), false}),
                pack(qtk::quantize<S>(view, clipped)));
}

TEST_CASE("given intervals clip as the CPU's do") {
    check_given<qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(64)}>();
    check_given<qtk::scheme{
        .element = qtk::u8, .grain = qtk::per_group(32), .zero = qtk::origin::floating}>();
}

TEST_CASE("a group that is not finite gets no number as its scale") {
    for (float const bad : {NAN, INFINITY, -INFINITY}) {
        std::vector<float> floats(2 * 64, 1.0f);
        floats[40] = bad;
        auto const x = on_device(floats);
        qtk::scheme const s{.element = qtk::i4, .grain = qtk::per_group(32)};
        auto const found = unpack(on_the_device(s, {x.data(), 64, number::f32}, 2, 64));
        CHECK(std::isnan(found.params(0, 1).scale));
        CHECK(found.params(0, 0).scale == 1.0f / 7.0f);
    }
}

TEST_CASE("what is not quantized on the device is refused") {
    alignas(16) static std::uint32_t memory[8] = {};
    weight_result to{reinterpret_cast<uint4*>(memory), memory, nullptr, {16, 64, 64, 3}};
    CHECK_THROWS_AS(launch_quantize_weight({}, {}, to, {}), qtk::value_error);
    to.layout.bits = 4;
    to.words = reinterpret_cast<uint4*>(memory + 1);
    CHECK_THROWS_AS(launch_quantize_weight({}, {}, to, {}), qtk::value_error);
}
}  // namespace
