// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/block.hpp>

#include <doctest/doctest.h>

namespace {

// The least that a block is: one layer, added to its input.
struct smallest_block {
    static smallest_block load(qtk::weight_reader&, qtk::decoder_config const&,
                               std::string const&) {
        return {};
    }
    template <typename Observer = qtk::no_observer>
    void forward(qtk::matrix_view<float> x, Observer const& observe = {},
                 qtk::layer_past* = nullptr) const {
        observe(layer, x);
    }
    template <typename F>
    void for_each_linear(F&& f) {
        f(layer);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        f(layer);
    }
    qtk::linear layer{"only", qtk::matrix(1, 1)};
};
static_assert(qtk::decoder_block<smallest_block>);

struct without_layers : smallest_block {
    void for_each_linear() {}
};
static_assert(!qtk::decoder_block<without_layers>);

}  // namespace

TEST_CASE("an observer is told the layer, silence is the default") {
    smallest_block const block;
    block.forward({});
    int calls = 0;
    block.forward({}, [&](qtk::linear const& layer, qtk::matrix_view<float const>) {
        CHECK(layer.name() == "only");
        ++calls;
    });
    CHECK(calls == 1);
}
