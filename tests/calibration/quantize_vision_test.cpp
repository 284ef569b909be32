// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/quantize_vision.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/io/digits.hpp>
#include <qtk/model/layer_format.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace {

using qtk::layer_plan, qtk::vision_model;

std::filesystem::path const digits = std::filesystem::path(QTK_DATA_DIR) / "digits";

struct sample {
    qtk::image_batch images;
    std::vector<std::uint32_t> labels;
};
sample read(qtk::digit_rows rows) {
    qtk::labelled_images const all = qtk::read_digits(digits, rows);
    return {qtk::image_batch::from_bytes(all.bytes, {all.height, all.width, all.channels},
                                         {.divisor = qtk::digit_white}),
            {all.labels.begin(), all.labels.end()}};
}
double accuracy(vision_model const& model, sample const& of) {
    auto const classes = qtk::likeliest_classes(model.logits(of.images).view());
    std::size_t right = 0;
    for (std::size_t i = 0; i < classes.size(); ++i) right += classes[i] == of.labels[i] ? 1u : 0u;
    return static_cast<double>(right) / static_cast<double>(classes.size());
}
double largest_difference(qtk::matrix const& a, qtk::matrix const& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.view().size(); ++i)
        largest = std::max(largest, std::fabs(static_cast<double>(a.data()[i]) -
                                              static_cast<double>(b.data()[i])));
    return largest;
}

/// Every layer in this format by this method.
qtk::vision_plan all(std::string const& format, std::string const& method = "rtn") {
    qtk::layer_format const f = qtk::parse_layer_format(format);
    return [=](std::string const&) {
        return layer_plan{f.scheme, qtk::parse_method(method), f.activations};
    };
}

constexpr char const* networks[] = {"resnet_digits.safetensors", "deit_digits.safetensors"};

}  // namespace

TEST_CASE("both networks keep their accuracy at 8 bits on both sides, packed as simulated") {
    sample const seen = read(qtk::calibration_digits), test = read({1297, 200});
    for (char const* const name : networks) {
        vision_model const original = qtk::load_vision_model(digits / name);
        double const exact = accuracy(original, test);
        for (char const* const format : {"i8/channel@a8_static", "i6/channel@a7_static_asym"}) {
            vision_model packed = original;
            auto const outcomes = quantize_vision(packed, all(format), seen.images);
            vision_model simulated = packed;
            pack_layers(packed, outcomes);
            pack_layers(simulated, outcomes, true);
            CHECK(std::fabs(accuracy(packed, test) - exact) < 0.02);
            // A sum in another order may fall on the other side of a boundary between two codes.
            CHECK(largest_difference(packed.logits(test.images), simulated.logits(test.images)) <
                  0.2);
            CHECK(accuracy(packed, test) ==
                  doctest::Approx(accuracy(simulated, test)).epsilon(0.006));
        }
    }
}

TEST_CASE("layers without a scheme stay floats, and edges have a scheme of their own") {
    sample const seen = read({1097, 20});
    vision_model model = qtk::load_vision_model(digits / networks[0]);
    auto const plan = qtk::with_edges(all("i3/channel@a3_static_asym"), model,
                                      qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel});
    auto outcomes = quantize_vision(model, plan, seen.images);
    CHECK(outcomes.front().name == "conv1");
    CHECK(outcomes.front().scheme.element == qtk::i8);
    CHECK(bits_of(outcomes.front().activations.grid) == 8);
    CHECK(outcomes[1].scheme.element == qtk::i3);
    CHECK(bits_of(outcomes[1].activations.grid) == 3);
    // What a ReLU leaves is never negative: no code lies below zero.
    CHECK(outcomes[1].activations.grid.lowest == 0);
    CHECK(outcomes.back().name == "fc");
    CHECK(outcomes.back().scheme.element == qtk::i8);

    vision_model other = qtk::load_vision_model(digits / networks[0]);
    outcomes = quantize_vision(other, qtk::with_edges(all("i3/channel"), other, std::nullopt),
                               seen.images);
    std::size_t floats = 0;
    other.for_each_linear(
        [&](qtk::linear const& layer) { floats += layer.is_quantized() ? 0u : 1u; });
    CHECK(floats == 2);
    CHECK(outcomes.front().name != "conv1");
}

TEST_CASE("methods lose less than rounding to nearest does") {
    sample const seen = read({1097, 80});
    for (char const* const name : networks) {
        vision_model const original = qtk::load_vision_model(digits / name);
        qtk::matrix const exact = original.logits(seen.images);
        auto const error = [&](std::string const& method, std::string const& format) {
            vision_model model = original;
            auto const outcomes = quantize_vision(model, all(format, method), seen.images);
            pack_layers(model, outcomes);
            qtk::matrix const found = model.logits(seen.images);
            double sum = 0.0;
            for (std::size_t i = 0; i < found.view().size(); ++i) {
                double const e = static_cast<double>(found.data()[i] - exact.data()[i]);
                sum += e * e;
            }
            return sum;
        };
        double const nearest = error("rtn", "i4/channel"),
                     narrow = error("rtn", "i4/channel@a4_static");
        CHECK(error("gptq:act+bias", "i4/channel") < nearest);
        if (name == networks[0])
            for (char const* const method : {"adaround:steps=20", "awq", "imatrix", "hqq"}) {
                INFO(method);
                CHECK(error(method, "i4/channel") < 1.5 * nearest);
            }
        CHECK(error("gptq", "i4/channel") < 0.7 * nearest);
        // Changes of the input leave the network as it is, but for what 8 bits cost.
        for (char const* const method : {"smooth:0.5", "rotate"})
            CHECK(error(method, "i8/channel@a8_static") < 0.2 * narrow);
    }
}

TEST_CASE("blocks that are learned as a whole repair what two bits break") {
    sample const seen = read({1097, 64}), test = read({1297, 200});
    vision_model const original = qtk::load_vision_model(digits / networks[0]);
    auto const found = [&](std::string const& method) {
        vision_model model = original;
        auto const outcomes =
            quantize_vision(model, all("i2/channel@a8_static_asym", method), seen.images);
        CHECK(outcomes.size() == 16);
        pack_layers(model, outcomes);
        return accuracy(model, test);
    };
    CHECK(found("brecq:steps=60") > found("mse") + 0.1);
}

TEST_CASE("what does not fit is refused by the layer's name") {
    sample const seen = read({1097, 4});
    vision_model model = qtk::load_vision_model(digits / networks[0]);
    auto const mixed = [](std::string const& name) {
        return all("i4/channel", name == "fc" ? "rtn" : "brecq")(name);
    };
    CHECK_THROWS_WITH_AS((void)quantize_vision(model, mixed, seen.images),
                         doctest::Contains("fc: rtn cannot be mixed"), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)quantize_vision(model, all("i4/channel", "awq+brecq"), seen.images),
                         doctest::Contains("without changes of inputs"), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)quantize_vision(model, all("i4/channel", "outliers"), seen.images),
                         doctest::Contains("no meaning for images"), qtk::value_error);
    CHECK_THROWS_WITH_AS(
        (void)quantize_vision(model, all("i4/channel", "awq+smooth+rtn"), seen.images),
        doctest::Contains("only one can change"), qtk::value_error);
}
