// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/npy.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <bit>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace {

// A file of version 1.0 around a header and a payload.
std::string npy(std::string const& dictionary, std::string const& payload, int major = 1) {
    std::string file = "\x93NUMPY";
    file += static_cast<char>(major);
    file += '\0';
    for (int byte = 0; byte < (major == 1 ? 2 : 4); ++byte)
        file += static_cast<char>(dictionary.size() >> (8 * byte) & 0xff);
    return file + dictionary + payload;
}
std::string dictionary(std::string const& type, std::string const& shape) {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }  \n";
}
qtk::npy_header parsed(std::string const& file) {
    return qtk::parse_npy_header(std::as_bytes(std::span(file)), "a.npy");
}
std::string refusal(std::string const& file) {
    try {
        (void)parsed(file);
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}
bool refuses(std::string const& file, char const* reason) {
    std::string const text = refusal(file);
    CAPTURE(text);
    return text.starts_with("a.npy: byte ") && text.find(reason) != std::string::npos;
}

}  // namespace

TEST_CASE("an empty array, a scalar and a matrix are read") {
    CHECK(parsed(npy(dictionary("<f4", "(0,)"), "")).shape == std::vector<std::uint64_t>{0});
    CHECK(parsed(npy(dictionary("<f8", "()"), std::string(8, 'x'))).shape.empty());
    auto const header = parsed(npy(dictionary("<f4", "(2, 3)"), std::string(24, 'x')));
    CHECK(header.type == "<f4");
    CHECK(header.shape == std::vector<std::uint64_t>{2, 3});
    CHECK(header.data_offset == 10 + dictionary("<f4", "(2, 3)").size());
}

TEST_CASE("versions 2 and 3 have a longer length field") {
    for (int const version : {2, 3})
        CHECK(parsed(npy(dictionary("|u1", "(5,)"), "12345", version)).shape ==
              std::vector<std::uint64_t>{5});
    CHECK(refuses(npy(dictionary("|u1", "(5,)"), "12345", 4), "version"));
    CHECK(refuses(npy(dictionary("|u1", "(5,)"), "12345", 0), "version"));
}

TEST_CASE("keys may come in any order and either quotation mark") {
    CHECK(parsed(npy(R"({"shape":(1,),"descr":"|i1","fortran_order":False})", "x")).type == "|i1");
}

TEST_CASE("every cut of a file is refused") {
    std::string const file = npy(dictionary("<f4", "(2,)"), "12345678");
    for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        CHECK(refusal(file.substr(0, size)) != "accepted");
    }
    CHECK(refusal(file) == "accepted");
    CHECK(refuses(file + "x", "promises 8 bytes"));
}

TEST_CASE("a header that is no dictionary of the three keys is refused") {
    CHECK(refuses(npy("", ""), "expected {"));
    CHECK(refuses(npy("{}", ""), "missing"));
    CHECK(refuses(npy("{'descr': '<f4', 'fortran_order': False}", ""), "missing"));
    CHECK(refuses(npy("{'descr': '<f4', 'descr': '<f4'}", ""), "appears twice"));
    CHECK(refuses(npy("{'colour': '<f4'}", ""), "unknown"));
    CHECK(refuses(npy("{'descr': '<f4', 'fortran_order': 0}", ""), "True or False"));
    CHECK(refuses(npy("{'descr': [('x', '<f4')]}", ""), "structured"));
    CHECK(refuses(npy("{'descr: 4}", ""), "expected a string"));
    CHECK(refuses(npy(dictionary("<f4", "(0,)") + "x", ""), "only spaces"));
    CHECK(refuses(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (0,)}", ""),
                  "column by column"));
}

TEST_CASE("types that are not plain and little endian are refused by name") {
    for (char const* type : {">f4", "<f16", "|O", "<U3", "<c8", "|S1", "f4", ""})
        CHECK(refuses(npy(dictionary(type, "(0,)"), ""), "is not supported"));
}

TEST_CASE("lengths that are negative, no numbers or overflow are refused") {
    for (char const* shape :
         {"(-1,)", "(a,)", "(,)", "(1 2)", "(1,", "1", "(1.5,)", "(18446744073709551616,)"})
        CHECK(refusal(npy(dictionary("|u1", shape), "x")) != "accepted");
    CHECK(refuses(npy(dictionary("<f4", "(4611686018427387904,)"), ""), "too large"));
    CHECK(refuses(npy(dictionary("|u1", "(4294967296, 4294967296)"), ""), "too large"));
    CHECK(refuses(npy(dictionary("|u1", "(1,1,1,1,1,1,1,1,1)"), "x"), "more than 8 axes"));
    CHECK(refuses(npy(dictionary("|u1", "(1000000000000,)"), "x"), "promises 1000000000000"));
}

TEST_CASE("a header longer than 64 KiB is refused before it is read") {
    std::string file = npy("", "", 2);
    file[8] = file[9] = file[10] = file[11] = '\xff';
    CHECK(refuses(file, "more than the limit of 65536"));
}

TEST_CASE("halves, floats and doubles are read as floats, and whole numbers are not") {
    test::scratch_folder const folder;
    auto const values = [&](char const* type, std::string const& payload) {
        test::write_file(folder / "a.npy", npy(dictionary(type, "(2,)"), payload));
        return qtk::npy_file::open(folder / "a.npy").floats();
    };
    auto const bytes = []<typename T>(T a, T b) {
        T const both[] = {a, b};
        return std::string(reinterpret_cast<char const*>(both), sizeof both);
    };
    std::vector<float> const expected{1.5f, -0x1p-14f};
    CHECK(values("<f2", bytes(std::uint16_t{0x3e00}, std::uint16_t{0x8400})) == expected);
    CHECK(values("<f4", bytes(1.5f, -0x1p-14f)) == expected);
    CHECK(values("<f8", bytes(1.5, -0x1p-14)) == expected);
    CHECK_THROWS_AS((void)values("<i4", bytes(1, 2)), qtk::io_error);
}

TEST_CASE("a golden array gives its floats, and asking bytes for floats is refused") {
    std::filesystem::path const golden = QTK_GOLDEN_DIR;
    auto const file = qtk::npy_file::open(golden / "polyglot-gpt2_logits.npy");
    CHECK(file.header().shape == std::vector<std::uint64_t>{64, 4096});
    std::vector<float> const values = file.floats();
    REQUIRE(values.size() == 64 * 4096);
    CHECK(values[0] == qtk::load_little_endian<float>(file.bytes().data()));
    CHECK_THROWS_AS((void)qtk::npy_file::open(golden / "none.npy"), qtk::system_error);
    CHECK_THROWS_AS((void)qtk::npy_file::open(golden / "tokens.json"), qtk::io_error);
}
