// SPDX-License-Identifier: Apache-2.0
//
// A model, its texts, and what is lost where some of its parts are quantized: what all commands of quant-fairness ask.
// Losses come from the journal where it has them; what is missing is shared out window by window over
// threads and ranks.
#pragma once

#include <qtk/eval/network_parts.hpp>

#include "calibration_text.hpp"
#include "costs.hpp"
#include "evaluation_text.hpp"
#include "journal.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include "quantized_twin.hpp"
#include "study_text.hpp"
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace app {

enum class text_split { whole, halves };

struct study_options {
    std::vector<std::string> models{QTK_DATA_DIR "/polyglot-llama"};
    text_options text;
    calibration_options calibration;
    std::string journal;
    std::uint64_t seed = 0;  ///< of intervals, samples and questions
    output_options output;
    std::string report;

    void add_to(CLI::App& command, bool has_many_models = false);
    /// Throws qtk::value_error for a flag that makes no sense, before anything is read.
    void require() const;
};

/// Every scheme with every method.
struct quantization_grid {
    std::vector<std::string> schemes, methods;

    void add_to(CLI::App& command);
    /// Throws qtk::value_error for what there is not, or where there is nothing.
    void require() const;
};

class fairness_study {
  public:
    /// Opens model `index` of the options. With text_split::halves text 0 is the first half of the lines of each
    /// language and text 1 the second. Throws what opening and reading throw.
    fairness_study(study_options const& options, std::size_t index, text_split split,
                   std::shared_ptr<journal> results);

    [[nodiscard]] language_model const& model() const noexcept { return original_; }
    [[nodiscard]] std::vector<qtk::network_part> const& blocks() const noexcept { return blocks_; }
    [[nodiscard]] qtk::mixture const& everything() const noexcept { return everything_; }
    [[nodiscard]] qtk::mixture nothing() const { return qtk::mixture(everything_.size()); }
    [[nodiscard]] study_text const& text(std::size_t part = 0) const { return texts_.at(part); }
    [[nodiscard]] std::vector<std::string> language_names() const;
    /// Where methods calibrate, in words, if any of these does.
    [[nodiscard]] std::string calibration_sentence(std::vector<std::string> const& methods,
                                                   std::vector<std::string> const& mix = {}) const;
    /// Bits a weight of the layers of the blocks with these modules quantized; the others are as in the file.
    [[nodiscard]] double bits_per_weight(quantization const& how,
                                         qtk::mixture const& quantized) const;
    /// The rules of a recipe that keeps these modules' layers, one a line.
    [[nodiscard]] std::vector<std::string> keep_rules(qtk::mixture const& kept) const;

    /// Losses of each mixture (which modules are quantized), in their order. On the first rank.
    [[nodiscard]] std::vector<passage_losses> losses(quantization const& how,
                                                     std::vector<qtk::mixture> const& mixtures,
                                                     std::size_t part = 0) const;
    /// Margins of the right next passage, [languages][questions], of the quantized or the original model.
    [[nodiscard]] std::vector<std::vector<double>> margins(quantization const& how,
                                                           qtk::mixture const& quantized) const;
    /// The lines after which a next one is asked for, of a language.
    [[nodiscard]] std::vector<std::size_t> question_lines(std::size_t language) const;

    /// Answers a request of losses() or margins() of any rank.
    [[nodiscard]] std::string answer(json const& request) const;

  private:
    [[nodiscard]] std::shared_ptr<quantized_twin const> twin_of(quantization const& how) const;
    /// Of what its results depend on, but for text and mixture; the float model's are the same for all.
    [[nodiscard]] std::string key_of(quantization const& how, bool is_float = false) const;
    /// Read once for each mix.
    [[nodiscard]] calibration_text const& calibration_for(
        std::vector<std::string> const& mix) const;
    /// Of each layer in a scheme, found once.
    [[nodiscard]] std::vector<std::size_t> const& rounded_bytes(std::string const& scheme) const;
    void ask(std::vector<json> const& requests, std::string const& label,
             std::function<void(std::size_t, json const&)> const& received) const;

    std::size_t index_, threads_;
    std::uint64_t seed_;
    std::string path_;
    language_model original_;
    calibration_options calibration_;
    std::vector<study_text> texts_;
    std::vector<qtk::network_part> blocks_;
    qtk::mixture everything_;
    std::vector<std::size_t> stored_bytes_;  ///< of each layer, as in the file
    std::shared_ptr<journal> results_;
    std::string model_key_;
    mutable std::mutex making_, reading_;
    mutable std::map<std::vector<std::string>, calibration_text> calibrations_;
    mutable std::map<std::string, std::vector<std::size_t>> rounded_bytes_;
    mutable std::shared_ptr<quantized_twin const> twin_;  ///< the last one
};

using study_list = std::vector<std::unique_ptr<fairness_study>>;

/// Opens the models and runs `command` on the first rank; the others answer its requests. Throws what both throw.
void run_study(study_options const& options, text_split split,
               std::function<void(study_list const&)> const& command);

/// Model, protocol and calibration, for people.
void print_header(std::FILE* human, fairness_study const& study, std::string const& calibration,
                  std::size_t part = 0);
/// What the JSON of every command begins with.
[[nodiscard]] json report_head(std::string const& schema, fairness_study const& study,
                               std::string const& calibration, study_options const& options);

}  // namespace app
