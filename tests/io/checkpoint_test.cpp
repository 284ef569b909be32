// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/checkpoint.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"

namespace {

std::string one_tensor(std::string const& name) {
    return test::safetensors(
        R"({")" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
}
std::string index(std::string const& map) {
    return R"({"metadata":{},"weight_map":)" + map + "}";
}
constexpr char const* index_name = "model.safetensors.index.json";

}  // namespace

TEST_CASE("a file and a folder with one file are the same model") {
    test::scratch_folder const folder;
    test::write_file(folder / "model.safetensors", one_tensor("w"));
    CHECK(qtk::checkpoint::open(folder.path()).find("w") != nullptr);
    CHECK(qtk::checkpoint::open(folder / "model.safetensors").find("w") != nullptr);
}

TEST_CASE("shards are one model") {
    test::scratch_folder const folder;
    test::write_file(folder / "1.safetensors", one_tensor("a"));
    test::write_file(folder / "2.safetensors", one_tensor("b"));
    test::write_file(folder / index_name, index(R"({"a":"1.safetensors","b":"2.safetensors"})"));
    auto const model = qtk::checkpoint::open(folder.path());
    CHECK(model.shards().size() == 2);
    CHECK(model.bytes(model.at("a"))[0] == std::byte{'x'});
    CHECK(model.bytes(model.at("b"))[0] == std::byte{'x'});
    CHECK_THROWS_WITH_AS((void)model.at("c"), doctest::Contains("\"c\" is missing"), qtk::io_error);
}

TEST_CASE("an index that leads out of its folder is refused") {
    test::scratch_folder const folder, elsewhere;
    test::write_file(elsewhere / "w.safetensors", one_tensor("w"));
    for (std::string const& name :
         {std::string("../w.safetensors"), (elsewhere / "w.safetensors").string(),
          std::string("sub/w.safetensors"), std::string(".."), std::string()}) {
        CAPTURE(name);
        test::write_file(folder / index_name, index(R"({"w":")" + name + R"("})"));
        CHECK_THROWS_WITH_AS(qtk::checkpoint::open(folder.path()), doctest::Contains("weight_map"),
                             qtk::io_error);
    }
    std::filesystem::create_symlink(elsewhere / "w.safetensors", folder / "link.safetensors");
    test::write_file(folder / index_name, index(R"({"w":"link.safetensors"})"));
    CHECK_THROWS_WITH_AS(qtk::checkpoint::open(folder.path()), doctest::Contains("leads out"),
                         qtk::io_error);
}

TEST_CASE("an index that disagrees with its shards, or is none, is refused") {
    test::scratch_folder const folder;
    test::write_file(folder / "1.safetensors", one_tensor("a"));
    test::write_file(folder / "2.safetensors", one_tensor("a"));
    for (std::string const& text :
         {index(R"({"b":"1.safetensors"})"), index(R"({"a":"1.safetensors","b":"2.safetensors"})"),
          index(R"({"a":1})"), index("[]"), std::string("{}"), std::string("[]"), std::string("{"),
          std::string(), index(R"({"a":"1.safetensors","a":"1.safetensors"})"),
          index(std::string(9, '[') + std::string(9, ']')), index(R"({"a":"1.safe\u0000tensors"})"),
          index("{\"a\xff\":\"1.safetensors\"}")}) {
        CAPTURE(text);
        test::write_file(folder / index_name, text);
        CHECK_THROWS_AS(qtk::checkpoint::open(folder.path()), qtk::io_error);
    }
}

TEST_CASE("a model of more files than the limit is refused before they are opened") {
    test::scratch_folder const folder;
    test::write_file(folder / index_name, index(R"({"a":"1.safetensors","b":"2.safetensors"})"));
    CHECK_THROWS_WITH_AS(qtk::checkpoint::open(folder.path(), {.shards = 1}),
                         doctest::Contains("2 files, more than the limit of 1"), qtk::io_error);
}

TEST_CASE("nothing there is a system error") {
    test::scratch_folder const folder;
    CHECK_THROWS_AS(qtk::checkpoint::open(folder.path()), qtk::system_error);
    CHECK_THROWS_AS(qtk::checkpoint::open(folder / "nowhere"), qtk::system_error);
}
