// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/network_energy.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/layer_format.hpp>
#include <qtk/model/static_activations.hpp>

#include <doctest/doctest.h>

#include "tiny_vision.hpp"
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace {

using qtk::linear, qtk::operand, qtk::product_work, qtk::vision_model;
using qtk_test::digits;

constexpr qtk::image_shape digit{8, 8, 1};

vision_model of_digits(std::string const& name) {
    return qtk::load_vision_model(digits::path(name + "_digits.safetensors"));
}
void put(linear& layer, char const* format) {
    qtk::layer_format how = qtk::parse_layer_format(format);
    how.activations.grid.scale = 1.0f;
    qtk::apply_format(layer, qtk::weight_matrix(layer.form()), how);
}
void put(vision_model& model, char const* format) {
    model.for_each_linear([&](linear& layer) { put(layer, format); });
}
std::map<std::string, product_work> named(std::vector<product_work> const& all) {
    std::map<std::string, product_work> by_name;
    for (auto const& one : all) by_name[one.name] = one;
    return by_name;
}
qtk::energy_estimate under_study(std::vector<product_work> const& works) {
    return qtk::estimate_energy(works, qtk::quadratic_linear_1_200{});
}

}  // namespace

TEST_CASE("the earlier study's savings come out on real networks") {
    struct row {
        char const* format;
        double percent;
    };
    for (char const* const name : {"resnet", "deit"}) {
        CAPTURE(name);
        auto const before = under_study(qtk::work_without_reuse(of_digits(name), digit));
        for (auto const& [format, percent] :
             {row{"fp16", 50.1244}, row{"i8/channel", 75.0933}, row{"i6/channel", 81.3258},
              row{"i5/channel@a8", 84.4406}, row{"i4/tensor@a4_static", 87.5544},
              row{"i3/g32/asym", 90.6673}, row{"sim:i2/channel", 93.7792}}) {
            CAPTURE(format);
            auto model = of_digits(name);
            put(model, format);
            auto const after = under_study(qtk::work_without_reuse(model, digit));
            CHECK(std::round(1e6 * qtk::savings(before, after)) / 1e4 ==
                  doctest::Approx(percent).epsilon(1e-12));
        }
        // 3.2 pJ and 640 pJ for each multiply-accumulate.
        double macs = 0.0;
        for (auto const& one : qtk::work_without_reuse(of_digits(name), digit))
            macs += one.work.macs;
        CHECK(before.total().count() == doctest::Approx(macs * 643.2e-12).epsilon(1e-12));
    }
}

TEST_CASE("widths are those of each layer's form") {
    linear layer("x", qtk::matrix(4, 64));
    auto const widths = [&](char const* format) {
        layer.set_weight(qtk::matrix(4, 64));
        put(layer, format);
        return qtk::widths_of(layer);
    };
    auto const same = [](qtk::product_widths const& w, operand weight, operand activation,
                         double bits) {
        CHECK(w.weight == weight);
        CHECK(w.activation == activation);
        CHECK(w.weight_bits == bits);
    };
    auto const f32 = operand::floating(32);
    same(widths("fp32"), f32, f32, 32.0);
    same(widths("fp16"), operand::floating(16), f32, 16.0);
    same(widths("bf16"), operand::bfloat16(), f32, 16.0);
    // One f32 scale for 64 codes; one f16 scale and one 4-bit zero for 32; one f32 for all.
    same(widths("i4/channel"), operand::integer(4), f32, 4.5);
    same(widths("i4/g32/asym/f16"), operand::integer(4), f32, 4.0 + 20.0 / 32.0);
    same(widths("i3/tensor@a8"), operand::integer(3), operand::integer(8), 3.125);
    same(widths("i4/channel@bf16"), operand::integer(4), operand::bfloat16(), 4.5);
    same(widths("i4/channel@a4_static_asym"), operand::integer(4), operand::integer(4), 4.5);
    same(widths("i4/channel@a8_static_asym"), operand::integer(4), operand::integer(8), 4.5);
    same(widths("sim:i4/channel@a3_static"), operand::integer(4), operand::integer(3), 4.5);
    same(widths("i8/channel@llm_int8"), operand::integer(8), operand::integer(8), 8.5);
    same(widths("nf4/g64"), operand{qtk::arithmetic::codebook, 4}, f32, 4.5);

    layer.set_weight(qtk::quantize_any(qtk::matrix(4, 64), qtk::parse_scheme("i4/channel"),
                                       qtk::minmax_range{}));
    same(qtk::widths_of(layer), operand::integer(4), f32, 4.5);
    // What is planned and what is done agree.
    auto const how = qtk::parse_layer_format("i3/g16/asym/f16@a5_static");
    auto const planned = qtk::widths_of(*how.scheme, how.activations, 4, 64);
    same(widths("i3/g16/asym/f16@a5_static"), planned.weight, planned.activation,
         planned.weight_bits);
}

