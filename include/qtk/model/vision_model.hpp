// SPDX-License-Identifier: Apache-2.0
//
// What does a network say is in an image? A ResNet or a ViT from safetensors, known by the names of its tensors.
//
//   vision_model model = load_vision_model("deit_tiny");
//   matrix logits = model.logits(images);                    // [images, classes]
//   model.for_each_linear([](linear& layer) { ... });        // quantize them
//
// Images run through the network a few at a time, so that memory does not grow with their number: as many
// as have 2^17 pixels together, at most 32, and at least one.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/host_device.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/config_reader.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/network_product.hpp>
#include <qtk/model/resnet.hpp>
#include <qtk/model/vision_reader.hpp>
#include <qtk/model/vit.hpp>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

class vision_model {
  public:
    using network = std::variant<resnet, vision_transformer>;

    explicit vision_model(network what) : network_(std::move(what)) {}

    [[nodiscard]] network const& what() const noexcept { return network_; }
    [[nodiscard]] network& what() noexcept { return network_; }
    [[nodiscard]] std::size_t channels() const noexcept {
        return std::visit([](auto const& n) { return n.channels(); }, network_);
    }
    [[nodiscard]] std::size_t classes() const noexcept {
        return std::visit([](auto const& n) { return n.classes(); }, network_);
    }

    /// [images, classes]. Many images are shared between threads; few leave the threads to the products
    /// inside. The number of threads changes no bit. Throws shape_error for images that the network is not for.
    [[nodiscard]] matrix logits(pixel_rows images) const {
        matrix all(images.count(), classes());
        std::size_t const each = images_at_once(images.shape());
        std::size_t const groups = div_ceil(images.count(), each);
        if (groups < thread_count()) {
            for (std::size_t g = 0; g < groups; ++g) run(images, g * each, all, no_observer{});
            return all;
        }
        single_threaded_blas const one_thread;
        constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
        parallel_for(groups, always_worth_threads,
                     [&](std::size_t g) { run(images, g * each, all, no_observer{}); });
        return all;
    }
    /// The same, and observe(layer, x) for every linear layer and rows x [m, in] of its input, before the
    /// layer is applied to them; from one thread, always in the same order. A layer is seen several times,
    /// each time with other rows: once for a few images, and a tile of them in a convolution. An observer
    /// with a member attention() sees the attention of a ViT, too (vit.hpp).
    template <typename Observer>
    requires std::invocable<Observer const&, linear const&, matrix_view<float const>>
    [[nodiscard]] matrix logits(pixel_rows images, Observer const& observe) const {
        matrix all(images.count(), classes());
        std::size_t const each = images_at_once(images.shape());
        for (std::size_t first = 0; first < images.count(); first += each)
            run(images, first, all, observe);
        return all;
    }

    /// f(layer) for every linear layer, in the order of computation: convolutions, and the last layer, among
    /// them.
    template <typename F>
    void for_each_linear(F&& f) {
        std::visit([&](auto& n) { n.for_each_linear(f); }, network_);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        std::visit([&](auto const& n) { n.for_each_linear(f); }, network_);
    }

    /// f(network_product const&) for every product of matrices that one image of this shape takes: layers and
    /// attention, in the order of computation. Throws shape_error for images that the network is not for.
    template <typename F>
    void for_each_product(image_shape const& image, F&& f) const {
        std::visit([&](auto const& n) { n.for_each_product(image, f); }, network_);
    }
    /// f(attention) for every vit_attention, in the order of computation; a ResNet has none.
    template <typename F>
    void for_each_attention(F&& f) {
        if (auto* const vit = std::get_if<vision_transformer>(&network_))
            vit->for_each_attention(f);
    }
    template <typename F>
    void for_each_attention(F&& f) const {
        if (auto const* const vit = std::get_if<vision_transformer>(&network_))
            vit->for_each_attention(f);
    }

