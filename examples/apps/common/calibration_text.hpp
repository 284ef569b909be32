// SPDX-License-Identifier: Apache-2.0
//
// On which text do methods calibrate? Lines 1 to 80 of the embedded corpus, none of which is evaluated, or
// any text file; how much of which language is a parameter.
#pragma once

#include "language_model.hpp"
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace app {

/// Windows of tokens, language by language.
struct calibration_text {
    std::vector<std::vector<std::int32_t>> windows;
    std::string sentence;  ///< Where they are from, in words.
};

struct calibration_options {
    std::string corpus = QTK_DATA_DIR "/corpus";
    std::vector<std::string> texts;  ///< [LANG=]FILE instead of the corpus; whole files.
    std::vector<std::string>
        mix;                      ///< LANG or LANG:WEIGHT; all languages alike where there is none.
    std::string windows = "all";  ///< Of each language at most.
    std::size_t window = 0;       ///< Tokens; 0: 256, or the context.

    void add_to(CLI::App& command);
    /// Throws qtk::value_error for a flag that makes no sense, before anything is read.
    void require() const;
    /// Reads, tokenizes and cuts. Throws what reading throws, qtk::value_error where a text is shorter than
    /// one window.
    [[nodiscard]] calibration_text read(language_model const& model) const;
};

/// How many windows of each language make the mix, of those there are: as many as possible with weights in
/// proportion, at least one of each. `available` and `weights` have one entry a language; weights are above
/// 0.
[[nodiscard]] std::vector<std::size_t> windows_of_mix(std::vector<std::size_t> const& available,
                                                      std::vector<double> const& weights);

}  // namespace app
