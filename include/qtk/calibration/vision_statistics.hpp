// SPDX-License-Identifier: Apache-2.0
//
// What do the layers of a vision network see of some images? One pass gives the statistics of the inputs of
// all of them, and a sample of their rows: windows of the image where the layer is a convolution. The
// statistics are of what the weight is multiplied with, behind a change of the input that a layer may have.
//
// They are of the network as it is: of the float one, every method and every scheme can be calibrated with
// the same statistics.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/vision_model.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace qtk {

struct vision_statistics_options {
    /// Of the layers for which it says so: 4 in^2 bytes each. Empty: of all.
    std::function<bool(linear const&)> has_hessian = {};
    /// Values of the sample of rows of a layer, 4 bytes each; at least 64 rows are kept.
    std::size_t kept_values = std::size_t{1} << 18;
    std::uint64_t seed = 0;  ///< Of the sample.
};

class vision_statistics {
  public:
    /// Runs the images through the network. Throws value_error if there are none, and what the network
    /// throws for images that it is not for.
    vision_statistics(vision_model const& model, pixel_rows images,
                      vision_statistics_options const& options = {})
        : options_(options) {
        if (images.count() == 0) throw value_error("calibration: expected at least one image");
        model.for_each_linear([&](linear const& layer) {
            constexpr std::size_t least = 64;
            std::size_t const rows =
                std::max(least, options.kept_values / std::max<std::size_t>(layer.in(), 1));
            bool const has_hessian = !options.has_hessian || options.has_hessian(layer);
            auto const [at, is_new] = seen_.try_emplace(
                layer.name(), layer.in(),
                statistics_options{
                    .has_hessian = has_hessian, .kept_rows = rows, .seed = options.seed});
            if (!is_new) throw value_error("calibration: two layers are called " + layer.name());
        });
        static_cast<void>(
            model.logits(images, [&](linear const& layer, matrix_view<float const> x) {
                input_statistics& statistics = seen_.at(layer.name());
                if (layer.input() == nullptr) return statistics.add(x);
                statistics.add(layer.changed_input(x).view());
            }));
    }

    /// Throws value_error for a layer that the network does not have.
    [[nodiscard]] input_statistics const& of(std::string const& layer) const {
        if (auto const found = seen_.find(layer); found != seen_.end()) return found->second;
        throw value_error("calibration: the network has no layer " + layer);
    }
    [[nodiscard]] vision_statistics_options const& options() const noexcept { return options_; }
    [[nodiscard]] std::size_t layers() const noexcept { return seen_.size(); }

  private:
    vision_statistics_options options_;
    std::map<std::string, input_statistics> seen_;
};

}  // namespace qtk
