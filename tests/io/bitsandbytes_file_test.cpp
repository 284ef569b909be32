// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/bitsandbytes_file.hpp>
#include <qtk/io/safetensors.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace {

using qtk::bitsandbytes_layout, qtk::encode_bitsandbytes, qtk::read_bitsandbytes;
using test::bent_layer, test::random_layer;

qtk::scheme scheme_of(qtk::format const& element, int rows, int cols) {
    return {.element = element, .grain = {.rows = rows, .cols = cols}};
}
constexpr char const* state = "weight.quant_state.bitsandbytes__nf4";

bent_layer bent(bool is_nested = false) {
    return {encode_bitsandbytes({random_layer(scheme_of(qtk::nf4, 1, 64), 3, 128), {}},
                                {.is_nested = is_nested})};
}
std::string refusal(bent_layer const& layer) {
    return layer.refusal([](qtk::layer_tensors const& t) { return read_bitsandbytes(t); });
}
std::string json_of(std::string const& more) {
    return R"({"quant_type":"nf4","blocksize":64,"shape":[3,128])" + more + "}";
}

}  // namespace

TEST_CASE("the first code of two lies in the high nibble, and quant_state says the rest") {
    qtk::any_qmatrix q(scheme_of(qtk::nf4, 2, 32), 2, 32);
    std::vector<std::uint8_t> fields(32);
    for (std::size_t i = 0; i < 32; ++i) fields[i] = static_cast<std::uint8_t>(i % 16);
    q.set_row(0, fields);
    q.set_params(std::vector<qtk::tile_params>{{2.0f, 0}});
    auto const file = encode_bitsandbytes({q, {}}, {});
    CHECK(file.find("weight")->bytes[0] == std::byte{0x01});
    CHECK(file.find("weight")->bytes[7] == std::byte{0xef});
    CHECK(file.find("weight.absmax")->bytes.size() == 4);
    auto const& text = file.find(state)->bytes;
    std::string const json(reinterpret_cast<char const*>(text.data()), text.size());
    CHECK(json.substr(0, json.find('}') + 1) ==
          R"({"quant_type":"nf4","blocksize":64,"dtype":"float16","shape":[2,32]})");
    CHECK(read_bitsandbytes({file, "p"}).weight.matrix == q);
}

TEST_CASE("the dynamic map is that of bitsandbytes, bit for bit") {
    auto const file = qtk::safetensors_file::open(std::filesystem::path(QTK_GOLDEN_DIR) /
                                                  "layouts/bitsandbytes.safetensors");
    auto const map = file.floats(file.at("nf4_b64_nested_64.weight.nested_quant_map"));
    CHECK(std::ranges::equal(map, qtk::dynamic_levels));
}

TEST_CASE("every matrix of nf4 and fp4 comes back from its file") {
    for (qtk::format const& element : {qtk::nf4, qtk::fp4})
        for (std::size_t const block : {32u, 64u, 4096u}) {
            CAPTURE(block);
            auto const cols = static_cast<int>(std::min<std::size_t>(block, 64));
            auto const q =
                random_layer(scheme_of(element, static_cast<int>(block) / cols, cols), 5, 64);
            bitsandbytes_layout const layout{.element = element, .block = block};
            auto const file = encode_bitsandbytes({q, {}}, layout);
            auto const plan = qtk::plan_bitsandbytes({5, 64}, layout);
            REQUIRE(plan.size() == file.tensors.size());
            for (std::size_t i = 0; i < plan.size(); ++i) {
                CHECK(plan[i].shape == file.tensors[i].plan.shape);
                CHECK(plan[i].suffix == file.tensors[i].plan.suffix);
            }
            CHECK(file.is_exact);
            CHECK(read_bitsandbytes({file, "p"}).weight.matrix == q);
        }
}

TEST_CASE("nested scales change by what encoding says, and are exact from then on") {
    auto q = random_layer(scheme_of(qtk::nf4, 1, 32), 300, 32);
    std::vector<qtk::tile_params> params;
    for (std::size_t i = 0; i < 300; ++i)
        params.push_back({2.0f + std::sin(static_cast<float>(i)), 0});
    q.set_params(params);
    bitsandbytes_layout const layout{.block = 32, .is_nested = true};
    auto const file = encode_bitsandbytes({q, {}}, layout);
    auto const read = read_bitsandbytes({file, "p"}).weight.matrix;
    double most = 0.0;
    for (std::size_t i = 0; i < 300; ++i)
        most = std::max(most, std::abs(static_cast<double>(read.params(i, 0).scale) /
                                           static_cast<double>(params[i].scale) -
                                       1.0));
    CHECK_FALSE(file.is_exact);
    CHECK(file.largest_scale_change == doctest::Approx(most).epsilon(1e-6));
    // Cells of the map are 0.9 / 64 wide, and scales differ from their mean by one at most.
    CHECK(most < 0.5 * 0.9 / 64 * 1.1);
    CHECK(most > 0.0);
    CHECK(qtk::plan_bitsandbytes({300, 32}, layout).size() == file.tensors.size());
    auto const again = encode_bitsandbytes({read, {}}, {.block = 32});
    CHECK(again.is_exact);
    CHECK(read_bitsandbytes({again, "p"}).weight.matrix == read);
}

