// SPDX-License-Identifier: Apache-2.0
//
// Which grids do queries, keys, values and attention maps of a ViT need? Calibration images say it: they run
// through the network as it is, with its attention in floats, and
//
//   q, k, v   get the grid of what a range estimator gives for all their values (static_activations.hpp)
//   softmax   equal steps and powers of two need no data; the sigma of two steps is the one with the least
//             squared error (fit_twin) on maps of the first images
//
// Memory: 12 width bytes a token and block, of all images at once.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/attention_rounding.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/static_activations.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vit.hpp>
#include <qtk/quantizer/softmax_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// Of softmax outputs.
enum class softmax_codes : std::uint8_t { floats, uniform, log2, twin };

[[nodiscard]] constexpr std::string_view to_string(softmax_codes kind) noexcept {
    constexpr std::array<std::string_view, 4> names{"floats", "uniform", "log2", "twin"};
    return names[static_cast<std::size_t>(kind)];
}
/// Throws value_error for another word.
[[nodiscard]] inline softmax_codes parse_softmax_codes(std::string_view word) {
    for (softmax_codes const kind :
         {softmax_codes::floats, softmax_codes::uniform, softmax_codes::log2, softmax_codes::twin})
        if (word == to_string(kind)) return kind;
    throw value_error("softmax codes: expected floats, uniform, log2 or twin, found \"" +
                      std::string(word) + "\"");
}

struct attention_options {
    int operand_bits = 8;  ///< Of q, k and v, symmetric: 2 to 8, or 0 for floats.
    softmax_codes softmax = softmax_codes::floats;
    int softmax_bits = 8;  ///< 1 to 8; 3 to 8 of two steps.
    std::size_t map_values = std::size_t{1}
                             << 18;  ///< Of a block, for sigma: at least one image's.
};

namespace detail {

/// Keeps what every attention sees of the images.
class attention_record {
  public:
    struct block {
        vit_attention const* attention;
        std::array<std::vector<float>, 3> operands;
        std::vector<float> probabilities;
    };

    explicit attention_record(attention_options const& how) : how_(how) {}

    void operator()(linear const&, matrix_view<float const>) const noexcept {}
    void attention(vit_attention const& attention, matrix_view<float const> qkv) const {
        block& to = block_of(attention);
        if (how_.operand_bits != 0)
            for (std::size_t i = 0; i < 3; ++i) {
                auto const part = vit_attention::part(qkv, i);
                for (std::size_t r = 0; r < part.rows; ++r)
                    to.operands[i].insert(to.operands[i].end(), part.row(r).begin(),
                                          part.row(r).end());
            }
        if (how_.softmax != softmax_codes::twin || to.probabilities.size() >= how_.map_values)
            return;
        matrix const maps = attention.maps(qkv);
        std::size_t const image = attention.heads() * attention.tokens() * attention.tokens();
        for (std::size_t at = 0;
             at < maps.view().size() && (to.probabilities.size() < how_.map_values); at += image)
            to.probabilities.insert(to.probabilities.end(), maps.data() + at,
                                    maps.data() + at + image);
    }

    [[nodiscard]] std::span<block const> blocks() const noexcept { return blocks_; }

  private:
    [[nodiscard]] block& block_of(vit_attention const& attention) const {
        auto const at = std::ranges::find(blocks_, &attention, &block::attention);
        return at != blocks_.end() ? *at : blocks_.emplace_back(block{&attention, {}, {}});
    }

    attention_options how_;
    mutable std::vector<block> blocks_;
};

[[nodiscard]] inline softmax_rounding fitted_softmax(std::span<float const> probabilities,
                                                     attention_options const& how) {
    switch (how.softmax) {
        case softmax_codes::uniform:
            return uniform_probability_quantizer(how.softmax_bits);
        case softmax_codes::log2:
            return softmax_rounding::log2(how.softmax_bits);
        case softmax_codes::twin:
            return fit_twin(probabilities, how.softmax_bits);
        case softmax_codes::floats:
            break;
    }
    return {};
}

}  // namespace detail

/// Sets the rounding of every attention of the model; layers stay as they are. The range estimator sees each of
/// q, k and v as one tile. Throws value_error without images, for a model without attention and for bits that
/// are not there; nonfinite_error where a layer gives NaN or infinity; shape_error for images of another size.
template <range_estimator E = minmax_range>
void calibrate_attention(vision_model& model, pixel_rows images, attention_options const& how = {},
                         E const& range = {}) {
    if (images.count() == 0) throw value_error("attention: there are no images to calibrate with");
    model.for_each_attention([](vit_attention& attention) { attention.set_rounding({}); });
    detail::attention_record const seen(how);
    (void)model.logits(images, seen);
    if (seen.blocks().empty())
        throw value_error("attention: the network has none. Hint: only a ViT has");
    std::vector<attention_rounding> found;
    for (auto const& block : seen.blocks()) {
        auto const grid = [&](std::size_t i) -> std::optional<activation_grid> {
            if (how.operand_bits == 0) return std::nullopt;
            std::vector<float> const& values = block.operands[i];
            return static_activation_grid(matrix_view<float const>(values.data(), 1, values.size()),
                                          range, activation_codes(how.operand_bits));
        };
        found.push_back(
            {grid(0), grid(1), grid(2), detail::fitted_softmax(block.probabilities, how)});
    }
    std::size_t next = 0;
    model.for_each_attention(
        [&](vit_attention& attention) { attention.set_rounding(found[next++]); });
}

}  // namespace qtk
