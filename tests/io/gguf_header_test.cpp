// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/gguf_header.hpp>

#include <doctest/doctest.h>

#include "gguf_bytes.hpp"

using test::gguf, test::key, test::tensor, test::text, test::u32, test::u64;

namespace {

qtk::gguf_header parse(std::string const& file, qtk::io_limits const& limits = {}) {
    return qtk::parse_gguf_header(std::as_bytes(std::span(file)), "m.gguf", limits);
}
/// The message with which a file is refused; empty if it is accepted.
std::string refusal(std::string const& file, qtk::io_limits const& limits = {}) {
    try {
        (void)parse(file, limits);
        return {};
    } catch (qtk::io_error const& e) {
        CHECK(e.path == "m.gguf");
        return e.what();
    }
}

constexpr std::uint64_t huge = ~std::uint64_t{0};
constexpr std::uint32_t u8 = 0, kind_u32 = 4, boolean = 7, string = 8, array = 9;
constexpr std::uint32_t f32 = 0, q4_0 = 2;

}  // namespace

TEST_CASE("a small GGUF file is read as it is, in versions 2 and 3") {
    for (std::uint32_t const version : {2u, 3u}) {
        std::string const file =
            gguf({key("a.b", kind_u32, u32(5)), key("s", string, text("x"))},
                 {tensor("t", {4, 2}, f32, 64), tensor("q", {32}, q4_0, 0)}, 96, version);
        auto const header = parse(file);
        CHECK(header.version == version);
        CHECK(header.metadata.get<int>("a.b") == 5);
        CHECK(header.metadata.get<std::string>("s") == "x");
        REQUIRE(header.tensors.size() == 2);
        CHECK(header.tensors[0].name == "t");
        CHECK(header.tensors[0].values() == 8);
        CHECK(header.tensors[0].bytes == 32);
        CHECK(header.tensors[1].bytes == 18);
        CHECK(qtk::to_string(header.tensors[0]) == "[4, 2] f32");
        CHECK(header.find("q") == &header.tensors[1]);
        CHECK(header.find("r") == nullptr);
        CHECK(header.data_offset % 32 == 0);
    }
    CHECK(refusal(gguf({})).empty());
    CHECK(refusal(gguf({key("general.alignment", kind_u32, u32(64))}, {tensor("t", {4}, f32, 64)},
                       80, 3, 64))
              .empty());
}

TEST_CASE("every cut of a GGUF file is refused, and never crashes") {
    std::string const file =
        gguf({key("s", string, text("x")), key("a", array, u32(string) + u64(1) + text("y"))},
             {tensor("t", {4, 2}, f32, 0)}, 32);
    CHECK(refusal(file).empty());
    for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        CHECK_FALSE(refusal(file.substr(0, size)).empty());
    }
}

TEST_CASE("a bad start of a GGUF file is named") {
    CHECK(refusal("GGML" + gguf({}).substr(4)) ==
          "m.gguf: byte 0: the file does not start with \"GGUF\". Hint: is this a GGUF file?");
    CHECK(refusal(gguf({}, {}, 0, 1)) ==
          "m.gguf: byte 4: expected version 2 or 3, found 1. Hint: convert it with a tool of its "
          "time");
    CHECK(refusal(gguf({}, {}, 0, 4)) == "m.gguf: byte 4: expected version 2 or 3, found 4");
    CHECK(refusal(gguf({}, {}, 0, 0)) == "m.gguf: byte 4: expected version 2 or 3, found 0");
    CHECK(refusal(gguf({}, {}, 0, 0x03000000)) ==
          "m.gguf: byte 4: expected version 2 or 3, found 50331648. Hint: the file is big endian; "
          "convert it to little endian");
    CHECK(
        refusal("") ==
        "m.gguf: byte 0: the magic number needs 4 bytes but only 0 are left; the file is cut short "
        "or damaged");
}

TEST_CASE("counts of a GGUF file are held against its size before anything is allocated") {
    std::string const start = "GGUF" + u32(3);
    CHECK(refusal(start + u64(huge) + u64(0)) ==
          "m.gguf: byte 24: the file claims 18446744073709551615 tensors, more than the limit of "
          "2097152");
    CHECK(
        refusal(start + u64(1000) + u64(0)) ==
        "m.gguf: byte 24: the file claims 1000 tensors, but has only 0 bytes left; it is cut short "
        "or damaged");
    CHECK(refusal(start + u64(0) + u64(huge)) ==
          "m.gguf: byte 24: the file claims 18446744073709551615 keys, more than the limit of "
          "1048576");
    CHECK(refusal(start + u64(0) + u64(1) + "abc") ==
          "m.gguf: byte 24: the file claims 1 keys, but has only 3 bytes left; it is cut short or "
          "damaged");
}

