// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/vision_statistics.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/io/digits.hpp>

#include <doctest/doctest.h>

#include <memory>

namespace {

std::filesystem::path const digits = std::filesystem::path(QTK_DATA_DIR) / "digits";

qtk::image_batch images(std::size_t count) {
    qtk::labelled_images const all = qtk::read_digits(digits, {1097, count});
    return qtk::image_batch::from_bytes(all.bytes, {8, 8, 1}, {.divisor = qtk::digit_white});
}

}  // namespace

TEST_CASE("every layer of a network is seen, with the rows that it multiplies") {
    qtk::vision_model const model = qtk::load_vision_model(digits / "resnet_digits.safetensors");
    qtk::vision_statistics const seen(model, images(5), {.kept_values = 900});
    CHECK(seen.layers() == 16);
    CHECK(seen.of("conv1").count() == 5 * 64);
    CHECK(seen.of("conv1").range().lowest == 0.0f);
    CHECK(seen.of("conv1").range().highest == 1.0f);
    CHECK(seen.of("conv1").rows().rows == 100);
    CHECK(seen.of("fc").count() == 5);
    CHECK(seen.of("fc").rows().rows == 5);
    CHECK(seen.of("fc").hessian().rows() == 64);
    CHECK_THROWS_WITH_AS((void)seen.of("fc2"), "calibration: the network has no layer fc2",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(qtk::vision_statistics(model, qtk::image_batch(0, {8, 8, 1})),
                         "calibration: expected at least one image", qtk::value_error);
}

TEST_CASE(
    "statistics are of what is multiplied, behind a change of the input, and Hessians as asked") {
    qtk::vision_model model = qtk::load_vision_model(digits / "deit_digits.safetensors");
    auto const without = [](qtk::linear const&) { return false; };
    qtk::vision_statistics const plain(model, images(3), {.has_hessian = without});
    CHECK_THROWS_AS((void)plain.of("head").hessian(), qtk::value_error);
    model.for_each_linear([](qtk::linear& layer) {
        if (layer.name() != "head") return;
        std::vector<float> const halves(layer.in(), 0.5f);
        auto const by = std::make_shared<qtk::input_transform const>(
            layer.in(), qtk::input_transform::parts{.factors = halves});
        layer.set_weight(by->weight_for(layer.form().floats().view()));
        layer.set_input(by);
    });
    qtk::vision_statistics const halved(model, images(3));
    CHECK(halved.of("head").range().highest ==
          doctest::Approx(0.5 * static_cast<double>(plain.of("head").range().highest)));
}
