// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/calibrate.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <algorithm>
#include <cmath>
#include <vector>

namespace {
using namespace qtk::cuda;

/// Temporary memory for n values.
struct room {
    device_vector<std::uint8_t> bytes;

    explicit room(std::size_t count, int bins = 2048) : bytes(calibration_bytes(count, bins)) {}
    [[nodiscard]] calibration_space space() { return {bytes.data(), bytes.size()}; }
};

std::vector<std::vector<float>> tensors() {
    std::vector<std::vector<float>> all{{0.0f}, {-2.5f}, {1.0f, 1.0f, 1.0f}};
    for (std::size_t const count : {std::size_t{101}, std::size_t{5000}}) {
        auto values = random_floats(count, 3);
        all.push_back(values);
        for (std::size_t i = 0; i < values.size(); i += 2) values[i] *= 1e-40f;  // subnormal
        values[7] = 1e30f;
        all.push_back(values);
        for (float& v : values) v = std::fabs(v) + 0.25f;  // both ranks in few bins
        all.push_back(values);
    }
    return all;
}

TEST_CASE("the device finds the host's extremes") {
    for (auto const& values : tensors()) {
        auto const x = on_device(values);
        room memory(values.size());
        tensor_in const in{x.data(), values.size(), number::f32};
        qtk::interval const expected = qtk::minmax_range{}.estimate(values);
        CHECK(extremes_of(in, memory.space(), {}) == expected);
        device_vector<qtk::interval> found(1);
        launch_extremes(in, found.data(), memory.space(), {});
        wait_for_device();
        CHECK(found[0] == expected);
    }
}

TEST_CASE("the device finds the host's percentiles, by rank") {
    for (auto const& values : tensors())
        for (float const keep : {1.0f, 0.999f, 0.98f, 0.5f, 1e-3f}) {
            auto const x = on_device(values);
            room memory(values.size());
            qtk::percentile_range const range{keep};
            INFO(values.size() << " values, keep " << keep);
            CHECK(percentile_of({x.data(), values.size(), number::f32}, range, memory.space(),
                                {}) == range.estimate(values));
        }
}

TEST_CASE("the device finds the host's threshold of least divergence") {
    qtk::tile_quantizer<qtk::i4, qtk::origin::fixed> const by_cpu;
    for (auto const& values : tensors()) {
        auto const x = on_device(values);
        qtk::entropy_range const range{.bins = 300, .start = 20};
        room memory(values.size(), range.bins);
        CHECK(entropy_of({x.data(), values.size(), number::f32}, range, 4, memory.space(), {}) ==
              range.estimate(values, by_cpu));
    }
}

TEST_CASE("halves are read as well, and nothing is nothing") {
    auto const halves = random_halves(1000, 5);
    std::vector<float> values;
    for (std::uint16_t const h : halves) values.push_back(qtk::f16_to_float(h));
    auto const x = on_device(halves);
    room memory(1000);
    qtk::percentile_range const range{0.9f};
    CHECK(percentile_of({x.data(), 1000, number::f16}, range, memory.space(), {}) ==
          range.estimate(values));
    CHECK(extremes_of({}, {}, {}) == qtk::interval{});
    CHECK(percentile_of({}, range, {}, {}) == qtk::interval{});
    CHECK(entropy_of({}, {}, 8, {}, {}) == qtk::interval{});
}

TEST_CASE("values that are no numbers, too little memory and wrong options are refused") {
    for (float const bad : {NAN, -NAN, INFINITY, -INFINITY}) {
        std::vector<float> values(100, 1.0f);
        values[50] = bad;
        auto const x = on_device(values);
        room memory(100);
        tensor_in const in{x.data(), 100, number::f32};
        CHECK_THROWS_AS(static_cast<void>(extremes_of(in, memory.space(), {})), qtk::value_error);
        CHECK_THROWS_AS(static_cast<void>(percentile_of(in, {}, memory.space(), {})),
                        qtk::value_error);
        CHECK_THROWS_AS(static_cast<void>(entropy_of(in, {}, 8, memory.space(), {})),
                        qtk::value_error);
    }
    auto const x = on_device(std::vector<float>(100, 1.0f));
    tensor_in const in{x.data(), 100, number::f32};
    room memory(100);
    CHECK_THROWS_AS(static_cast<void>(percentile_of(in, {}, {memory.bytes.data(), 8}, {})),
                    qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(percentile_of(in, {0.0f}, memory.space(), {})),
                    qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(entropy_of(in, {.bins = 0}, 8, memory.space(), {})),
                    qtk::value_error);
}
}  // namespace
