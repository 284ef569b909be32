// SPDX-License-Identifier: Apache-2.0
//
// A language model with its tokenizer, as a program holds it: opened from a folder or built from random
// weights, and put into one number format after the other. Copies share the original weights.
#pragma once

#include <qtk/io/tokenizer.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/layer_format.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace app {

class language_model {
  public:
    /// A Hugging Face folder, or a GGUF file. Throws what its parts throw.
    [[nodiscard]] static language_model open(std::string const& path);
    /// Random weights in one of the shapes of model/synthetic.hpp; it has no tokenizer.
    [[nodiscard]] static language_model synthetic(std::string const& shape);

    [[nodiscard]] std::string const& name() const noexcept { return name_; }
    [[nodiscard]] qtk::decoder const& network() const noexcept { return network_; }
    /// To be changed by a method that calibrates; apply() gives layers their original weights again, but not
    /// their norms and biases.
    [[nodiscard]] qtk::decoder& network() noexcept { return network_; }
    [[nodiscard]] bool has_tokenizer() const noexcept { return tokenizer_ != nullptr; }
    /// Throws qtk::value_error where there is none.
    [[nodiscard]] qtk::tokenizer const& tokenizer() const;
    /// The ids of a text after the BOS that the model wants.
    [[nodiscard]] std::vector<std::int32_t> encode(std::string const& text) const;

    /// The token before every text: what the tokenizer's rule says, else what the model's files name as BOS.
    [[nodiscard]] std::optional<std::int32_t> bos() const;
    /// The token that ends a text, if there is one.
    [[nodiscard]] std::optional<std::int32_t> stop() const;

    /// Puts every linear layer of the blocks into a format, and the head if one is given.
    void apply(qtk::layer_format const& format, std::optional<qtk::layer_format> const& head = {});

    [[nodiscard]] std::size_t layers() const noexcept { return original_->layers.size(); }
    /// Weights of the linear layers of the blocks.
    [[nodiscard]] std::size_t weights() const noexcept;
    /// Parameters of layers, embedding and head; norms and biases are too few to count.
    [[nodiscard]] std::size_t parameters() const noexcept;
    /// What the linear layers of the blocks hold, scales and padding counted.
    [[nodiscard]] std::size_t layer_bytes() const noexcept;
    /// The same with embedding and head.
    [[nodiscard]] std::size_t model_bytes() const noexcept;
    /// What one token at batch 1 reads of weights: the layers and the head.
    [[nodiscard]] std::size_t bytes_per_token() const noexcept;
    [[nodiscard]] double bits_per_weight() const noexcept;
    /// The fraction of outlier columns that LLM.int8() has seen, if it ran.
    [[nodiscard]] std::optional<double> outlier_fraction() const;

  private:
    struct originals {
        std::vector<qtk::weight_matrix> layers;
        qtk::weight_matrix head;
    };

    language_model(std::string name, qtk::decoder network,
                   std::shared_ptr<qtk::tokenizer const> tokenizer);

    std::string name_;
    qtk::decoder network_;
    std::shared_ptr<qtk::tokenizer const> tokenizer_;
    std::shared_ptr<originals const> original_;
};

}  // namespace app
