// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/safetensors.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"

TEST_CASE("float types are read as floats, others are refused by name") {
    test::scratch_folder const folder;
    // 1.5 as F64, F32, F16 and BF16, and a byte.
    std::string const data = std::string("\0\0\0\0\0\0\xf8\x3f", 8) +
                             std::string("\0\0\xc0\x3f", 4) + std::string("\0\x3e", 2) +
                             std::string("\xc0\x3f", 2) + "\7";
    test::write_file(folder / "m.safetensors",
                     test::safetensors(R"({"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},)"
                                       R"("f":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                                       R"("h":{"dtype":"F16","shape":[1],"data_offsets":[12,14]},)"
                                       R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[14,16]},)"
                                       R"("u":{"dtype":"U8","shape":[1],"data_offsets":[16,17]}})",
                                       data));
    for (auto const mode : {qtk::io_mode::mmap, qtk::io_mode::read}) {
        auto const file = qtk::safetensors_file::open(folder / "m.safetensors", {}, mode);
        for (char const* const name : {"d", "f", "h", "b"})
            CHECK(file.floats(file.at(name)) == std::vector<float>{1.5f});
        CHECK(file.bytes(file.at("u"))[0] == std::byte{7});
        CHECK_THROWS_WITH_AS((void)file.floats(file.at("u")), doctest::Contains("found U8"),
                             qtk::io_error);
        CHECK(file.find("x") == nullptr);
    }
}

TEST_CASE("a missing tensor is named, with the nearest name there is") {
    auto const file = qtk::safetensors_file::open(QTK_DATA_DIR "/polyglot-gpt2/model.safetensors");
    CHECK(file.tensors().size() == 148);
    CHECK_THROWS_WITH_AS((void)file.at("wte.weight"),
                         doctest::Contains("there is \"transformer.wte.weight\""), qtk::io_error);
}
