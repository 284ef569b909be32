// SPDX-License-Identifier: Apache-2.0
//
// What would a network of this shape cost? Shapes of published models and networks with random weights,
// for questions of speed and memory that no download should stand before. What they say means nothing.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/load.hpp>
#include <qtk/model/weights.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

struct named_shape {
    std::string_view name, meaning;
    decoder_config config;
};

/// 124M and 350M are GPT-2's (Radford et al. 2019, table 2: small and medium), 1B Llama-shaped.
[[nodiscard]] inline std::array<named_shape, 4> known_shapes() {
    auto const gpt2 = [](std::size_t layers, std::size_t width, std::size_t heads) {
        decoder_config c;
        c.layers = layers, c.width = width, c.heads = c.kv_heads = heads;
        c.head_dim = width / heads, c.inner = 4 * width, c.vocabulary = 50257, c.context = 1024;
        return c;
    };
    auto const llama = [](std::size_t layers, std::size_t width, std::size_t heads,
                          std::size_t kv_heads, std::size_t inner, bool is_tied) {
        decoder_config c;
        c.family = architecture::llama;
        c.layers = layers, c.width = width, c.heads = heads, c.kv_heads = kv_heads;
        c.head_dim = width / heads, c.inner = inner, c.vocabulary = 32000, c.context = 2048;
        c.rope_theta = 10000.0, c.act = activation::silu;
        c.has_tied_head = is_tied;
        c.has_attention_bias = c.has_output_bias = c.has_mlp_bias = false;
        return c;
    };
    return {{{"15M", "Llama-shaped, 6 layers of 288", llama(6, 288, 6, 6, 768, true)},
             {"124M", "GPT-2 small", gpt2(12, 768, 12)},
             {"350M", "GPT-2 medium", gpt2(24, 1024, 16)},
             {"1B", "Llama-shaped, 16 layers of 2048, 32 heads, 8 KV heads, feed-forward 8192",
              llama(16, 2048, 32, 8, 8192, false)}}};
}

/// Throws value_error that lists the names.
[[nodiscard]] inline named_shape shape_of(std::string_view name) {
    std::string known;
    for (named_shape const& shape : known_shapes()) {
        if (shape.name == name) return shape;
        known += (known.empty() ? "" : ", ") + std::string(shape.name);
    }
    throw value_error("no shape is called \"" + std::string(name) + "\"; expected one of " + known);
}

namespace detail {

/// Uniform values with the variance 1 / cols, so that activations keep their size; rows are filled by
/// several threads, each from its own seed.
[[nodiscard]] inline matrix random_weight(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix w(rows, cols);
    float const width = std::sqrt(3.0f / static_cast<float>(cols));
    parallel_for(rows, rows * cols, [&](std::size_t r) {
        splitmix64 random(seed * 0x100000001b3u + r);
        std::span<float> const row = w.view().row(r);
        for (std::size_t c = 0; c < cols; ++c) {
            auto const bits = static_cast<std::int32_t>(random() >> 32);
            row[c] = width * static_cast<float>(bits) * 0x1p-31f;
        }
    });
    return w;
}

/// Gives whatever it is asked for: norms of 1, other vectors of 0, random matrices in halves.
class random_reader final : public weight_reader {
  public:
    explicit random_reader(std::uint64_t seed) : seed_(seed << 20) {}
    [[nodiscard]] bool has(std::string_view name) const override {
        return name != "rope_freqs.weight";
    }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) override {
        return std::vector<float>(size, name.ends_with(".weight") ? 1.0f : 0.0f);
    }
    [[nodiscard]] weight_matrix weight(std::string const&, std::size_t rows,
                                       std::size_t cols) override {
        return half_weight(random_weight(rows, cols, ++seed_).view(), gguf_type::f16);
    }
    [[nodiscard]] weight_matrix transposed(std::string const& name, std::size_t rows,
                                           std::size_t cols) override {
        return weight(name, rows, cols);
    }
    void ignore(std::string const&) override {}
    void require_all_used() const override {}

  private:
    std::uint64_t seed_;
};

}  // namespace detail

/// A network of that shape; the same seed gives the same weights.
[[nodiscard]] inline decoder synthetic_decoder(decoder_config const& config,
                                               std::uint64_t seed = 0) {
    detail::random_reader reader(seed);
    return detail::build_decoder(reader, config);
}

}  // namespace qtk
