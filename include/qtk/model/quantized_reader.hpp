// SPDX-License-Identifier: Apache-2.0
//
// How does a network find its weights in a GPTQ, AWQ, bitsandbytes or compressed-tensors checkpoint? Layers
// that have codes are read as codes, all other tensors as floats. GPT-2's matrices, which float files hold
// as [in, out], are [out, in] in these files, as those write them who turn them into linear layers first.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/layer_layout.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/model/checkpoint_reader.hpp>
#include <qtk/model/weights.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qtk {

class quantized_reader final : public weight_reader {
  public:
    quantized_reader(std::shared_ptr<checkpoint const> file, quantization_config config,
                     nonfinite policy = nonfinite::error,
                     weight_loading loading = weight_loading::floats)
        : file_(std::move(file)), config_(std::move(config)), floats_(file_, policy, loading) {}

    [[nodiscard]] bool has(std::string_view name) const override {
        return floats_.has(name) || is_quantized(layer_of(name));
    }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) override {
        return floats_.vector(name, size);
    }
    /// Codes whose columns lie in an order become floats in theirs: layer() keeps them.
    [[nodiscard]] weight_matrix weight(std::string const& name, std::size_t rows,
                                       std::size_t cols) override {
        std::string const layer = layer_of(name);
        if (!is_quantized(layer)) return floats_.weight(name, rows, cols);
        ordered_qmatrix q = read(layer, rows, cols);
        if (!q.order.empty()) return decode_in_order(q);
        return std::move(q.matrix);
    }
    [[nodiscard]] weight_matrix transposed(std::string const& name, std::size_t rows,
                                           std::size_t cols) override {
        if (is_quantized(layer_of(name))) return weight(name, rows, cols);
        return floats_.transposed(name, rows, cols);
    }
    [[nodiscard]] layer_weight layer(std::string const& name, std::size_t rows, std::size_t cols,
                                     weight_order order) override {
        std::string const layer = layer_of(name);
        if (!is_quantized(layer)) return weight_reader::layer(name, rows, cols, order);
        ordered_qmatrix q = read(layer, rows, cols);
        return {std::move(q.matrix), std::move(q.order)};
    }
    void ignore(std::string const& name) override {
        floats_.ignore(name);
        std::string const layer = layer_of(name);
        if (is_quantized(layer)) use(layer);
    }

    /// Throws io_error, too, if the configuration speaks of a layout and no layer is of it.
    void require_all_used() const override {
        if (layers_.empty())
            throw io_error(file_->path(), "quantization_config says " +
                                              std::string(name_of(config_.layout)) +
                                              ", but no layer of the network has the tensor " +
                                              std::string(layer_mark(config_)));
        floats_.require_all_used();
    }

    /// Layers that were read as codes.
    [[nodiscard]] std::size_t layers() const noexcept { return layers_.size(); }
    /// What the files say and the user should know, each once.
    [[nodiscard]] std::vector<std::string> notes() const {
        std::vector<std::string> all = config_.notes;
        for (auto const& [text, where] : notes_)
            all.push_back(where.first +
                          (where.second > 1
                               ? " and " + std::to_string(where.second - 1) + " more layers: "
                               : std::string(": ")) +
                          text);
        return all;
    }

  private:
    /// Of "LAYER.weight"; empty for other names.
    [[nodiscard]] static std::string layer_of(std::string_view name) {
        constexpr std::string_view ending = ".weight";
        if (!name.ends_with(ending)) return {};
        return std::string(name.substr(0, name.size() - ending.size()));
    }
    [[nodiscard]] bool is_quantized(std::string const& layer) const {
        return !layer.empty() &&
               file_->find(layer + "." + std::string(layer_mark(config_))) != nullptr;
    }
    [[nodiscard]] quantization_config config_of(std::string const& layer) const {
        try {
            return config_for(config_, layer);
        } catch (value_error const& fault) {
            throw io_error(file_->path(), fault.what());
        }
    }
    /// The tensors of a layer have found their place.
    void use(std::string const& layer) {
        layers_.insert(layer);
        for (std::string_view const suffix : layer_suffixes(config_of(layer)))
            floats_.ignore(layer + "." + std::string(suffix));
    }

    [[nodiscard]] ordered_qmatrix read(std::string const& layer, std::size_t rows,
                                       std::size_t cols) {
        stored_layer stored = read_layer(*file_, layer, config_of(layer));
        any_qmatrix const& codes = stored.weight.matrix;
        if (codes.rows() != rows || codes.cols() != cols)
            throw io_error(file_->path(), "layer " + qtk::quoted(layer) + ": config.json wants [" +
                                              std::to_string(rows) + ", " + std::to_string(cols) +
                                              "], found [" + std::to_string(codes.rows()) + ", " +
                                              std::to_string(codes.cols()) + "]");
        use(layer);
        if (!stored.note.empty()) {
            auto const found = notes_.try_emplace(stored.note, layer, 0).first;
            ++found->second.second;
        }
        return std::move(stored.weight);
    }

    std::shared_ptr<checkpoint const> file_;
    quantization_config config_;
    checkpoint_reader floats_;
    std::unordered_set<std::string> layers_;
    std::map<std::string, std::pair<std::string, std::size_t>> notes_;
};

}  // namespace qtk
