// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vision_parts.hpp>

#include <doctest/doctest.h>

#include "tiny_networks.hpp"
#include <string>
#include <vector>

TEST_CASE("the parts of a network, one after the other, are the network") {
    for (auto const& [model, images] : qtk_test::tiny_networks()) {
        qtk::image_batch x = images;
        std::vector<std::string> names;
        for (std::size_t i = 0; i < qtk::part_count(model); ++i) {
            qtk::part_tape const tape(model, i, x);
            x = qtk::run_part(model, i, x);
            CHECK(tape.output().shape() == x.shape());
            CHECK(qtk::view_of(tape.output().pixels()).flat().size() == x.pixels().size());
            for (std::size_t r = 0; r < x.pixels().rows; ++r)
                for (std::size_t c = 0; c < x.pixels().cols; ++c)
                    REQUIRE(tape.output().pixels()(r, c) == x.pixels()(r, c));
            qtk::for_each_linear_of_part(model, i,
                                         [&](qtk::linear const& l) { names.push_back(l.name()); });
        }
        qtk::matrix const logits = model.logits(images);
        REQUIRE(x.shape() == qtk::image_shape{1, 1, 5});
        for (std::size_t k = 0; k < logits.view().size(); ++k)
            CHECK(x.pixels().data[k] == logits.data()[k]);
        std::vector<std::string> expected;
        model.for_each_linear([&](qtk::linear const& l) { expected.push_back(l.name()); });
        CHECK(names == expected);
        CHECK(qtk::part_name(model, 0) == "stem");
        CHECK(qtk::part_name(model, 2) == "block 2");
        CHECK(qtk::part_name(model, qtk::part_count(model) - 1) == "head");
    }
}
