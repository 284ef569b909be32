// SPDX-License-Identifier: Apache-2.0
#include "packed_training.hpp"

#include <qtk/core/error.hpp>
#include <qtk/stats/summary.hpp>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

namespace app {
namespace {

/// A folder that is gone in the end.
class scratch_folder {
  public:
    scratch_folder() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "qtk-train-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw qtk::system_error(pattern, "cannot make a folder", errno);
        path_ = pattern;
    }
    scratch_folder(scratch_folder const&) = delete;
    scratch_folder& operator=(scratch_folder const&) = delete;
    ~scratch_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
};

/// What is judged is what lies in the files.
[[nodiscard]] qtk::vision_model through_files(trained_network const& network,
                                              std::filesystem::path const& out) {
    if (!out.empty()) {
        write_trained(network, out);
        return load_trained(out);
    }
    scratch_folder const scratch;
    write_trained(network, scratch.path() / "network");
    return load_trained(scratch.path() / "network");
}

}  // namespace

training_method parse_training_method(std::string const& text) {
    constexpr std::string_view suffix = "+distill";
    training_method method{.name = text};
    std::string word = text;
    if (word.ends_with(suffix)) {
        method.distills = true;
        word.resize(word.size() - suffix.size());
    }
    if (word != "lsq" && word != "ste")
        throw qtk::value_error(
            "train: expected the method lsq, ste, lsq+distill or ste+distill, found \"" + text +
            "\"");
    method.learns_steps = word == "lsq";
    return method;
}

packed_training train_packed(packed_training_options const& options, training_data const& data,
                             std::function<void(training_epoch const&)> const& on_epoch) {
    trained_network const teacher = read_for_training(options.model, data.calibration.images);
    trained_network network = teacher;
    plan_layers(network, options.plan);
    training_options how = options.how;
    how.learns_steps = options.method.learns_steps;
    how.distillation = options.method.distills ? options.distillation : 0.0;
    training_outcome outcome = train_network(network, teacher, rows_of(data.training),
                                             rows_of(data.calibration), how, on_epoch);
    qtk::vision_model model = through_files(network, options.out);
    qtk::matrix const logits = model.logits(data.test.images);
    std::vector<double> hits = hits_of(logits.view(), data.test.labels);
    double const accuracy = qtk::mean(hits);
    return {std::move(model), std::move(network), std::move(outcome),
            std::move(hits),  accuracy,           qtk::likeliest_classes(logits.view())};
}

}  // namespace app