TEST_CASE("a bad key or value of a GGUF file is named") {
    CHECK(refusal("GGUF" + u32(3) + u64(0) + u64(1) + u64(huge) + "aaaaaaaa") ==
          "m.gguf: byte 24: a key has 18446744073709551615 bytes, more than the limit of 65535");
    CHECK(refusal("GGUF" + u32(3) + u64(0) + u64(1) + u64(4000) + "aaaaaaaa") ==
          "m.gguf: byte 32: a key needs 4000 bytes but only 8 are left; the file is cut short or "
          "damaged");
    CHECK(refusal(gguf({key("", kind_u32, u32(1))})) == "m.gguf: byte 24: a key is empty");
    CHECK(refusal(gguf({key("a\xff", kind_u32, u32(1))})) == "m.gguf: byte 33: a key is not UTF-8");
    CHECK(refusal(gguf({key("a", 13, u32(1))})) ==
          "m.gguf: byte 33: the key \"a\": 13 is no type of a value");
    CHECK(refusal(gguf({key("a", ~0u, u32(1))})) ==
          "m.gguf: byte 33: the key \"a\": 4294967295 is no type of a value");
    CHECK(refusal(gguf({key("a", kind_u32, u32(1)), key("a", kind_u32, u32(1))})) ==
          "m.gguf: the key \"a\" is there twice");
    CHECK(refusal(gguf({key("a", boolean, "\2")})) ==
          "m.gguf: byte 37: the key \"a\": a bool is 0 or 1, found 2");
    CHECK(refusal(gguf({key("a", string, text("x\xc0"))})) ==
          "m.gguf: byte 46: a string is not UTF-8");
    CHECK(refusal(gguf({key("a", string, u64(huge))})) ==
          "m.gguf: byte 37: a string has 18446744073709551615 bytes, more than the limit of "
          "16777216");
    CHECK(refusal(gguf({key("a", kind_u32, "xx")})) ==
          "m.gguf: byte 37: a value needs 4 bytes but only 2 are left; the file is cut short or "
          "damaged");
}

TEST_CASE("a bad array of a GGUF file is named") {
    CHECK(refusal(gguf({key("a", array, u32(array) + u64(1) + u32(u8) + u64(1) + "x")})) ==
          "m.gguf: byte 41: the key \"a\": arrays of arrays are not read");
    CHECK(refusal(gguf({key("a", array, u32(99) + u64(1))})) ==
          "m.gguf: byte 37: the key \"a\": 99 is no type of a value");
    CHECK(refusal(gguf({key("a", array, u32(kind_u32) + u64(std::uint64_t{1} << 62))})) ==
          "m.gguf: byte 41: the key \"a\": an array of 4611686018427387904 elements, more than the "
          "limit of 67108864");
    CHECK(refusal(gguf({key("a", array, u32(kind_u32) + u64(1 << 20) + "xx")})) ==
          "m.gguf: byte 41: the key \"a\": an array of 1048576 u32, but only 2 bytes are left; the "
          "file is cut short or damaged");
    CHECK(
        refusal(gguf({key("a", array, u32(kind_u32) + u64(3) + u64(0))})) ==
        "m.gguf: byte 41: the key \"a\": an array of 3 u32, but only 8 bytes are left; the file is "
        "cut short or damaged");
    CHECK(refusal(gguf({key("a", array, u32(string) + u64(2) + text("x") + u64(1 << 20))})) ==
          "m.gguf: byte 66: a string of an array needs 1048576 bytes but only 0 are left; the file "
          "is "
          "cut short or damaged");
    CHECK(
        refusal(gguf({key("a", array, u32(string) + u64(1) + u64((1 << 20) + 1))})) ==
        "m.gguf: byte 49: a string of an array has 1048577 bytes, more than the limit of 1048576");
    CHECK(refusal(gguf({key("a", array, u32(boolean) + u64(2) + "\1\3")})) ==
          "m.gguf: byte 50: the key \"a\": a bool is 0 or 1, found 3");
    qtk::io_limits few;
    few.gguf_array_elements = 2;
    CHECK(refusal(gguf({key("a", array, u32(u8) + u64(3) + "xyz")}), few) ==
          "m.gguf: byte 41: the key \"a\": an array of 3 elements, more than the limit of 2");
}

TEST_CASE("a bad alignment of a GGUF file is named") {
    for (std::uint32_t const bad : {0u, 1u, 4u, 24u, 33u, 1u << 21, 1u << 31})
        CHECK(refusal(gguf({key("general.alignment", kind_u32, u32(bad))})) ==
              "m.gguf: the key \"general.alignment\": expected a power of two from 8 to 1048576, "
              "found " +
                  std::to_string(bad));
    CHECK(refusal(gguf({key("general.alignment", 10, u64(32))})) ==
          "m.gguf: the key \"general.alignment\": expected u32, found u64 32");
    CHECK(refusal(gguf({key("general.alignment", string, text("32"))})) ==
          "m.gguf: the key \"general.alignment\": expected u32, found string \"32\"");
    CHECK(refusal(gguf({key("general.alignment", array, u32(kind_u32) + u64(1) + u32(32))})) ==
          "m.gguf: the key \"general.alignment\": expected u32, found array of 1 u32");
}

