// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/safetensors.hpp>
#include <qtk/io/safetensors_writer.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <vector>

namespace {
std::vector<std::byte> const bytes(24, std::byte{3});
}

TEST_CASE("what was written is read, aligned, of the planned size, the same every time") {
    test::scratch_folder const folder;
    qtk::safetensors_writer writer;
    writer.add("small", qtk::dtype::u8, {3}, std::span(bytes).first(3));
    writer.add("z", qtk::dtype::f64, {3}, bytes);
    writer.add("a", qtk::dtype::f64, {1, 3}, bytes);
    writer.add("none", qtk::dtype::f32, {0, 7}, {});
    writer.set_metadata("made by", "a \"test\"");
    writer.write(folder / "one");
    writer.write(folder / "two");
    CHECK(test::read_file(folder / "one") == test::read_file(folder / "two"));
    CHECK(std::filesystem::file_size(folder / "one") == writer.size_bytes());

    auto const file = qtk::safetensors_file::open(folder / "one");
    CHECK(file.metadata().at("made by") == "a \"test\"");
    REQUIRE(file.tensors().size() == 4);
    CHECK(file.at("a").begin == 0);  // widest elements first, then by name
    CHECK(file.at("z").begin == 24);
    CHECK(file.at("small").begin == 48);
    CHECK(file.at("a").shape == std::vector<std::uint64_t>{1, 3});
    CHECK(file.at("none").shape == std::vector<std::uint64_t>{0, 7});
    std::uint64_t const data = writer.size_bytes() - 51;
    CHECK(data % 64 == 0);
}

TEST_CASE("a model survives being read and written") {
    test::scratch_folder const folder;
    auto const before =
        qtk::safetensors_file::open(QTK_DATA_DIR "/polyglot-gpt2/model.safetensors");
    qtk::safetensors_writer writer;
    for (auto const& info : before.tensors())
        writer.add(info.name, info.type, info.shape, before.bytes(info));
    writer.write(folder / "copy");
    auto const after = qtk::safetensors_file::open(folder / "copy");
    for (auto const& info : before.tensors()) {
        auto const old_bytes = before.bytes(info), new_bytes = after.bytes(after.at(info.name));
        REQUIRE(after.at(info.name).shape == info.shape);
        REQUIRE(std::ranges::equal(old_bytes, new_bytes));
    }
}

TEST_CASE("names that are taken or none, and bytes that do not fill the shape, are refused") {
    qtk::safetensors_writer writer;
    writer.add("w", qtk::dtype::u8, {24}, bytes);
    CHECK_THROWS_AS(writer.add("w", qtk::dtype::u8, {24}, bytes), qtk::value_error);
    CHECK_THROWS_AS(writer.add("__metadata__", qtk::dtype::u8, {24}, bytes), qtk::value_error);
    CHECK_THROWS_AS(writer.add("\xff", qtk::dtype::u8, {24}, bytes), qtk::value_error);
    CHECK_THROWS_WITH_AS(writer.add("v", qtk::dtype::f32, {5}, bytes),
                         doctest::Contains("needs 20 bytes, found 24"), qtk::shape_error);
    CHECK_THROWS_AS(writer.add("v", qtk::dtype::f4, {3}, bytes), qtk::shape_error);
}

TEST_CASE("a file that is planned and written piece by piece is the file that the writer writes") {
    test::scratch_folder const folder;
    std::string const a(24, 'a'), b(6, 'b');
    auto const bytes = [](std::string const& text) { return std::as_bytes(std::span(text)); };
    qtk::safetensors_writer whole, planned;
    whole.add("x.b", qtk::dtype::u8, {2, 3}, bytes(b));
    whole.add("x.a", qtk::dtype::f32, {6}, bytes(a));
    planned.plan("x.b", qtk::dtype::u8, {2, 3});
    planned.plan("x.a", qtk::dtype::f32, {6});
    for (auto* const writer : {&whole, &planned}) writer->set_metadata("k", "v");
    whole.write(folder / "whole");
    CHECK_THROWS_AS(planned.write(folder / "planned"), qtk::value_error);
    CHECK(planned.size_bytes() == whole.size_bytes());

    std::string pieces(planned.size_bytes(), '\0');
    auto const start = planned.start();
    std::memcpy(pieces.data(), start.data(), start.size());
    auto const places = planned.places();
    REQUIRE(places.size() == 2);
    CHECK(places[0].name == "x.a");
    CHECK(places[0].offset == start.size());
    for (auto const& place : places)
        pieces.replace(place.offset, place.bytes, place.name == "x.a" ? a : b);
    CHECK(pieces == test::read_file(folder / "whole"));
    CHECK_THROWS_AS(planned.plan("x.a", qtk::dtype::f32, {6}), qtk::value_error);
    CHECK_THROWS_AS(planned.plan("y", qtk::dtype::f4, {3}), qtk::shape_error);
}
