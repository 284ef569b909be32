// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/layer_candidates.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/matrix.hpp>
#include <qtk/model/layer_format.hpp>

#include <doctest/doctest.h>

#include "three_choices.hpp"
#include <algorithm>
#include <string>
#include <vector>

namespace {

using qtk::candidate_network, qtk::linear, qtk::matrix, qtk::vision_model;
using qtk_test::random_images, qtk_test::with_three_choices;

bool same(matrix const& a, matrix const& b) {
    return a.shape() == b.shape() && std::equal(a.data(), a.data() + a.view().size(), b.data());
}

constexpr qtk::image_shape shape{8, 8, 3};

}  // namespace

TEST_CASE("a network of candidates is the network that was quantized so") {
    auto network = with_three_choices();
    auto const images = random_images(3, shape, 1);
    matrix const floats = qtk_test::load_folder(qtk_test::tiny_resnet()).logits(images);
    CHECK(same(network.floats().logits(images), floats));
    CHECK(network.of(0).size() == 3);
    // Sorted by bits, whatever order they came in.
    CHECK(network.of(0)[0].format == "i2/channel");
    CHECK(network.of(0)[2].bits == 8);
    CHECK(same(network.with(network.uniform(4)).logits(images),
               qtk_test::tiny_model_in("i4/channel@a8").logits(images)));
    CHECK(same(network.with(network.uniform(2)).logits(images),
               qtk_test::tiny_model_in("i2/channel").logits(images)));

    // One layer alone, and back again.
    vision_model one = qtk_test::load_folder(qtk_test::tiny_resnet());
    one.for_each_linear([&](linear& layer) {
        if (layer.name() == "layer2.0.conv1")
            qtk::apply_format(layer, qtk::weight_matrix(layer.form()),
                              qtk::parse_layer_format("i2/channel"));
    });
    std::size_t number = 0, at = 0;
    one.for_each_linear([&](linear const& layer) {
        if (layer.name() == "layer2.0.conv1") number = at;
        ++at;
    });
    CHECK(same(network.with_only(number, 0).logits(images), one.logits(images)));
    CHECK(!same(network.with_only(number, 0).logits(images), floats));
    CHECK(same(network.floats().logits(images), floats));
}

TEST_CASE("candidates that do not fit are refused") {
    auto network = with_three_choices();
    CHECK_THROWS_AS(network.add(4, "i4/tensor", qtk_test::tiny_model_in("i4/tensor")),
                    qtk::value_error);
    CHECK_THROWS_AS(network.add(0, {3, "i3", linear("other", matrix(4, 27))}), qtk::value_error);
    CHECK_THROWS_AS((void)network.uniform(5), qtk::value_error);
    std::vector<std::size_t> choice(network.size(), 0);
    choice[1] = 3;
    CHECK_THROWS_AS((void)network.with(choice), qtk::value_error);
    choice.pop_back();
    CHECK_THROWS_AS((void)network.with(choice), qtk::value_error);
    // A layer that is pinned has one candidate, which is that of all bits.
    candidate_network pinned(qtk_test::load_folder(qtk_test::tiny_resnet()));
    pinned.add(8, "i8/channel", qtk_test::tiny_model_in("i8/channel"));
    CHECK(pinned.uniform(3) == std::vector<std::size_t>(pinned.size(), 0));
}