TEST_CASE("one scale for all, and blocks of zeros, can be nested") {
    auto q = random_layer(scheme_of(qtk::nf4, 1, 32), 3, 32);
    q.set_params(std::vector<qtk::tile_params>(3, {1.5f, 0}));
    auto const same = encode_bitsandbytes({q, {}}, {.block = 32, .is_nested = true});
    CHECK(same.is_exact);
    CHECK(read_bitsandbytes({same, "p"}).weight.matrix == q);
}

TEST_CASE("what bitsandbytes cannot hold is refused") {
    auto const refused = [](qtk::scheme const& s, bitsandbytes_layout const& layout) {
        CHECK_THROWS_AS(
            static_cast<void>(encode_bitsandbytes({random_layer(s, 2, 96), {}}, layout)),
            qtk::value_error);
    };
    refused(scheme_of(qtk::i4, 1, 32), {.block = 32});
    refused(scheme_of(qtk::nf4, 1, 32), {.element = qtk::fp4, .block = 32});
    refused(scheme_of(qtk::nf4, 1, 96), {.block = 96});
    refused(scheme_of(qtk::nf4, 1, 48), {.block = 32});
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::plan_bitsandbytes({2, 96}, {.block = 64})),
                         "bitsandbytes: expected blocks that end with a row, found blocks of 64 in "
                         "rows of 96 columns",
                         qtk::value_error);
    auto q = random_layer(scheme_of(qtk::nf4, 1, 32), 1, 64);
    q.set_params(std::vector<qtk::tile_params>(2, {std::numeric_limits<float>::infinity(), 0}));
    refused(q.scheme(), {.element = qtk::i4});
    CHECK_THROWS_AS(static_cast<void>(encode_bitsandbytes({q, {}}, {.block = 32})),
                    qtk::value_error);
}

TEST_CASE("a malformed layer of bitsandbytes gets one clear error") {
    CHECK(refusal(bent()) == "accepted");
    CHECK(refusal(bent(true)) == "accepted");
    CHECK(refusal(bent().erase("weight")) == "the tensor weight is missing");
    CHECK(refusal(bent().erase(state)) ==
          "the tensor weight.quant_state.bitsandbytes__nf4 is missing");
    CHECK(refusal(bent().erase("weight.absmax")) == "the tensor weight.absmax is missing");
    CHECK(refusal(bent().erase("weight.quant_map")) == "the tensor weight.quant_map is missing");
    CHECK(refusal(bent(true).erase("weight.nested_absmax")) ==
          "the tensor weight.nested_absmax is missing");
    CHECK(refusal(bent(true).erase("weight.nested_quant_map")) ==
          "the tensor weight.nested_quant_map is missing");
    CHECK(refusal(bent().reshape("weight", {191, 1})) ==
          "weight: expected U8 [192, 1], found U8 [191, 1]");
    CHECK(refusal(bent().reshape("weight.absmax", {5})) ==
          "weight.absmax: expected F32 [6], found F32 [5]");
    CHECK(refusal(bent(true).retype("weight.absmax", qtk::dtype::f32)) ==
          "weight.absmax: expected U8 [6], found F32 [6]");
    CHECK(refusal(bent().set("weight.absmax", 3, std::numeric_limits<float>::quiet_NaN())) ==
          "weight.absmax: expected finite numbers, found NaN or infinity at index 3");
    CHECK(refusal(bent().set("weight.quant_map", 3, 0.5f)) ==
          "weight.quant_map: the levels are not those of nf4");
    auto const text = [](std::string const& json) {
        std::string const found = refusal(bent().set_text(state, json)),
                          start = std::string(state) + ": ";
        return found.starts_with(start) ? found.substr(start.size()) : found;
    };
    CHECK(text(json_of("")) == "accepted");
    CHECK(text("{").find("this is not JSON") != std::string::npos);
    CHECK(text("[]") == R"(quant_type: expected "nf4", found null)");
    CHECK(text(R"({"quant_type":"fp4"})") == R"(quant_type: expected "nf4", found "fp4")");
    auto const with = [&](std::string const& block, std::string const& shape) {
        return text(R"({"quant_type":"nf4","blocksize":)" + block + R"(,"shape":)" + shape + "}");
    };
    CHECK(with("0", "[3,128]") == "blocksize: expected a whole number from 32 to 4096, found 0");
    CHECK(with("1e9", "[3,128]") ==
          "blocksize: expected a whole number from 32 to 4096, found 1000000000.0");
    CHECK(with("96", "[3,128]") == "expected a blocksize of 32, 64, ... 4096, found 96");
    CHECK(with("64", "[384]") == "shape: expected two positive numbers, found [384]");
    CHECK(with("64", "[0,128]") == "shape: expected two positive numbers, found [0,128]");
    CHECK(with("64", "[3,9999999999]") ==
          "shape: expected two positive numbers, found [3,9999999999]");
    CHECK(with("64", "[4,96]") ==
          "bitsandbytes: expected blocks that end with a row, found blocks of 64 in rows of 96 "
          "columns");
    CHECK(text(json_of(R"(,"nested_offset":"x")")) ==
          R"(nested_offset: expected a number, found "x")");
    CHECK(text(json_of(R"(,"nested_offset":1,"nested_blocksize":64)")) ==
          "nested_blocksize: expected a whole number from 256 to 256, found 64");
}
