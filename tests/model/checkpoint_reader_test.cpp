// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/checkpoint_reader.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <limits>
#include <memory>
#include <optional>
#include <string>

namespace {

// One file with a vector v of 2, a matrix m of [2, 3] and an empty tensor.
struct one_file {
    one_file() {
        qtk_test::model_folder model;
        model.tensors["v"] = {{2}, {1.0f, 2.0f}};
        model.tensors["m"] = {{2, 3}, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}};
        model.tensors["bad"] = {{2, 2}, {1.0f, infinity, 3.0f, -infinity}};
        model.tensors["none"] = {{0}, {}};
        model.write(folder.path());
    }
    [[nodiscard]] std::shared_ptr<qtk::checkpoint const> open() const {
        return std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(folder.path()));
    }

    static constexpr float infinity = std::numeric_limits<float>::infinity();
    qtk_test::temporary_folder folder;
};

}  // namespace

TEST_CASE("an empty tensor is read as such") {
    one_file const files;
    auto const file = files.open();
    CHECK(qtk::checkpoint_reader(file).vector("none", 0).empty());
}

TEST_CASE("vectors, matrices and transposed matrices are read") {
    one_file const files;
    auto const file = files.open();
    qtk::checkpoint_reader reader(file);
    CHECK(reader.has("v"));
    CHECK_FALSE(reader.has("w"));
    CHECK(reader.vector("v", 2) == std::vector<float>{1.0f, 2.0f});
    auto const m = reader.weight("m", 2, 3).floats();
    CHECK(m(0, 2) == 3.0f);
    CHECK(m(1, 0) == 4.0f);
    auto const t = reader.transposed("m", 3, 2).floats();
    for (std::size_t r = 0; r < 2; ++r)
        for (std::size_t c = 0; c < 3; ++c) CHECK(t(c, r) == m(r, c));
}

TEST_CASE("another shape is refused, also if the size is the same") {
    one_file const files;
    auto const file = files.open();
    qtk::checkpoint_reader reader(file);
    CHECK_THROWS_AS((void)reader.vector("v", 3), qtk::io_error);
    CHECK_THROWS_AS((void)reader.vector("m", 6), qtk::io_error);
    CHECK_THROWS_AS((void)reader.weight("m", 3, 2), qtk::io_error);
    CHECK_THROWS_AS((void)reader.transposed("m", 2, 3), qtk::io_error);
    CHECK_THROWS_WITH_AS(
        (void)reader.weight("v", 2, 1),
        (file->path() + ": tensor \"v\": config.json wants [2, 1], found [2]").c_str(),
        qtk::io_error);
}

TEST_CASE("infinities follow the policy") {
    one_file const files;
    auto const file = files.open();
    try {
        (void)qtk::checkpoint_reader(file).weight("bad", 2, 2).floats();
        FAIL("accepted");
    } catch (qtk::nonfinite_error const& fault) {
        CHECK(fault.count == 2);
        CHECK(fault.first == 1);
        CHECK(std::string(fault.what()).find("tensor \"bad\"") != std::string::npos);
    }
    auto const read = [&](qtk::nonfinite policy) {
        return qtk::checkpoint_reader(file, policy).vector("bad", 4);
    };
    CHECK_THROWS_AS((void)read(qtk::nonfinite::zero), qtk::io_error);  // the shape comes first
    auto const zeroed =
        qtk::checkpoint_reader(file, qtk::nonfinite::zero).weight("bad", 2, 2).floats();
    CHECK(zeroed(0, 1) == 0.0f);
    CHECK(zeroed(1, 1) == 0.0f);
    auto const clipped =
        qtk::checkpoint_reader(file, qtk::nonfinite::saturate).weight("bad", 2, 2).floats();
    CHECK(clipped(0, 1) == 3.0f);
    CHECK(clipped(1, 1) == -3.0f);
}

TEST_CASE("a tensor that nobody asked for is an error, an ignored one is not") {
    one_file const files;
    auto const file = files.open();
    qtk::checkpoint_reader reader(file);
    (void)reader.vector("v", 2);
    (void)reader.vector("none", 0);
    CHECK_THROWS_AS(reader.require_all_used(), qtk::io_error);
    reader.ignore("bad");
    (void)reader.weight("m", 2, 3).floats();
    reader.require_all_used();
    reader.ignore("not there");
    reader.require_all_used();
}

TEST_CASE("a matrix stays where it lies if that is wanted, and keeps its file open") {
    std::optional<one_file> files(std::in_place);
    qtk::weight_matrix held;
    {
        qtk::checkpoint_reader reader(files->open(), qtk::nonfinite::error,
                                      qtk::weight_loading::stored);
        held = reader.weight("m", 2, 3);
        CHECK(reader.transposed("m", 3, 2).floats()(2, 1) == 6.0f);
        CHECK_THROWS_WITH_AS(
            (void)reader.weight("bad", 2, 2),
            doctest::Contains("found 2 NaN or infinite, the first at index 1 (row 0, column 1)"),
            qtk::nonfinite_error);
    }
    files.reset();
    REQUIRE(held.find<qtk::stored_weight>() != nullptr);
    CHECK(held.bytes() == 24);
    CHECK(held.floats()(1, 2) == 6.0f);
}

TEST_CASE("a weight that lies in the file can be given back to the system, and read again") {
    one_file const files;
    auto const file = files.open();
    qtk::checkpoint_reader reader(file, qtk::nonfinite::error, qtk::weight_loading::stored);
    auto const m = reader.weight("m", 2, 3);
    auto const* const stored = m.find<qtk::stored_weight>();
    REQUIRE(stored != nullptr);
    REQUIRE(static_cast<bool>(stored->release));
    stored->release_pages();
    CHECK(m.floats()(1, 2) == 6.0f);
}
