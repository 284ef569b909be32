// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/cifar.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace {

// Pixel p of channel c has the value (17 p + 101 c + seed) mod 256.
std::uint8_t pixel(std::size_t p, std::size_t c, int seed) {
    return static_cast<std::uint8_t>(17 * p + 101 * c + static_cast<std::size_t>(seed));
}
std::string record(std::vector<int> const& labels, int seed) {
    std::string bytes;
    for (int const label : labels) bytes += static_cast<char>(label);
    for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t p = 0; p < 1024; ++p) bytes += static_cast<char>(pixel(p, c, seed));
    return bytes;
}
qtk::labelled_images ten(std::string const& file) {
    return qtk::parse_cifar10(std::as_bytes(std::span(file)), "b.bin");
}
qtk::labelled_images hundred(std::string const& file, qtk::cifar100_label which) {
    return qtk::parse_cifar100(std::as_bytes(std::span(file)), "c.bin", which);
}

}  // namespace

TEST_CASE("planes become pixels, and every image has its label") {
    auto const images = ten(record({3}, 0) + record({9}, 5));
    CHECK(images.count == 2);
    CHECK(images.height == 32);
    CHECK(images.channels == 3);
    CHECK(images.labels == std::vector<std::uint16_t>{3, 9});
    for (std::size_t const p : {0u, 1u, 31u, 32u, 1023u})
        for (std::size_t c = 0; c < 3; ++c) {
            CHECK(images.image(0).at(p / 32, p % 32, c) == pixel(p, c, 0));
            CHECK(images.image(1).at(p / 32, p % 32, c) == pixel(p, c, 5));
        }
}

TEST_CASE("CIFAR-100 has a coarse and a fine label") {
    std::string const file = record({19, 99}, 1) + record({0, 42}, 2);
    CHECK(hundred(file, qtk::cifar100_label::fine).labels == std::vector<std::uint16_t>{99, 42});
    auto const coarse = hundred(file, qtk::cifar100_label::coarse);
    CHECK(coarse.labels == std::vector<std::uint16_t>{19, 0});
    CHECK(coarse.image(1).at(0, 1, 2) == pixel(1, 2, 2));
}

TEST_CASE("a length that is no number of records is refused") {
    std::string const file = record({3}, 0) + record({4}, 0);
    for (std::size_t const size : {0u, 1u, 3072u, 3074u, 6145u})
        CHECK_THROWS_WITH_AS((void)ten(file.substr(0, size)),
                             doctest::Contains("CIFAR-10 has records of 3073 bytes"),
                             qtk::io_error);
    CHECK_THROWS_WITH_AS((void)ten(file + "x"), doctest::Contains("b.bin: byte 6146:"),
                         qtk::io_error);
    CHECK_THROWS_WITH_AS((void)hundred(file, qtk::cifar100_label::fine),
                         doctest::Contains("records of 3074 bytes"), qtk::io_error);
}

TEST_CASE("a label that is none is refused where it stands") {
    CHECK_THROWS_WITH_AS((void)ten(record({3}, 0) + record({10}, 0)),
                         doctest::Contains("b.bin: byte 3073: CIFAR-10: expected a label from 0 to "
                                           "9, found 10"),
                         qtk::io_error);
    CHECK_THROWS_WITH_AS((void)hundred(record({20, 0}, 0), qtk::cifar100_label::fine),
                         doctest::Contains("coarse label from 0 to 19"), qtk::io_error);
    CHECK_THROWS_WITH_AS((void)hundred(record({0, 100}, 0), qtk::cifar100_label::coarse),
                         doctest::Contains("byte 1: CIFAR-100: expected a fine label"),
                         qtk::io_error);
}

TEST_CASE("files are read, the five training batches one behind the other") {
    test::scratch_folder const folder;
    for (int i = 1; i <= 5; ++i)
        test::write_file(folder / ("data_batch_" + std::to_string(i) + ".bin"), record({i}, i));
    auto const all = qtk::read_cifar10_training(folder.path());
    CHECK(all.labels == std::vector<std::uint16_t>{1, 2, 3, 4, 5});
    CHECK(all.image(4).at(0, 0, 0) == pixel(0, 0, 5));
    test::write_file(folder / "train.bin", record({1, 2}, 0));
    CHECK(qtk::read_cifar100(folder / "train.bin").labels[0] == 2);
    CHECK_THROWS_AS((void)qtk::read_cifar10(folder / "none.bin"), qtk::system_error);
    qtk::io_limits small;
    small.image_set_bytes = 3000;
    CHECK_THROWS_AS((void)qtk::read_cifar10(folder / "data_batch_1.bin", small), qtk::io_error);
}