TEST_CASE("a bad tensor of a GGUF file is named") {
    auto const with = [](std::string const& one, std::size_t data = 32) {
        return refusal(gguf({}, {one}, data));
    };
    CHECK(with(tensor("", {4}, f32, 0)) == "m.gguf: byte 24: the name of a tensor is empty");
    CHECK(with(tensor("\xff", {4}, f32, 0)) ==
          "m.gguf: byte 32: the name of a tensor is not UTF-8");
    CHECK(with(tensor(std::string(4097, 'n'), {4}, f32, 0)) ==
          "m.gguf: byte 24: the name of a tensor has 4097 bytes, more than the limit of 4096");
    CHECK(with(tensor("t", {}, f32, 0)) ==
          "m.gguf: tensor \"t\": expected 1 to 4 dimensions, found 0");
    CHECK(with(tensor("t", {1, 1, 1, 1, 1}, f32, 0)) ==
          "m.gguf: tensor \"t\": expected 1 to 4 dimensions, found 5");
    CHECK(with(tensor("t", {4, 0}, f32, 0)) ==
          "m.gguf: tensor \"t\": [4, 0] f32: a dimension is 0");
    CHECK(with(tensor("t", {4}, 4, 0)) ==
          "m.gguf: tensor \"t\": [4] ?: type 4 is none that is known");
    CHECK(with(tensor("t", {4}, ~0u, 0)) ==
          "m.gguf: tensor \"t\": [4] ?: type 4294967295 is none that is known");
    CHECK(
        with(tensor("t", {16, 2}, q4_0, 0)) ==
        "m.gguf: tensor \"t\": [16, 2] q4_0: rows of 16 values are no whole blocks of q4_0, which "
        "has 32 a block");
    // 2^64 values: the product wraps to 0.
    CHECK(with(tensor("t", {1ull << 32, 1ull << 32}, f32, 0)) ==
          "m.gguf: tensor \"t\": [4294967296, 4294967296] f32: the product 4294967296 x 4294967296 "
          "overflows");
    CHECK(with(tensor("t", {huge}, f32, 0)) ==
          "m.gguf: tensor \"t\": [18446744073709551615] f32: the product 18446744073709551615 x 4 "
          "overflows");
    CHECK(
        with(tensor("t", {1ull << 62}, q4_0, 0)) ==
        "m.gguf: tensor \"t\": [4611686018427387904] q4_0 at 0 needs 2594073385365405696 bytes, "
        "but the file has 32 bytes of data (size on disk 96). Hint: the file is cut short; copy or "
        "download it again");
    CHECK(with(tensor("t", {4}, f32, 16)) ==
          "m.gguf: tensor \"t\": its offset 16 is no multiple of the alignment 32");
    CHECK(with(tensor("t", {4}, f32, 64)) ==
          "m.gguf: tensor \"t\": [4] f32 at 64 needs 16 bytes, but the file has 32 bytes of data "
          "(size on disk 96). Hint: the file is cut short; copy or download it again");
    CHECK(with(tensor("t", {4}, f32, huge - 31)).find("at 18446744073709551584 needs 16 bytes") !=
          std::string::npos);
    CHECK(with(tensor("t", {9}, f32, 0)).find("needs 36 bytes, but the file has 32") !=
          std::string::npos);
    CHECK(with(tensor("t", {8}, f32, 0)).empty());
}

TEST_CASE("tensors of a GGUF file that share a name or bytes are named") {
    CHECK(refusal(gguf({}, {tensor("t", {8}, f32, 0), tensor("t", {8}, f32, 32)}, 64)) ==
          "m.gguf: tensor \"t\": the name is there twice");
    CHECK(refusal(gguf({}, {tensor("a", {9}, f32, 0), tensor("b", {8}, f32, 32)}, 64)) ==
          "m.gguf: tensor \"b\": its data starts at 32 but the tensor before ends at 36: they "
          "overlap");
    CHECK(refusal(gguf({}, {tensor("a", {8}, f32, 0), tensor("b", {8}, f32, 0)}, 64)) ==
          "m.gguf: tensor \"b\": its data starts at 0 but the tensor before ends at 32: they "
          "overlap");
    CHECK(refusal(gguf({}, {tensor("b", {8}, f32, 32), tensor("a", {8}, f32, 0)}, 64)).empty());
}
