// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/emulated_cub.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace {
TEST_CASE("without memory only the size is told") {
    std::size_t bytes = 0;
    int const* const in = nullptr;
    int* const out = nullptr;
    CHECK(cub::DeviceRadixSort::SortKeys(nullptr, bytes, in, out, 10, 0, 32) == cudaSuccess);
    CHECK(bytes > 0);
}

TEST_CASE("the definitions") {
    std::size_t bytes = 64;
    std::vector<std::uint8_t> memory(bytes);
    std::vector<int> const in{5, 1, 4, 1, 3};
    auto const count = static_cast<std::int64_t>(in.size());
    int sum = 0;
    cub::DeviceReduce::Reduce(
        memory.data(), bytes, in.data(), &sum, count, [](int a, int b) { return a + b; }, 100);
    CHECK(sum == 114);
    std::vector<unsigned> bins(3, 9);  // [0, 2), [2, 4), [4, 6)
    cub::DeviceHistogram::HistogramEven(memory.data(), bytes, in.data(), bins.data(), 4, 0, 6,
                                        count);
    CHECK(bins == std::vector<unsigned>{2, 1, 2});
    std::vector<int> out(5);
    std::uint32_t selected = 0;
    cub::DeviceSelect::If(memory.data(), bytes, in.data(), out.data(), &selected, count,
                          [](int v) { return v > 2; });
    CHECK(selected == 3);
    CHECK((out[0] == 5 && out[1] == 4 && out[2] == 3));
    cub::DeviceRadixSort::SortKeys(memory.data(), bytes, in.data(), out.data(), count, 0, 32);
    CHECK(out == std::vector<int>{1, 1, 3, 4, 5});
}
}  // namespace
