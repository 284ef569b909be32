// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/attention_calibration.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/range/percentile.hpp>

#include <doctest/doctest.h>

#include "tiny_vision.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace {

using qtk_test::random_images, qtk_test::temporary_folder;

qtk::vision_model loaded(qtk_test::model_folder const& model) {
    temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_vision_model(folder.path(), {.heads = 2});
}

// The largest |q|, |k| and |v| of each block.
struct extremes {
    void operator()(qtk::linear const&, qtk::matrix_view<float const>) const {}
    void attention(qtk::vit_attention const&, qtk::matrix_view<float const> qkv) const {
        for (std::size_t i = 0; i < 3; ++i) {
            float largest = 0.0f;
            auto const part = qtk::vit_attention::part(qkv, i);
            for (std::size_t r = 0; r < part.rows; ++r)
                for (float const x : part.row(r)) largest = std::max(largest, std::fabs(x));
            found.push_back(largest);
        }
    }
    mutable std::vector<float> found;
};

std::vector<float> scales(qtk::vision_model const& model) {
    std::vector<float> all;
    model.for_each_attention([&](qtk::vit_attention const& attention) {
        qtk::attention_rounding const& r = attention.rounding();
        for (auto const* grid : {&r.q, &r.k, &r.v}) all.push_back((*grid)->scale);
    });
    return all;
}

}  // namespace

TEST_CASE("min-max takes the largest value of every block's q, k and v, of all images") {
    auto model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(40, {6, 6, 3}, 2);  // more than run at once
    extremes const seen;
    (void)model.logits(images, seen);
    std::vector<float> largest(6);  // two runs of two blocks
    for (std::size_t i = 0; i < 12; ++i) largest[i % 6] = std::max(largest[i % 6], seen.found[i]);
    qtk::calibrate_attention(model, images, {.operand_bits = 4});
    std::vector<float> const found = scales(model);
    REQUIRE(found.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) CHECK(found[i] == largest[i] / 7.0f);
}

TEST_CASE("another range clips, and calibrating again starts from floats") {
    auto model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(10, {6, 6, 3}, 2);
    qtk::calibrate_attention(model, images, {.operand_bits = 8});
    std::vector<float> const whole = scales(model);
    qtk::calibrate_attention(model, images, {.operand_bits = 8},
                             qtk::percentile_range{.keep = 0.9f});
    std::vector<float> const clipped = scales(model);
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(clipped[i] < whole[i]);
    qtk::calibrate_attention(model, images, {.operand_bits = 2});
    qtk::calibrate_attention(model, images, {.operand_bits = 8});
    CHECK(scales(model) == whole);
}

TEST_CASE("more bits come closer to floats, for every kind of softmax codes") {
    auto model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(10, {6, 6, 3}, 2);
    qtk::matrix const exact = model.logits(images);
    auto const error = [&](qtk::attention_options const& how) {
        qtk::calibrate_attention(model, images, how);
        qtk::matrix const found = model.logits(images);
        double sum = 0.0;
        for (std::size_t i = 0; i < exact.view().size(); ++i)
            sum += std::fabs(static_cast<double>(found.data()[i]) -
                             static_cast<double>(exact.data()[i]));
        return sum;
    };
    CHECK(error({.operand_bits = 0}) == 0.0);
    CHECK(error({.operand_bits = 8}) > 0.0);
    CHECK(error({.operand_bits = 8}) < 0.3 * error({.operand_bits = 4}));
    for (qtk::softmax_codes const kind : {qtk::softmax_codes::uniform, qtk::softmax_codes::twin}) {
        double const fine = error({.operand_bits = 0, .softmax = kind, .softmax_bits = 8});
        CHECK(fine > 0.0);
        CHECK(fine < 0.3 * error({.operand_bits = 0, .softmax = kind, .softmax_bits = 4}));
    }
    CHECK(error({.operand_bits = 0, .softmax = qtk::softmax_codes::log2, .softmax_bits = 4}) > 0.0);
}

TEST_CASE("sigma is fitted to the maps of the block") {
    auto model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(3, {6, 6, 3}, 2);
    struct watcher {
        void operator()(qtk::linear const&, qtk::matrix_view<float const>) const {}
        void attention(qtk::vit_attention const& attention,
                       qtk::matrix_view<float const> qkv) const {
            maps.push_back(attention.maps(qkv));
        }
        mutable std::vector<qtk::matrix> maps;
    } const seen;
    (void)model.logits(images, seen);
    qtk::calibrate_attention(
        model, images, {.operand_bits = 0, .softmax = qtk::softmax_codes::twin, .softmax_bits = 4});
    std::size_t block = 0;
    model.for_each_attention([&](qtk::vit_attention const& attention) {
        qtk::matrix const& maps = seen.maps[block++];
        auto const best = qtk::fit_twin(maps.view().flat(), 4);
        CHECK(attention.rounding().softmax.unit() ==
              best.sigma() / static_cast<float>(best.largest_code()));
    });
}

TEST_CASE("no images, no attention and unknown words are refused") {
    auto vit = loaded(qtk_test::tiny_vit());
    CHECK_THROWS_AS(qtk::calibrate_attention(vit, qtk::image_batch(0, {6, 6, 3})),
                    qtk::value_error);
    CHECK_THROWS_AS(
        qtk::calibrate_attention(vit, random_images(1, {6, 6, 3}, 1), {.operand_bits = 9}),
        qtk::value_error);
    auto resnet = loaded(qtk_test::tiny_resnet());
    CHECK_THROWS_AS(qtk::calibrate_attention(resnet, random_images(1, {6, 6, 3}, 1)),
                    qtk::value_error);
    for (char const* word : {"floats", "uniform", "log2", "twin"})
        CHECK(qtk::to_string(qtk::parse_softmax_codes(word)) == word);
    CHECK_THROWS_AS((void)qtk::parse_softmax_codes("cubic"), qtk::value_error);
}
