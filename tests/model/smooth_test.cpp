// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/smooth.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace {

std::vector<std::vector<std::int32_t>> const texts{
    {1, 2, 3, 50, 60, 70, 80, 90, 11, 12}, {4, 5, 6, 7, 33, 34, 35, 36}, {91, 8, 17, 3}};

qtk::decoder model_of(char const* name) {
    return qtk::load_decoder(std::filesystem::path(QTK_GOLDEN_DIR) / "architectures" / name);
}

double largest_difference(std::vector<qtk::matrix> const& a, std::vector<qtk::matrix> const& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t k = 0; k < a[i].view().size(); ++k)
            largest = std::max(largest, std::fabs(static_cast<double>(a[i].data()[k]) -
                                                  static_cast<double>(b[i].data()[k])));
    return largest;
}

}  // namespace

TEST_CASE("a smoothed block computes what it did, in every family") {
    for (char const* const name :
         {"gpt2-untied", "llama3-scaling", "qwen2", "opt", "opt-post-norm"})
        for (bool const is_given : {true, false}) {
            CAPTURE(std::string(name));
            qtk::decoder model = model_of(name);
            qtk::calibration_stream const stream(model, texts);
            auto const before = stream.outputs(model);
            auto const done = smooth_block(
                model, stream,
                {.alpha = is_given ? std::optional(0.5f) : std::nullopt, .changes_inputs = true});
            std::size_t const folds = std::string(name) == "opt-post-norm" ? 2 : 4;
            CHECK(done.size() == folds);
            bool is_changed = false;
            for (auto const& at : done) {
                CHECK(at.found.error <= at.found.plain_error);
                for (float const t : at.found.factors) is_changed = is_changed || t != 1.0f;
            }
            CHECK(is_changed);
            double size = 0.0;
            for (auto const& y : before)
                for (float const v : y.view().flat())
                    size = std::max(size, std::fabs(static_cast<double>(v)));
            CHECK(largest_difference(before, stream.outputs(model)) <= 1e-5 * size);
        }
}

TEST_CASE("at alpha 0.5 inputs and weights of a smoothed channel are equally large") {
    qtk::decoder model = model_of("llama3-scaling");
    qtk::calibration_stream const stream(model, texts);
    (void)smooth_block(model, stream);
    qtk::block_statistics const seen(model, stream, {.has_hessian = false});
    model.for_each_fold_of(0, [&](qtk::fold const& at) {
        CAPTURE(at.consumers.front()->name());
        // What reads a norm are layers whose rows were divided later, for the layers after them.
        if (at.before != nullptr) return;
        qtk::detail::consumer_weights const weights(at);
        auto const inputs = channel_maxima(at, seen.of(*at.consumers.front()).abs_max());
        auto const columns = channel_maxima(at, qtk::column_maxima(weights.views()));
        for (std::size_t c = 0; c < inputs.size(); ++c)
            CHECK(inputs[c] == doctest::Approx(columns[c]).epsilon(1e-4));
    });
}

TEST_CASE("without leave no layer divides its own input") {
    qtk::decoder model = model_of("gpt2-untied");
    qtk::calibration_stream const stream(model, texts);
    CHECK(smooth_block(model, stream).size() == 3);
    model.for_each_linear([](qtk::linear const& layer) { CHECK(layer.input() == nullptr); });
}

TEST_CASE("an alpha outside [0, 1] is refused") {
    qtk::decoder model = model_of("opt");
    qtk::calibration_stream const stream(model, texts);
    CHECK_THROWS_WITH_AS((void)smooth_block(model, stream, {.alpha = -0.5f}),
                         "smooth_quant: alpha lies in [0, 1], found -0.500000", qtk::value_error);
}
