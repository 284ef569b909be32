// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/layer_tensors.hpp>
#include <qtk/io/safetensors.hpp>
#include <qtk/io/safetensors_writer.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace {

using qtk::layer_tensors, qtk::stored_tensor;

layer_tensors small(std::vector<std::int32_t> const& groups) {
    layer_tensors layer("file", "name");
    layer.add("g", {qtk::dtype::i32, {groups.size()}, std::as_bytes(std::span(groups))});
    return layer;
}
std::vector<std::uint32_t> order_of(std::vector<std::int32_t> const& groups, std::size_t width) {
    return qtk::detail::read_order(small(groups), "g", groups.size(), width);
}

}  // namespace

TEST_CASE("the tensors of a layer are found in a file by their endings") {
    test::scratch_folder const folder;
    std::vector<float> const values{1, 2};
    qtk::safetensors_writer writer;
    for (char const* const name : {"a.x", "a.y", "b.x", "a.x.x"})
        writer.add(name, qtk::dtype::f32, {2}, std::as_bytes(std::span(values)));
    writer.write(folder / "m.safetensors");
    auto const file = qtk::safetensors_file::open(folder / "m.safetensors");
    constexpr std::array<std::string_view, 3> suffixes{"x", "x.x", "z"};
    layer_tensors const layer(file, "a", suffixes);
    CHECK(layer.all().size() == 2);
    CHECK(layer.has("x.x"));
    CHECK_FALSE(layer.has("y"));
    CHECK(layer.at("x", qtk::dtype::f32, {2}).bytes.size() == 8);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(layer.at("z")),
        ((folder / "m.safetensors").string() + ": layer \"a\": the tensor z is missing").c_str(),
        qtk::io_error);
    CHECK_THROWS_AS(layer.at("x", qtk::dtype::f32, {3}), qtk::io_error);
    CHECK_THROWS_AS(layer.at("x", qtk::dtype::i32, {2}), qtk::io_error);
    CHECK_THROWS_AS(layer.matrix_at("x", qtk::dtype::f32), qtk::io_error);
}

TEST_CASE("what a part refuses is a refusal of the file, but other errors stay what they are") {
    layer_tensors const layer("file", "name");
    CHECK(layer.checked([] { return 3; }) == 3);
    CHECK_THROWS_WITH_AS(layer.checked([]() -> int { throw qtk::shape_error("too wide"); }),
                         "file: layer \"name\": too wide", qtk::io_error);
    CHECK_THROWS_WITH_AS(layer.checked([]() -> int { throw qtk::io_error("x", "y"); }), "x: y",
                         qtk::io_error);
    CHECK_THROWS_AS(layer.checked([]() -> int { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST_CASE("an order sorts inputs by group and is empty for runs of neighbours") {
    CHECK(order_of({0, 0, 1, 1, 2}, 2).empty());
    CHECK(order_of({1, 0, 1, 0, 2}, 2) == std::vector<std::uint32_t>{1, 3, 0, 2, 4});
    CHECK_THROWS_WITH_AS(order_of({2, 2, 0, 0, 1}, 2),
                         "file: layer \"name\": g: expected 1 inputs in group 2, found more",
                         qtk::io_error);
    CHECK_THROWS_AS(order_of({0, 3, 1, 0, 2}, 2), qtk::io_error);
    CHECK_THROWS_AS(order_of({0, -1, 1, 0, 2}, 2), qtk::io_error);
}

TEST_CASE("scales are read by rows and by groups, as patterns of their type") {
    std::vector<std::uint16_t> const halves{0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
    layer_tensors layer("file", "name");
    layer.add("s", {qtk::dtype::f16, {2, 3}, std::as_bytes(std::span(halves))});
    auto const rows = qtk::detail::read_scales(layer, "s", 2, 3, true);
    CHECK(rows.type == qtk::scale_type::f16);
    CHECK(rows.patterns[2] == 0x00);
    CHECK(rows.patterns[3] == 0x40);
    auto const groups = qtk::detail::read_scales(layer, "s", 3, 2, false);
    // Row 0 has the first of either group.
    CHECK(groups.patterns[1] == 0x3c);
    CHECK(groups.patterns[3] == 0x44);
    CHECK_THROWS_AS(static_cast<void>(qtk::detail::read_scales(layer, "s", 3, 2, true)),
                    qtk::io_error);
}
