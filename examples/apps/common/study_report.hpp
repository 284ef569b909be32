// SPDX-License-Identifier: Apache-2.0
//
// How is a study told? A table for the terminal, an entry for the experiment log (Markdown, and JSON on one
// line), and a page of HTML with six charts that needs no network and no scripts.
#pragma once

#include "environment.hpp"
#include "output.hpp"
#include "study_run.hpp"
#include <string>
#include <vector>

namespace app {

[[nodiscard]] std::string study_table(study_result const& study);
[[nodiscard]] json study_json(std::vector<study_result> const& studies,
                              study_options const& options, environment const& where);
/// Begins with a dated heading.
[[nodiscard]] std::string study_markdown(std::vector<study_result> const& studies,
                                         study_options const& options, environment const& where);
[[nodiscard]] std::string study_html(std::vector<study_result> const& studies,
                                     study_options const& options, environment const& where);

}  // namespace app
