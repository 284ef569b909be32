// SPDX-License-Identifier: Apache-2.0
#include "language_model.hpp"

#include <qtk/io/gguf.hpp>
#include <qtk/io/gguf_tokenizer.hpp>
#include <qtk/model/load.hpp>
#include <qtk/model/synthetic.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <utility>

namespace app {

language_model::language_model(std::string name, qtk::decoder network,
                               std::shared_ptr<qtk::tokenizer const> tokenizer)
    : name_(std::move(name)), network_(std::move(network)), tokenizer_(std::move(tokenizer)) {
    auto original = std::make_shared<originals>();
    std::as_const(network_).for_each_linear(
        [&](qtk::linear const& layer) { original->layers.push_back(layer.form()); });
    original->head = network_.head();
    original_ = std::move(original);
}

language_model language_model::open(std::string const& path) {
    std::filesystem::path const folder(path);
    if (folder.extension() == ".gguf") {
        auto const file = std::make_shared<qtk::gguf_file const>(qtk::gguf_file::open(folder));
        auto tokenizer = std::make_shared<qtk::tokenizer const>(qtk::gguf_tokenizer(*file));
        return {folder.stem().string(), qtk::load_decoder(file), std::move(tokenizer)};
    }
    std::string const name = std::filesystem::weakly_canonical(folder).filename().string();
    qtk::load_options options;
    options.weights = qtk::weight_loading::stored;
    options.note = [&](std::string const& text) {
        fmt::print(stderr, "note: {}: {}\n", path, text);
    };
    return {name, qtk::load_decoder(folder, options),
            std::make_shared<qtk::tokenizer const>(qtk::tokenizer::open(folder))};
}

language_model language_model::synthetic(std::string const& shape) {
    return {"synthetic-" + shape, qtk::synthetic_decoder(qtk::shape_of(shape).config), nullptr};
}

qtk::tokenizer const& language_model::tokenizer() const {
    if (!tokenizer_) throw qtk::value_error(name_ + ": a synthetic model has no tokenizer");
    return *tokenizer_;
}

std::vector<std::int32_t> language_model::encode(std::string const& text) const {
    std::vector<std::int32_t> ids;
    if (auto const first = bos()) ids.push_back(*first);
    auto const more = tokenizer().encode(text);
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
}

std::optional<std::int32_t> language_model::bos() const {
    // A GGUF file names it with the tokenizer, config.json with the network.
    if (tokenizer().adds_bos() || !network_.config().bos) return tokenizer().bos();
    return network_.config().bos;
}

std::optional<std::int32_t> language_model::stop() const {
    if (!network_.config().eos.empty()) return network_.config().eos.front();
    if (tokenizer().eos()) return tokenizer().eos();
    return tokenizer().end_of_text();
}

void language_model::apply(qtk::layer_format const& format,
                           std::optional<qtk::layer_format> const& head) {
    std::size_t i = 0;
    network_.for_each_linear(
        [&](qtk::linear& layer) { qtk::apply_format(layer, original_->layers[i++], format); });
    if (!head) return;
    qtk::linear layer("lm_head", original_->head);
    qtk::apply_format(layer, original_->head, *head);
    network_.set_head(std::move(layer));
}

std::size_t language_model::weights() const noexcept {
    std::size_t sum = 0;
    for (qtk::weight_matrix const& w : original_->layers) sum += w.rows() * w.cols();
    return sum;
}
std::size_t language_model::parameters() const noexcept {
    auto const& tokens = network_.table().tokens;
    std::size_t const embedding = tokens.rows() * tokens.cols();
    return weights() + network_.table().positions.view().size() +
           (network_.config().has_tied_head ? 1 : 2) * embedding;
}
std::size_t language_model::layer_bytes() const noexcept {
    std::size_t sum = 0;
    network_.for_each_linear([&](qtk::linear const& layer) { sum += layer.weight_bytes(); });
    return sum;
}
std::size_t language_model::model_bytes() const noexcept {
    std::size_t const table =
        network_.table().tokens.bytes() + network_.table().positions.view().size() * sizeof(float);
    bool const has_own_head = &network_.head() != &network_.table().tokens;
    return layer_bytes() + table + (has_own_head ? network_.head().bytes() : 0);
}
std::size_t language_model::bytes_per_token() const noexcept {
    return layer_bytes() + network_.head().bytes();
}
double language_model::bits_per_weight() const noexcept {
    return 8.0 * static_cast<double>(layer_bytes()) / static_cast<double>(weights());
}
std::optional<double> language_model::outlier_fraction() const {
    qtk::llm_int8_result all;
    network_.for_each_linear([&](qtk::linear const& layer) {
        all.outliers += layer.outliers().outliers;
        all.columns += layer.outliers().columns;
    });
    if (all.columns == 0) return std::nullopt;
    return all.fraction();
}

}  // namespace app
