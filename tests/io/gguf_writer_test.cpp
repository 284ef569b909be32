// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/gguf.hpp>
#include <qtk/io/gguf_writer.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"

namespace {

std::vector<std::byte> const bytes(100'000, std::byte{7});
std::span<std::byte const> first(std::size_t n) {
    return std::span(bytes).first(n);
}

/// The same keys and tensors in a new file.
void copy(qtk::gguf_file const& from, std::filesystem::path const& to) {
    qtk::gguf_writer writer;
    for (auto const& [key, value] : from.metadata().entries()) writer.set_value(key, value);
    for (auto const& t : from.tensors())
        writer.add(t.name, t.type,
                   std::vector<std::uint64_t>(t.dims.data(), t.dims.data() + t.rank),
                   [&from, &t] { return from.bytes(t); });
    CHECK(writer.size_bytes() == std::filesystem::file_size(from.path()));
    writer.write(to);
}

}  // namespace

TEST_CASE("a copy of a file of PyPI's gguf is that file, byte for byte") {
    test::scratch_folder const folder;
    for (std::string const name : {"kinds.gguf", "types.gguf", "model.gguf"}) {
        CAPTURE(name);
        auto const from = std::filesystem::path(QTK_GOLDEN_DIR) / "gguf" / name;
        copy(qtk::gguf_file::open(from), folder / name);
        CHECK(test::read_file(folder / name) == test::read_file(from));
    }
    CHECK(folder.files() == 3);
}

TEST_CASE("what was written is read") {
    test::scratch_folder const folder;
    qtk::gguf_writer writer;
    writer.set("general.architecture", "llama");
    writer.set("a", std::uint8_t{200});
    writer.set("b", std::int64_t{-5});
    writer.set("c", 0.5);
    writer.set("d", true);
    writer.set("general.alignment", std::uint32_t{128});
    writer.set_array("e", std::vector<std::string>{"x", "", "yz"});
    writer.set_array("f", std::vector<std::int16_t>{1, -1});
    writer.set_array("g", std::vector<bool>{true, false});
    writer.set_array("h", std::vector<float>{});
    std::vector<float> const x{1.0f, 2.0f, 3.0f};
    writer.add("x", qtk::gguf_type::f32, {3}, std::as_bytes(std::span(x)));
    writer.add("q", qtk::gguf_type::q4_K, {256, 2}, first(288));
    writer.write(folder / "m.gguf");
    CHECK(std::filesystem::file_size(folder / "m.gguf") == writer.size_bytes());

    auto const file = qtk::gguf_file::open(folder / "m.gguf");
    auto const& m = file.metadata();
    CHECK(file.alignment() == 128);
    CHECK(m.get<std::string>("general.architecture") == "llama");
    CHECK(m.at("a").kind() == qtk::gguf_kind::u8);
    CHECK(m.get<int>("a") == 200);
    CHECK(m.get<int>("b") == -5);
    CHECK(m.get<double>("c") == 0.5);
    CHECK(m.get<bool>("d"));
    CHECK(m.get<std::vector<std::string>>("e") == std::vector<std::string>{"x", "", "yz"});
    CHECK(m.get<std::vector<int>>("f") == std::vector{1, -1});
    CHECK(m.get<std::vector<bool>>("g") == std::vector{true, false});
    CHECK(m.get<std::vector<float>>("h").empty());
    CHECK(file.floats(file.at("x")) == x);
    CHECK(file.at("q").offset == 128);
    CHECK(std::ranges::equal(file.bytes(file.at("q")), first(288)));
}

TEST_CASE("what no reader would accept is not written") {
    qtk::gguf_writer writer;
    writer.set("a", 1);
    CHECK_THROWS_WITH_AS(writer.set("a", 2), "gguf: the key \"a\" is taken", qtk::value_error);
    CHECK_THROWS_AS(writer.set("", 2), qtk::value_error);
    CHECK_THROWS_AS(writer.set("\xff", 2), qtk::value_error);
    CHECK_THROWS_WITH_AS(writer.set("b", "x\xff"), "gguf: the string \"x\\xff\" is not UTF-8",
                         qtk::value_error);
    CHECK_THROWS_AS(writer.set_array("b", std::vector<std::string>{"\xff"}), qtk::value_error);
    CHECK_THROWS_WITH_AS(
        writer.set("general.alignment", std::uint32_t{24}),
        "gguf: general.alignment is a u32, a power of two from 8 to 1048576; found "
        "u32 24",
        qtk::value_error);
    CHECK_THROWS_AS(writer.set("general.alignment", 32), qtk::value_error);
    CHECK_THROWS_WITH_AS(writer.add("t", qtk::gguf_type::f32, {3}, first(11)),
                         "gguf: tensor \"t\": expected 12 bytes, found 11", qtk::shape_error);
    writer.add("t", qtk::gguf_type::f32, {3}, first(12));
    CHECK_THROWS_WITH_AS(writer.add("t", qtk::gguf_type::f32, {3}, first(12)),
                         "gguf: tensor \"t\": the name is taken", qtk::value_error);
    CHECK_THROWS_WITH_AS(writer.add("u", qtk::gguf_type::q4_K, {128}, first(72)),
                         doctest::Contains("no whole blocks of q4_K"), qtk::value_error);
    CHECK_THROWS_AS(writer.add("u", qtk::gguf_type::f32, {}, first(0)), qtk::value_error);
    CHECK_THROWS_AS(writer.add("u", qtk::gguf_type::f32, {1, 1, 1, 1, 1}, first(4)),
                    qtk::value_error);
    // What was refused left nothing behind.
    test::scratch_folder const folder;
    writer.write(folder / "m.gguf");
    auto const file = qtk::gguf_file::open(folder / "m.gguf");
    CHECK(file.metadata().entries().size() == 1);
    CHECK(file.tensors().size() == 1);
}

TEST_CASE("a tensor that comes with another size leaves no file") {
    test::scratch_folder const folder;
    qtk::gguf_writer writer;
    writer.add("t", qtk::gguf_type::f32, {3}, [] { return first(8); });
    CHECK_THROWS_WITH_AS(writer.write(folder / "m.gguf"),
                         "gguf: tensor \"t\": expected 12 bytes, found 8", qtk::shape_error);
    CHECK(folder.files() == 0);
}

TEST_CASE("the places that a writer names are those of the file that it writes") {
    test::scratch_folder const folder;
    qtk::gguf_writer writer;
    writer.set("general.architecture", "llama");
    writer.add("x", qtk::gguf_type::f32, {3}, first(12));
    writer.add("q", qtk::gguf_type::q4_K, {256, 2}, first(288));
    writer.write(folder / "m.gguf");
    auto const file = qtk::gguf_file::open(folder / "m.gguf");
    auto const text = test::read_file(folder / "m.gguf");
    auto const header = writer.header();
    CHECK(std::memcmp(text.data(), header.data(), header.size()) == 0);
    auto const places = writer.places();
    REQUIRE(places.size() == 2);
    auto const base = file.bytes(file.at("x")).data();
    for (auto const& place : places) {
        auto const in_file = file.bytes(file.at(place.name));
        CHECK(place.bytes == in_file.size());
        CHECK(static_cast<std::size_t>(in_file.data() - base) == place.offset - places[0].offset);
    }
    CHECK(places[0].offset % 32 == 0);
    CHECK(places[0].offset >= header.size());
    CHECK(places[0].offset < header.size() + 32);
}
