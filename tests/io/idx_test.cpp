// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/idx.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace {

std::string idx(std::vector<std::uint32_t> const& shape, std::string const& values, int type = 8) {
    std::string file{'\0', '\0', static_cast<char>(type), static_cast<char>(shape.size())};
    for (std::uint32_t const extent : shape)
        for (int shift = 24; shift >= 0; shift -= 8) file += static_cast<char>(extent >> shift);
    return file + values;
}
std::string refusal(std::string const& file, std::size_t rank) {
    try {
        (void)qtk::parse_idx(std::as_bytes(std::span(file)), "a.idx", rank);
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}
bool refuses(std::string const& file, std::size_t rank, char const* reason) {
    std::string const text = refusal(file, rank);
    CAPTURE(text);
    return text.starts_with("a.idx: byte ") && text.find(reason) != std::string::npos;
}

}  // namespace

TEST_CASE("two images and their labels are read") {
    test::scratch_folder const folder;
    test::write_file(folder / "x", idx({2, 2, 3}, "abcdefghijkl"));
    test::write_file(folder / "y", idx({2}, std::string("\x07\x00", 2)));
    auto const images = qtk::read_idx(folder / "x", folder / "y");
    CHECK(images.count == 2);
    CHECK(images.height == 2);
    CHECK(images.width == 3);
    CHECK(images.channels == 1);
    CHECK(images.labels == std::vector<std::uint16_t>{7, 0});
    CHECK(images.image(1).at(1, 0, 0) == 'j');
}

TEST_CASE("every cut of a file is refused") {
    std::string const file = idx({1, 2, 2}, "abcd");
    for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        CHECK(refusal(file.substr(0, size), 3) != "accepted");
    }
    CHECK(refusal(file, 3) == "accepted");
    CHECK(refuses(file + "x", 3, "promises 4 bytes of values, 5 follow"));
}

TEST_CASE("another signature, type or number of axes is refused where it stands") {
    CHECK(refuses("\x1f\x8b\x08\x08....", 3, "gunzip"));
    CHECK(refuses("PK\x03\x04", 3, "byte 0: this is no idx file"));
    CHECK(refuses(idx({1}, "abcd", 0x0d), 1, "byte 2: expected the type 8"));
    CHECK(refuses(idx({1}, "a"), 3, "byte 3: expected 3 axes, found 1; hint: images have 3"));
    CHECK(refuses(idx({1, 1, 1}, "a"), 1, "expected 1 axes, found 3"));
}

TEST_CASE("shapes that overflow or promise too much are refused before memory is taken") {
    CHECK(refuses(idx({0xffffffff, 0xffffffff, 0xffffffff}, "a"), 3, "the shape is too large"));
    CHECK(refuses(idx({0xffffffff}, "a"), 1, "promises 4294967295"));
    CHECK(refusal(idx({0}, ""), 1) == "accepted");
}

TEST_CASE("images and labels that do not belong together are refused") {
    test::scratch_folder const folder;
    test::write_file(folder / "x", idx({2, 1, 1}, "ab"));
    test::write_file(folder / "three", idx({3}, std::string(3, '\0')));
    test::write_file(folder / "large", idx({2}, std::string("\x09\x0a")));
    test::write_file(folder / "flat", idx({2, 0, 1}, ""));
    CHECK_THROWS_WITH_AS((void)qtk::read_idx(folder / "x", folder / "three"),
                         doctest::Contains("a label for each of the 2 images"), qtk::io_error);
    CHECK_THROWS_WITH_AS((void)qtk::read_idx(folder / "x", folder / "large"),
                         doctest::Contains("byte 9: expected a label below 10, found 10"),
                         qtk::io_error);
    CHECK(qtk::read_idx(folder / "x", folder / "large", 47).labels[1] == 10);
    CHECK_THROWS_AS((void)qtk::read_idx(folder / "flat", folder / "large", 47), qtk::io_error);
    CHECK_THROWS_AS((void)qtk::read_idx(folder / "none", folder / "large"), qtk::system_error);
}
