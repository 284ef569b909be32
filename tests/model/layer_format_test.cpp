// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/layer_format.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace {

using qtk::parse_layer_format;
using storage = qtk::layer_format::storage;

qtk::linear some_layer() {
    qtk::matrix w(48, 128);
    std::ranges::copy(qtk::gaussian_vector(48 * 128, 1), w.data());
    return {"l", w};
}

}  // namespace

TEST_CASE("short names are schemes with activations") {
    CHECK(parse_layer_format("w8a8").scheme == qtk::parse_scheme("i8/channel"));
    CHECK(parse_layer_format("w8a8").activations.type == qtk::activation_type::a8_row);
    CHECK_FALSE(parse_layer_format("w8a8").activations.has_outliers);
    CHECK(parse_layer_format("w8a8_static").scheme == qtk::parse_scheme("i8/channel"));
    CHECK(parse_layer_format("w8a8_static").activations.type == qtk::activation_type::a8_static);
    CHECK(parse_layer_format("i4/g64@a8_static").activations.type ==
          qtk::activation_type::a8_static);
    CHECK(parse_layer_format("llm_int8").activations.threshold == 6.0f);
    CHECK(parse_layer_format("llm_int8").activations.has_outliers);
    CHECK(parse_layer_format("llm_int8:4.5").activations.threshold == 4.5f);
    CHECK(parse_layer_format("w4a8").activations.type == qtk::activation_type::a8_group);
    CHECK(parse_layer_format("w3").scheme == qtk::parse_scheme("i3/g128/asym/f16"));
    CHECK(parse_layer_format("nf4").scheme == qtk::parse_scheme("nf4/g64"));
    CHECK(parse_layer_format("mxfp4").scheme == qtk::mxfp4);
    CHECK(parse_layer_format("i4/g64/asym@a8").activations.type == qtk::activation_type::a8_row);
    CHECK(parse_layer_format("sim:w4a8").is_simulated);
    CHECK(parse_layer_format("sim:w4a8").name == "sim:w4a8");
    CHECK(parse_layer_format("fp16").weights == storage::f16);
    CHECK(parse_layer_format("stored").weights == storage::stored);
}

TEST_CASE("what is no format is refused with what was expected") {
    CHECK_THROWS_WITH_AS((void)parse_layer_format("w5a8"),
                         doctest::Contains("Hint: or one of stored"), qtk::value_error);
    CHECK_THROWS_AS((void)parse_layer_format("i4/g128@a9"), qtk::value_error);
    CHECK_THROWS_AS((void)parse_layer_format("llm_int8:-1"), qtk::value_error);
    CHECK_THROWS_AS((void)parse_layer_format("llm_int8:"), qtk::value_error);
    CHECK_THROWS_AS((void)parse_layer_format("llm_int8x6"), qtk::value_error);
    CHECK_THROWS_AS((void)parse_layer_format("sim:fp16"), qtk::value_error);
    CHECK_THROWS_AS((void)parse_layer_format(""), qtk::value_error);
    qtk::linear layer = some_layer();
    CHECK_THROWS_WITH_AS(apply_format(layer, layer.form(), parse_layer_format("e2m1/g32@a8x")),
                         doctest::Contains("activations: expected"), qtk::value_error);
}

TEST_CASE("static activations of other widths are spelled with their bits") {
    auto const narrow = parse_layer_format("i4/channel@a4_static").activations;
    CHECK(narrow.type == qtk::activation_type::a8_static);
    CHECK(narrow.grid == qtk::activation_codes(4));
    CHECK(parse_layer_format("i2/channel@a3_static_asym").activations.grid ==
          qtk::activation_codes(3, false));
    CHECK(parse_layer_format("w8a8_static").activations.grid == qtk::activation_grid{});
    for (char const* const text : {"i4/channel@a9_static", "i4/channel@a1_static", "i4/channel@a4",
                                   "i4/channel@a4_static_symm"})
        CHECK_THROWS_AS((void)parse_layer_format(text), qtk::value_error);
}

TEST_CASE("static activations need the scale that calibration gives") {
    qtk::linear const original = some_layer();
    qtk::linear fast = original, slow = original;
    qtk::layer_format format = parse_layer_format("w8a8_static");
    CHECK_THROWS_WITH_AS(apply_format(fast, original.form(), format),
                         "l: expected a positive scale of static activations, found 0.000000. "
                         "Hint: calibrate it",
                         qtk::value_error);
    format.activations.grid.scale = 3.0f / 127.0f;
    apply_format(fast, original.form(), format);
    format.is_simulated = true;
    apply_format(slow, original.form(), format);
    qtk::matrix x(3, 128), y(3, 48), simulated(3, 48);
    std::ranges::copy(qtk::gaussian_vector(3 * 128, 2), x.data());
    x(2, 0) = 50.0f;  // is clipped to 3
    fast.apply(x.view(), y.view());
    slow.apply(x.view(), simulated.view());
    x(2, 0) = 3.0f;
    qtk::matrix clipped(3, 48);
    fast.apply(x.view(), clipped.view());
    CHECK(clipped == y);
    for (std::size_t i = 0; i < 3 * 48; ++i)
        CHECK(y.data()[i] == doctest::Approx(simulated.data()[i]).epsilon(1e-4).scale(10.0));
}

TEST_CASE("a layer takes every format from its original weight, and gives it back") {
    qtk::linear const original = some_layer();
    qtk::linear layer = original;
    for (std::string const name : {"fp16", "bf16", "w8a8", "llm_int8", "w4a8", "w4", "w3", "w2",
                                   "nf4", "mxfp4", "sim:w4a8", "sim:llm_int8"}) {
        CAPTURE(name);
        qtk::layer_format const format = parse_layer_format(name);
        apply_format(layer, original.form(), format);
        CHECK(layer.is_packed() == (format.scheme && !format.is_simulated));
        CHECK(layer.weight_bytes() <= original.weight_bytes());
        if (format.scheme)
            CHECK(layer.form().floats() ==
                  qtk::dequantize(qtk::quantize_any(original.weight(), *format.scheme)));
    }
    apply_format(layer, original.form(), parse_layer_format("stored"));
    CHECK(layer.weight() == original.weight());
    apply_format(layer, qtk::half_weight(original.weight().view(), qtk::gguf_type::bf16),
                 parse_layer_format("fp32"));
    CHECK(layer.weight()(3, 3) == qtk::bf16_to_float(qtk::float_to_bf16(original.weight()(3, 3))));
}
