// SPDX-License-Identifier: Apache-2.0
//
// The work of `qtk quickstart`: quantize, measure, run.
#include "quickstart_model.hpp"

#include <qtk/core/spelling.hpp>
#include <qtk/energy/model.hpp>
#include <qtk/format/half.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/model/load.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/stats/distortion.hpp>

#include "format_words.hpp"
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <span>

namespace app {

row_scheme parse_row_scheme(std::string const& text) {
    if (text == "fp32") return {text, {}, 32, false};
    if (text == "fp16") return {text, {}, 16, false};
    if (text == "bf16") return {text, {}, 16, true};
    qtk::scheme const s = parse_or_suggest(text, {"fp32", "fp16", "bf16"}, qtk::parse_scheme);
    // A recipe that has a name keeps it; everything else gets its one spelling.
    bool const has_name = text.find('/') == text.npos;
    return {has_name ? text : qtk::to_string(s), s, 32, false};
}

namespace {

/// A baseline's weights: rounded to 16 bits, or as they are.
qtk::matrix rounded(qtk::matrix weight, row_scheme const& scheme) {
    if (scheme.float_bits == 32) return weight;
    for (float& x : weight.view().flat())
        x = scheme.is_bfloat ? qtk::bf16_to_float(qtk::float_to_bf16(x))
                             : qtk::f16_to_float(qtk::float_to_f16(x));
    return weight;
}

qtk::operand weight_operand(row_scheme const& scheme) {
    if (scheme.quantized) return qtk::operand_of(scheme.quantized->element);
    return scheme.is_bfloat ? qtk::operand::bfloat16() : qtk::operand::floating(scheme.float_bits);
}

}  // namespace

quickstart_model::quickstart_model(std::filesystem::path const& folder)
    : folder_(folder), file_(qtk::checkpoint::open(folder)), model_(qtk::load_decoder(folder)) {
    model_.for_each_linear([&](qtk::linear const& layer) {
        original_.push_back(layer.weight());
        weights_ += layer.out() * layer.in();
    });
}

quickstart_row quickstart_model::apply(row_scheme const& scheme, any_energy_table const& table) {
    quickstart_row row;
    row.scheme = scheme;
    std::vector<qtk::layer_work> work;
    std::size_t index = 0;
    double sum = 0.0, least = std::numeric_limits<double>::infinity();
    model_.for_each_linear([&](qtk::linear& layer) {
        qtk::matrix const& weight = original_[index++];
        std::size_t bytes =
            layer.out() * layer.in() * static_cast<std::size_t>(scheme.float_bits) / 8;
        if (scheme.quantized) {
            qtk::any_qmatrix q = qtk::quantize_any(weight, *scheme.quantized, qtk::minmax_range{},
                                                   {.name = layer.name().c_str()});
            bytes = q.bytes();
            double const db =
                qtk::distortion_of(weight.view().flat(), qtk::dequantize(q).view().flat())
                    .sqnr_db();
            sum += db;
            if (db < least) {
                least = db;
                row.worst_layer = layer.name();
            }
            layer.set_weight(std::move(q));
        } else {
            layer.set_weight(rounded(weight, scheme));
        }
        row.bytes += bytes;
        work.push_back(qtk::work_of({.out = static_cast<double>(layer.out()),
                                     .in = static_cast<double>(layer.in()),
                                     .weight = weight_operand(scheme),
                                     .weight_storage_bits = 8.0 * static_cast<double>(bytes)}));
    });
    row.bits_per_weight = 8.0 * static_cast<double>(row.bytes) / static_cast<double>(weights_);
    if (scheme.quantized) {
        row.sqnr_db_mean = sum / static_cast<double>(index);
        row.sqnr_db_min = least;
    }
    row.joules_per_token =
        qtk::estimate_energy(std::span<qtk::layer_work const>(work), table).total().count();
    with_file(scheme, [&](qtk::safetensors_writer const& writer) {
        row.model_bytes = static_cast<std::size_t>(writer.size_bytes());
    });
    return row;
}

void quickstart_model::measure(quickstart_row& row, std::span<qtk::language_tokens const> corpus,
                               qtk::perplexity_protocol const& protocol, std::uint64_t seed,
                               qtk::perplexity_progress const& progress) const {
    std::vector<qtk::language_loss> const losses =
        qtk::evaluate_perplexity(model_, corpus, protocol, progress);
    std::vector<std::vector<double>> strata;
    for (auto const& [language, windows] : losses) {
        std::vector<double> means;
        for (qtk::window_loss const& w : windows)
            means.push_back(w.nll / static_cast<double>(w.scored));
        strata.push_back(means);
        row.perplexity.emplace_back(
            language, qtk::stratified_bootstrap(std::span(&strata.back(), 1),
                                                qtk::geometric_mean_perplexity{}, {.seed = seed}));
    }
    row.geomean =
        qtk::stratified_bootstrap(strata, qtk::geometric_mean_perplexity{}, {.seed = seed});
}

void quickstart_model::save(row_scheme const& scheme, std::filesystem::path const& target) const {
    with_file(scheme, [&](qtk::safetensors_writer const& writer) { writer.write(target); });
}

void quickstart_model::with_file(
    row_scheme const& scheme,
    std::function<void(qtk::safetensors_writer const&)> const& use) const {
    qtk::safetensors_writer writer;
    writer.set_metadata("qtk.recipe", scheme.name);
    std::map<std::string, qtk::linear const*> layers;
    model_.for_each_linear(
        [&](qtk::linear const& layer) { layers.emplace(layer.name() + ".weight", &layer); });
    std::deque<std::vector<std::uint16_t>> halves;  // alive until the file is written
    for (qtk::safetensors_file const& shard : file_.shards())
        for (qtk::tensor_info const& info : shard.tensors()) {
            auto const found = layers.find(info.name);
            if (found == layers.end()) {
                writer.add(info.name, info.type, info.shape, shard.bytes(info));
            } else if (qtk::linear const& layer = *found->second; layer.is_quantized()) {
                qtk::add_qmatrix(writer, info.name, layer.quantized_weight());
            } else if (scheme.float_bits == 32) {
                writer.add(info.name, qtk::dtype::f32, {layer.out(), layer.in()},
                           std::as_bytes(layer.weight().view().flat()));
            } else {
                auto& half = halves.emplace_back();
                for (float const x : layer.weight().view().flat())
                    half.push_back(scheme.is_bfloat ? qtk::float_to_bf16(x) : qtk::float_to_f16(x));
                writer.add(info.name, scheme.is_bfloat ? qtk::dtype::bf16 : qtk::dtype::f16,
                           {layer.out(), layer.in()}, std::as_bytes(std::span(half)));
            }
        }
    use(writer);
}

}  // namespace app
