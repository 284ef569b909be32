// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/network_parts.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <string>
#include <vector>

namespace {

qtk::decoder loaded(qtk_test::model_folder const& files) {
    qtk_test::temporary_folder const folder;
    files.write(folder.path());
    return qtk::load_decoder(folder.path());
}
std::vector<std::string> names(auto const& parts) {
    std::vector<std::string> all;
    for (auto const& part : parts) all.push_back(part.name);
    return all;
}

}  // namespace

TEST_CASE("a fused matrix of queries, keys and values is three modules by its rows") {
    auto const gpt2 = loaded(qtk_test::tiny_gpt2());
    auto const modules = qtk::modules_of(gpt2, 0);
    CHECK(names(modules) == std::vector<std::string>{"q", "k", "v", "o", "up", "down"});
    std::size_t const width = gpt2.config().width;
    CHECK(modules[2].layer == 0);
    CHECK(modules[2].first_row == 2 * width);
    CHECK(modules[2].rows == width);
    CHECK(modules[3].layer == 1);
}

TEST_CASE("other blocks have a module a layer") {
    CHECK(names(qtk::modules_of(loaded(qtk_test::tiny_llama()), 0)) ==
          std::vector<std::string>{"q", "k", "v", "o", "gate", "up", "down"});
    CHECK(names(qtk::modules_of(loaded(qtk_test::tiny_opt()), 0)) ==
          std::vector<std::string>{"q", "k", "v", "o", "up", "down"});
}

TEST_CASE("blocks, their modules and kinds of modules cover the network once each") {
    auto const model = loaded(qtk_test::tiny_llama());
    std::size_t const n = model.block_count();
    for (auto const& parts : {qtk::blocks_of(model), qtk::block_modules_of(model),
                              qtk::module_kinds_of(model), qtk::layers_of(model)}) {
        qtk::mixture left = qtk::whole_network(model);
        for (auto const& part : parts) {
            for (std::size_t i = 0; i < n; ++i)
                CHECK((left[i] & part.modules[i]) == part.modules[i]);
            left = qtk::without(left, part.modules);
        }
        CHECK(left == qtk::mixture(n));
    }
    CHECK(qtk::block_modules_of(model)[7].name == "L1.q");
    CHECK(names(qtk::layers_of(loaded(qtk_test::tiny_gpt2())))[0] == "L0.qkv");
}

TEST_CASE("users name layers, and hear what there is where they name another") {
    auto const parts = qtk::blocks_of(loaded(qtk_test::tiny_gpt2()));
    CHECK(qtk::find_part(parts, "L1") == 1);
    CHECK(qtk::find_part(parts, "1") == 1);
    CHECK(qtk::find_part(parts, "first") == 0);
    CHECK(qtk::find_part(parts, "last") == parts.size() - 1);
    CHECK(qtk::find_part(parts, "middle") == parts.size() / 2);
    for (char const* const wrong : {"L99", "", "L", "l0", "-1", "L0,L1"})
        CHECK_THROWS_AS(static_cast<void>(qtk::find_part(parts, wrong)), qtk::value_error);
    CHECK_THROWS_WITH(static_cast<void>(qtk::find_part(parts, "L99")),
                      doctest::Contains("the model has 2, L0 to L1"));
}