    /// How many run through the network together: as many as have 2^17 pixels, at most 32. Depends on the
    /// images alone, so that results do not depend on the number of threads.
    [[nodiscard]] static std::size_t images_at_once(image_shape const& shape) {
        constexpr std::size_t pixels = std::size_t{1} << 17, most = 32;
        return std::clamp<std::size_t>(pixels / shape.pixels(), 1, most);
    }

  private:
    /// The logits of a few images from `first` on.
    template <typename Observer>
    void run(pixel_rows images, std::size_t first, matrix& all, Observer const& observe) const {
        std::size_t const count = std::min(images_at_once(images.shape()), images.count() - first);
        matrix const some = std::visit(
            [&](auto const& n) { return n.forward(images.slice(first, count), observe); },
            network_);
        std::copy_n(some.data(), some.view().size(), all.view().row(first).data());
    }

    network network_;
};

/// The column of the largest logit of each row, the first of several; a row of NaN gives column 0.
[[nodiscard]] inline std::vector<std::size_t> likeliest_classes(matrix_view<float const> logits) {
    std::vector<std::size_t> classes(logits.rows);
    for (std::size_t r = 0; r < logits.rows; ++r) {
        std::span<float const> const row = logits.row(r);
        classes[r] = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    }
    return classes;
}

struct vision_options {
    nonfinite on_nonfinite = nonfinite::error;
    io_limits limits{};
    /// Of a ViT; 0: what the files say, or else heads_of_width().
    std::size_t heads = 0;
};

namespace detail {

/// The number of heads in config.json (num_heads, as timm's arguments call it, there or under
/// model_args, or num_attention_heads) or under the key num_heads of the safetensors' metadata; 0 if nobody says.
[[nodiscard]] inline std::size_t stated_heads(vision_reader const& file,
                                              std::filesystem::path const& path,
                                              io_limits const& limits) {
    if (std::string const text = file.metadata("num_heads"); !text.empty()) {
        std::size_t heads = 0;
        auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), heads);
        if (failure != std::errc{} || end != text.data() + text.size() || heads == 0)
            throw io_error(file.path(),
                           "num_heads: expected a whole number from 1, found " + qtk::quoted(text));
        return heads;
    }
    std::filesystem::path const config = path / "config.json";
    if (!std::filesystem::exists(config)) return 0;
    mapped_file const text = mapped_file::open(config, io_mode::read, limits.json_bytes);
    nlohmann::json const object = parse_strict_json(text.text(), text.path(), limits);
    if (!object.is_object()) throw io_error(text.path(), "expected a JSON object");
    config_reader const json(object, text.path());
    for (char const* const field : {"num_heads", "num_attention_heads"})
        if (json.find(field) != nullptr) return json.count(field, most_heads);
    if (auto const* const arguments = json.find("model_args");
        arguments != nullptr && arguments->is_object()) {
        config_reader const inner(*arguments, text.path());
        if (inner.find("num_heads") != nullptr) return inner.count("num_heads", most_heads);
    }
    return 0;
}

}  // namespace detail

/// Reads a .safetensors file, or a folder with model.safetensors or its shards. Throws system_error where a file
/// is missing; io_error for tensors of a network that is none of those above, or that are missing, have another
/// shape or no place; nonfinite_error for NaN or infinite weights unless the options say otherwise.
[[nodiscard]] inline vision_model load_vision_model(std::filesystem::path const& path,
                                                    vision_options const& options = {}) {
    vision_reader file(std::make_shared<checkpoint const>(checkpoint::open(path, options.limits)),
                       options.on_nonfinite);
    if (file.has("patch_embed.proj.weight")) {
        std::size_t const heads =
            options.heads != 0 ? options.heads : detail::stated_heads(file, path, options.limits);
        return vision_model(vision_transformer::load(file, heads));
    }
    if (file.has("conv1.weight")) return vision_model(resnet::load(file));
    throw io_error(file.path(),
                   "expected a ResNet with torchvision's names (conv1.weight) or a ViT with timm's "
                   "(patch_embed.proj.weight), found neither");
}

}  // namespace qtk
