// SPDX-License-Identifier: Apache-2.0
#include "trained_network.hpp"

#include <qtk/core/error.hpp>
#include <qtk/io/safetensors.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/vision_model.hpp>

#include <doctest/doctest.h>

#include "message_of.hpp"
#include "tiny_model.hpp"
#include "training_data.hpp"
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace {

app::training_data const& data() {
    static app::training_data const all = app::read_training_data("digits", 60);
    return all;
}
std::string model_of(std::string const& name) {
    return QTK_DATA_DIR "/digits/" + name + "_digits.safetensors";
}
app::trained_network planned(std::string const& model, char const* scheme, int activation_bits) {
    app::trained_network network =
        app::read_for_training(model_of(model), data().calibration.images);
    app::plan_layers(network, {qtk::parse_scheme(scheme), activation_bits, 8});
    return network;
}

}  // namespace

TEST_CASE("a written network comes back bit by bit, as floats for everybody and as codes for qtk") {
    for (std::string const model : {"resnet", "deit"}) {
        CAPTURE(model);
        qtk_test::temporary_folder const scratch;
        std::filesystem::path const folder = scratch.path() / "network";
        app::trained_network network = planned(model, "i3/channel", 4);
        // What training would change.
        for (auto& layer : network.layers)
            for (float& b : layer.bias) b += 0.125f;
        for (auto& tensor : network.others)
            for (float& v : tensor.values) v *= 1.5f;
        app::write_trained(network, folder);
        CHECK(app::is_trained_folder(folder));

        qtk::vision_model const floats = qtk::load_vision_model(folder),
                                packed = app::load_trained(folder);
        std::size_t next = 0;
        floats.for_each_linear([&](qtk::linear const& layer) {
            app::network_layer const& from = network.layers[next++];
            CAPTURE(layer.name());
            CHECK(layer.name() == from.name);
            CHECK(layer.weight() == from.rounded_weight());
            CHECK(std::vector<float>(layer.bias().begin(), layer.bias().end()) == from.bias);
        });
        CHECK(next == network.layers.size());
        next = 0;
        packed.for_each_linear([&](qtk::linear const& layer) {
            app::network_layer const& from = network.layers[next++];
            REQUIRE(layer.is_packed());
            CHECK(layer.form().floats() == from.rounded_weight());
            CHECK(layer.form().packed()->activations.grid == *from.input);
        });
        // Everything else: a float network of the folder computes what one with these tensors computes.
        app::trained_network const again =
            app::read_for_training(folder, data().calibration.images);
        for (auto const& tensor : network.others)
            CHECK(again.other(tensor.name).values == tensor.values);
    }
}

TEST_CASE(
    "the first and the last layer have bits of their own, and inputs after a ReLU begin at zero") {
    app::trained_network const network = planned("resnet", "i2/tensor", 4);
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
        app::network_layer const& layer = network.layers[i];
        CAPTURE(layer.name);
        bool const is_edge = i == 0 || i + 1 == network.layers.size();
        CHECK(layer.scheme->element.bits == (is_edge ? 8 : 2));
        CHECK(layer.input->lowest == 0);
        CHECK(layer.input->highest == (is_edge ? 254 : 15));
        CHECK(layer.steps.size() == 1);
        // Nothing clips before training.
        CHECK(static_cast<float>(layer.input->highest) * layer.input->scale >=
              0.999f * layer.seen.highest);
    }
    for (auto const& layer : planned("deit", "i4/channel", 0).layers) {
        CHECK_FALSE(layer.input);
        CHECK(layer.steps.size() == layer.weight.rows());
    }
}

TEST_CASE("schemes whose steps are not learned are refused, and so are folders with other grids") {
    for (char const* scheme : {"i3/channel/asym", "i4/g32", "nf4/g64", "i4/channel/sym/f16"})
        CHECK(qtk_test::message_of([&] {
                  (void)planned("resnet", scheme, 4);
              }).find("are not learned") != std::string::npos);
    qtk_test::temporary_folder const scratch;
    app::write_trained(planned("resnet", "i4/tensor", 4), scratch.path() / "network");
    auto const path = scratch.path() / "network" / "quantized.safetensors";
    for (char const* grid : {"0.5 0", "-1 0 15", "0.5 3 15", "0.5 0 300", "0.5 0 15 1", "x"}) {
        qtk::safetensors_writer writer;
        {
            auto const file = qtk::safetensors_file::open(path);
            std::vector<std::vector<std::byte>> kept;
            kept.reserve(file.tensors().size());
            for (auto const& info : file.tensors()) {
                auto const bytes = file.bytes(info);
                kept.emplace_back(bytes.begin(), bytes.end());
                writer.add(info.name, info.type, {info.shape.begin(), info.shape.end()},
                           kept.back());
            }
            for (auto const& [key, value] : file.metadata()) writer.set_metadata(key, value);
            writer.set_metadata("input.fc", grid);
            writer.write(scratch.path() / "other.safetensors");
        }
        std::filesystem::rename(scratch.path() / "other.safetensors", path);
        CAPTURE(grid);
        CHECK(qtk_test::message_of([&] {
                  (void)app::load_trained(scratch.path() / "network");
              }).find("SCALE LOWEST HIGHEST") != std::string::npos);
    }
}