TEST_CASE("a layer's work is that of its product on the machine") {
    auto model = of_digits("resnet");
    put(model, "i4/channel@a8");
    auto const machine = qtk::priced_hierarchy();
    auto const works = named(qtk::work_of(model, digit, machine, 3));
    // Three images of 4 x 4 from 8 x 8 pixels of 16 channels; 144 codes and a scale a filter.
    auto const expected = qtk::work_of(qtk::matrix_product{.m = 48,
                                                           .n = 32,
                                                           .k = 144,
                                                           .weight = operand::integer(4),
                                                           .activation = operand::integer(8),
                                                           .weight_bits = 4.0 + 32.0 / 144.0,
                                                           .distinct_inputs = 3 * 64 * 16},
                                       machine);
    auto const& found = works.at("layer2.0.conv1").work;
    CHECK(found.macs == 48 * 32 * 144);
    CHECK(found.weights == 32 * 144);
    CHECK(found.weight == operand::integer(4));
    CHECK(found.accumulator == operand::integer(32));
    for (auto const level : qtk::memory_levels)
        CHECK(found.moved.at(level) == doctest::Approx(expected.moved.at(level)).epsilon(1e-12));
    // All of it fits into the 1 MiB memory, so that each thing crosses DRAM once.
    CHECK(found.moved.dram ==
          doctest::Approx(32 * (144 * 4 + 32) + 3 * 64 * 16 * 8 + 48 * 32 * 8).epsilon(1e-12));
}

TEST_CASE("attention multiplies activations") {
    auto model = of_digits("deit");
    put(model, "i4/channel@a8");
    auto const floats = named(qtk::work_of(model, digit)).at("blocks.0.attn.values");
    CHECK(!floats.has_weights);
    CHECK(floats.work.weights == 0.0);
    CHECK(floats.work.macs == 17 * 17 * 96);
    CHECK(floats.work.weight == operand::floating(32));
    // 3 heads: probabilities, values and outputs.
    CHECK(floats.work.moved.dram == 3 * 32 * (17 * 17 + 2 * 17 * 32));
    // Twice the images, twice the heads; weights would be shared.
    CHECK(named(qtk::work_of(model, digit, qtk::priced_hierarchy(), 2))
              .at("blocks.0.attn.values")
              .work.moved.dram == 2.0 * floats.work.moved.dram);

    model.for_each_attention([](qtk::vit_attention& one) {
        auto grid = qtk::activation_codes(6);
        grid.scale = 1.0f;
        auto keys = qtk::activation_codes(5);
        keys.scale = 1.0f;
        one.set_rounding(
            {.q = grid, .k = keys, .v = grid, .softmax = qtk::softmax_rounding::log2(4)});
    });
    auto const rounded = named(qtk::work_of(model, digit));
    CHECK(rounded.at("blocks.1.attn.scores").work.activation == operand::integer(6));
    CHECK(rounded.at("blocks.1.attn.scores").work.weight == operand::integer(5));
    CHECK(rounded.at("blocks.1.attn.values").work.activation == operand::integer(4));
    CHECK(rounded.at("blocks.1.attn.values").work.weight == operand::integer(6));
    // Left out of the earlier study's counting.
    for (auto const& one : qtk::work_without_reuse(model, digit)) CHECK(one.has_weights);
}

TEST_CASE("all tables stand beside each other, and say what they cannot price") {
    auto const before = of_digits("deit");
    auto after = of_digits("deit");
    put(after, "i4/channel@a8");
    auto const rows = qtk::compare_tables(before, after, digit);
    REQUIRE(rows.size() == 1 + qtk::energy_table_names.size());
    CHECK(rows[0].table == "quadratic_linear_1_200");
    CHECK(rows[0].counting == "no reuse");
    CHECK(rows[0].saved == doctest::Approx(0.875544).epsilon(1e-6));
    for (std::size_t i = 1; i < rows.size(); ++i) {
        CAPTURE(rows[i].table);
        CHECK(rows[i].table == qtk::energy_table_names[i - 1]);
        CHECK(rows[i].counting == "tiled");
        CHECK(rows[i].refusal.empty());
        CHECK(rows[i].line.find(rows[i].table) != std::string::npos);
        CHECK(rows[i].saved > 0.0);
        CHECK(rows[i].saved < 1.0);
        CHECK(rows[i].original.table == rows[i].table);
    }
    put(after, "i4/channel@a8");
    // The parts are the whole.
    auto const works = qtk::work_of(after, digit);
    qtk::joules sum{};
    for (auto const& one : qtk::energy_by_product(works, qtk::horowitz_45nm{})) sum += one.total();
    CHECK(sum.count() == doctest::Approx(rows[2].quantized.total().count()).epsilon(1e-12));

    struct without_floats : qtk::horowitz_45nm {
        static qtk::joules e_mul(operand weight, operand activation) {
            if (qtk::computed_as(weight, activation).weight.is_float())
                throw qtk::value_error("no floats here");
            return qtk::horowitz_45nm::e_mul(weight, activation);
        }
    };
    auto const refused =
        qtk::compare_under(without_floats{}, "tiled", qtk::work_of(before, digit), works);
    CHECK(refused.refusal == "no floats here");
    CHECK(refused.saved == 0.0);
}
