// SPDX-License-Identifier: Apache-2.0
//
// Tiny blocks of every kind with random weights, norms and biases, without a file.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/model/block_gradient.hpp>
#include <qtk/model/decoder_config.hpp>
#include <qtk/model/rotary.hpp>
#include <qtk/model/weights.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qtk_test {

/// Weights of variance 1 / in, norms around 1, small biases; each tensor another.
class gaussian_reader final : public qtk::weight_reader {
  public:
    explicit gaussian_reader(std::uint64_t seed = 0) : seed_(seed << 16) {}
    [[nodiscard]] bool has(std::string_view name) const override {
        return name != "rope_freqs.weight";
    }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) override {
        auto values = qtk::gaussian_vector(size, ++seed_);
        float const center = name.ends_with(".weight") ? 1.0f : 0.0f;
        for (float& v : values) v = center + 0.3f * v;
        return values;
    }
    [[nodiscard]] qtk::weight_matrix weight(std::string const&, std::size_t rows,
                                            std::size_t cols) override {
        qtk::matrix w(rows, cols);
        auto const values = qtk::gaussian_vector(rows * cols, ++seed_);
        float const scale = 1.0f / std::sqrt(static_cast<float>(cols));
        std::ranges::transform(values, w.data(), [scale](float v) { return scale * v; });
        return w;
    }
    [[nodiscard]] qtk::weight_matrix transposed(std::string const& name, std::size_t rows,
                                                std::size_t cols) override {
        return weight(name, rows, cols);
    }
    void ignore(std::string const&) override {}
    void require_all_used() const override {}

  private:
    std::uint64_t seed_;
};

/// Width 8, heads of 4, an inner width of 10, 11 tokens, a context of 12.
inline qtk::decoder_config tiny_config(qtk::architecture family) {
    qtk::decoder_config c;
    c.family = family;
    c.layers = 2, c.width = 8, c.heads = c.kv_heads = 2, c.head_dim = 4, c.inner = 10;
    c.vocabulary = 11, c.context = 12;
    if (family == qtk::architecture::llama) {
        c.heads = 4, c.kv_heads = 2, c.rope_theta = 100.0, c.act = qtk::activation::silu;
        c.has_attention_bias = c.has_output_bias = c.has_mlp_bias = false;
    }
    return c;
}

template <typename B>
B random_block(qtk::decoder_config const& config, std::uint64_t seed = 0) {
    gaussian_reader reader(seed);
    return B::load(reader, config, "");
}
template <>
inline qtk::llama_block random_block(qtk::decoder_config const& config, std::uint64_t seed) {
    gaussian_reader reader(seed);
    auto block = qtk::llama_block::load(reader, config, "");
    block.set_rotary(std::make_shared<qtk::rotary const>(config.rope_theta, config.head_dim,
                                                         config.scaling, config.pairs));
    return block;
}

}  // namespace qtk_test
