// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vision_reader.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace {

// One file with filters of [2, 1, 1, 3], a matrix [2, 2] of which one value is infinite, and an empty tensor.
struct one_file {
    one_file() {
        qtk_test::model_folder model;
        model.tensors["filters"] = {{2, 1, 1, 3}, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}};
        model.tensors["bad"] = {{2, 2}, {1.0f, 2.0f, std::numeric_limits<float>::infinity(), 3.0f}};
        model.tensors["none"] = {{0, 4}, {}};
        model.write(folder.path());
    }
    [[nodiscard]] qtk::vision_reader open(qtk::nonfinite policy = qtk::nonfinite::error) const {
        return qtk::vision_reader(
            std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(folder.path())), policy);
    }
    [[nodiscard]] std::string message(std::string const& rest) const {
        return folder.path().string() + ": " + rest;
    }
    qtk_test::temporary_folder folder;
};

}  // namespace

TEST_CASE("names and shapes are asked for before anything is read") {
    one_file const file;
    auto const reader = file.open();
    CHECK(reader.has("filters"));
    CHECK_FALSE(reader.has("conv1.weight"));
    CHECK(reader.shape("filters", 4) == std::vector<std::size_t>{2, 1, 1, 3});
    CHECK(reader.metadata("num_heads").empty());
    CHECK_THROWS_WITH_AS(
        (void)reader.shape("filters", 2),
        file.message("tensor \"filters\": expected 2 axes of at least 1, found [2, 1, 1, 3]")
            .c_str(),
        qtk::io_error);
    CHECK_THROWS_AS((void)reader.shape("none", 2), qtk::io_error);
    CHECK_THROWS_WITH_AS((void)reader.shape("filter", 4),
                         file.message("the tensor \"filter\" is missing").c_str(), qtk::io_error);
}

TEST_CASE("values are read row by row, in the shape that was asked for") {
    one_file const file;
    auto reader = file.open();
    CHECK(reader.floats("filters", {2, 1, 1, 3}) ==
          std::vector<float>{1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f});
    CHECK_THROWS_WITH_AS(
        (void)reader.matrix("filters", 2, 3),
        file.message("tensor \"filters\": expected [2, 3], found [2, 1, 1, 3]").c_str(),
        qtk::io_error);
    CHECK_THROWS_AS((void)reader.vector("filters", 6), qtk::io_error);
    CHECK(reader.matrix("none", 0, 4).cols() == 4);
}

TEST_CASE("infinities follow the policy") {
    one_file const file;
    auto strict = file.open(), lenient = file.open(qtk::nonfinite::zero);
    try {
        (void)strict.matrix("bad", 2, 2);
        FAIL("accepted");
    } catch (qtk::nonfinite_error const& fault) {
        CHECK(fault.first == 2);
        CHECK(std::string(fault.what()).find("tensor \"bad\"") != std::string::npos);
        CHECK(std::string(fault.what()).find("(row 1, column 0)") != std::string::npos);
    }
    CHECK(lenient.matrix("bad", 2, 2)(1, 0) == 0.0f);
}

TEST_CASE("what was neither read nor ignored has no place") {
    one_file const file;
    auto reader = file.open();
    (void)reader.floats("filters", {2, 1, 1, 3});
    reader.ignore("none");
    try {
        reader.require_all_used("a small network");
        FAIL("accepted");
    } catch (qtk::io_error const& fault) {
        CHECK(std::string(fault.what()).find("tensor \"bad\" has no place in a small network") !=
              std::string::npos);
    }
    reader.ignore("bad");
    reader.require_all_used("a small network");
}
