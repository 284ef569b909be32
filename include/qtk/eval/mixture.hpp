// SPDX-License-Identifier: Apache-2.0
//
// What does a network do when only some of its parts are quantized? A network and its quantized twin are run
// together: many mixtures at once, and those that begin alike share the activations up to the block where
// they part. Protecting or quantizing each of 12 blocks alone takes 176 runs of a block a window instead of
// 312; all 220 sets of three take 999 instead of 2,640.
//
// A mixture that quantizes a block as a whole takes the twin's; one that leaves it alone takes the original.
// Within a block, modules that stay float take their weights as the method had prepared them for rounding
// (AWQ's and SmoothQuant's factors belong to all modules of a block).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/eval/network_parts.hpp>
#include <qtk/eval/passages.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/decoder.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

namespace detail {
using any_block = std::variant<gpt2_block, llama_block, opt_block>;
}

/// May be used from several threads at once.
class mixed_network {
  public:
    /// Both must outlive it. `prepared` are the layers of all blocks before they were rounded, in the order
    /// of for_each_linear; without them only whole blocks can be mixed. Throws shape_error for networks of
    /// two shapes.
    mixed_network(decoder const& original, decoder const& quantized,
                  std::vector<linear> prepared = {})
        : original_(original), quantized_(quantized), prepared_(std::move(prepared)) {
        if (original.block_count() != quantized.block_count() ||
            original.config().width != quantized.config().width)
            throw shape_error("mixture: expected two networks of one shape, found " +
                              std::to_string(original.block_count()) + " blocks of width " +
                              std::to_string(original.config().width) + " and " +
                              std::to_string(quantized.block_count()) + " of width " +
                              std::to_string(quantized.config().width));
        std::size_t layers = 0;
        for (std::size_t i = 0; i < original.block_count(); ++i) {
            modules_.push_back(modules_of(original, i));
            first_layer_.push_back(layers);
            original.for_each_linear_of(i, [&](linear const&) { ++layers; });
        }
        if (!prepared_.empty() && prepared_.size() != layers)
            throw shape_error("mixture: expected " + std::to_string(layers) +
                              " prepared layers, found " + std::to_string(prepared_.size()));
    }

    [[nodiscard]] decoder const& original() const noexcept { return original_; }

    /// Runs block i, i < block_count(), on x in place, with these modules quantized. Throws value_error where
    /// parts of a block are to be mixed and were not prepared, or where one matrix makes several modules and
    /// rounds its activations.
    void run_block(std::size_t i, std::uint32_t modules, matrix_view<float> x) const {
        auto const all = static_cast<std::uint32_t>((std::uint64_t{1} << modules_[i].size()) - 1);
        if (modules == 0) return original_.run_block(i, x);
        if (modules == all) return quantized_.run_block(i, x);
        std::shared_ptr<detail::any_block const> const block = mixed(i, modules);
        single_threaded_blas const one_thread;
        std::visit([&](auto const& b) { b.forward(x); }, *block);
    }

