// SPDX-License-Identifier: Apache-2.0
//
// One model, tried under one scheme after the other. The linear layers of the blocks are quantized and run from their
// packed codes; embeddings, norms, biases and the head stay as they are.
#pragma once

#include <qtk/eval/perplexity.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/model/decoder.hpp>

#include "energy_table_option.hpp"
#include "quickstart.hpp"
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace app {

class quickstart_model {
  public:
    /// Loads the Hugging Face folder; throws what its parts throw.
    explicit quickstart_model(std::filesystem::path const& folder);

    [[nodiscard]] qtk::decoder const& model() const noexcept { return model_; }
    [[nodiscard]] std::size_t layers() const noexcept { return original_.size(); }
    [[nodiscard]] std::size_t weights() const noexcept { return weights_; }

    /// Puts the scheme's weights into the model; gives size, error and energy, the perplexities still empty.
    [[nodiscard]] quickstart_row apply(row_scheme const& scheme, any_energy_table const& table);
    /// Runs the model as it is now and fills in the perplexities with their intervals.
    void measure(quickstart_row& row, std::span<qtk::language_tokens const> corpus,
                 qtk::perplexity_protocol const& protocol, std::uint64_t seed,
                 qtk::perplexity_progress const& progress) const;
    /// Writes the model as it is now to one safetensors file.
    void save(row_scheme const& scheme, std::filesystem::path const& target) const;

  private:
    void with_file(row_scheme const& scheme,
                   std::function<void(qtk::safetensors_writer const&)> const& use) const;

    std::filesystem::path folder_;
    qtk::checkpoint file_;
    qtk::decoder model_;
    std::vector<qtk::matrix> original_;  // float weights, in the order of for_each_linear
    std::size_t weights_ = 0;
};

}  // namespace app