  private:
    [[nodiscard]] std::shared_ptr<detail::any_block const> mixed(std::size_t i,
                                                                 std::uint32_t modules) const {
        std::lock_guard const lock(making_);
        auto& known = mixed_[{i, modules}];
        if (!known) known = make(i, modules);
        return known;
    }
    [[nodiscard]] std::shared_ptr<detail::any_block const> make(std::size_t i,
                                                                std::uint32_t modules) const {
        if (prepared_.empty())
            throw value_error("mixture: block " + std::to_string(i) +
                              " is to be quantized in part, and its layers were not prepared");
        auto const block = std::make_shared<detail::any_block>();
        quantized_.visit_block(i, [&](auto const& b) { *block = b; });
        std::size_t layer = 0;
        std::visit(
            [&](auto& b) {
                b.for_each_linear([&](linear& l) {
                    std::uint32_t const of_layer = modules_of_layer(modules_[i], layer);
                    linear const& prepared = prepared_[first_layer_[i] + layer++];
                    if ((modules & of_layer) == of_layer) return;
                    l = (modules & of_layer) == 0 ? prepared : rows_mixed(i, modules, l, prepared);
                });
            },
            *block);
        return block;
    }
    /// Rows of the quantized layer where their module is quantized, else of the prepared one.
    [[nodiscard]] linear rows_mixed(std::size_t i, std::uint32_t modules, linear const& quantized,
                                    linear const& prepared) const {
        packed_weight const* const packed = quantized.form().packed();
        if (packed != nullptr && packed->activations.type != activation_type::f32)
            throw value_error(quantized.name() +
                              ": one matrix makes queries, keys and values and rounds its "
                              "activations: they cannot be quantized apart");
        matrix weight = prepared.effective_weight();
        matrix const rounded = quantized.effective_weight();
        std::vector<float> bias(quantized.out());
        std::ranges::copy(prepared.bias(), bias.begin());
        std::size_t const layer = modules_[i].front().layer;
        for (std::size_t m = 0; m < modules_[i].size(); ++m) {
            network_module const& part = modules_[i][m];
            if (part.layer != layer || (modules >> m & 1u) == 0) continue;
            for (std::size_t r = part.first_row; r < part.first_row + part.rows; ++r) {
                std::ranges::copy(rounded.view().row(r), weight.view().row(r).begin());
                if (!quantized.bias().empty()) bias[r] = quantized.bias()[r];
            }
        }
        return {quantized.name(), std::make_shared<matrix const>(std::move(weight)),
                std::move(bias)};
    }

    decoder const& original_;
    decoder const& quantized_;
    std::vector<linear> prepared_;
    std::vector<std::vector<network_module>> modules_;
    std::vector<std::size_t> first_layer_;
    mutable std::mutex making_;
    mutable std::map<std::pair<std::size_t, std::uint32_t>,
                     std::shared_ptr<detail::any_block const>>
        mixed_;
};

namespace detail {

/// Sorted mixtures [first, last) that are alike before block `at`, whose input is x.
template <typename Done>
void run_mixtures(mixed_network const& network, std::span<mixture const> mixtures,
                  std::span<std::size_t const> order, std::size_t at, matrix x, Done const& done) {
    decoder const& original = network.original();
    if (at == original.block_count()) {
        original.finish(x.view());
        return done(order, x.view());
    }
    while (!order.empty()) {
        std::uint32_t const modules = mixtures[order.front()][at];
        std::size_t same = 1;
        while (same < order.size() && mixtures[order[same]][at] == modules) ++same;
        bool const is_last = same == order.size();
        matrix next = is_last ? std::move(x) : x;
        network.run_block(at, modules, next.view());
        run_mixtures(network, mixtures, order.first(same), at + 1, std::move(next), done);
        order = order.subspan(same);
    }
}

}  // namespace detail

/// Sums of -ln p over the scored tokens of each passage that the window touches, [mixtures][passages]: the same
/// for a mixture whatever others run beside it. Throws shape_error for mixtures of another number of blocks,
/// and like mixed_network::run_block() and decoder::embed().
[[nodiscard]] inline std::vector<std::vector<double>> mixture_losses(
    mixed_network const& network, std::span<mixture const> mixtures, passage_window const& text) {
    decoder const& original = network.original();
    for (mixture const& m : mixtures)
        if (m.size() != original.block_count())
            throw shape_error("mixture: expected " + std::to_string(original.block_count()) +
                              " blocks, found " + std::to_string(m.size()));
    std::vector<std::size_t> order(mixtures.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) -> mixture const& { return mixtures[i]; });
    std::vector<std::vector<double>> losses(mixtures.size());
    detail::run_mixtures(network, mixtures, order, 0, original.embed(text.window.tokens),
                         [&](std::span<std::size_t const> alike, matrix_view<float const> hidden) {
                             std::vector<double> sums(text.passages());
                             std::size_t i = 0;
                             for_each_loss(original, text.window, hidden,
                                           [&](double nll) { sums[text.place[i++]] += nll; });
                             for (std::size_t const m : alike) losses[m] = sums;
                         });
    return losses;
}

}  // namespace qtk
