// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a recipe file: a refusal, or rules that, written as one line each, are the same rules; the
// first that fits a name decides, and a pattern fits what its meaning says.
#include "../../examples/apps/common/recipe.hpp"
#include "fuzz_target.hpp"
#include <utility>

namespace {

/// The meaning of app::matches: all ways to cut the name, kept in a table.
bool fits(std::string_view pattern, std::string_view name) {
    std::vector<char> reached(name.size() + 1);
    reached[0] = 1;
    for (char const p : pattern) {
        std::vector<char> next(name.size() + 1);
        for (std::size_t n = 0; n <= name.size(); ++n) {
            if (p == '*')
                next[n] = reached[n] != 0 || (n > 0 && next[n - 1] != 0);
            else if (n > 0)
                next[n] = reached[n - 1] != 0 && (p == '?' || p == name[n - 1]);
        }
        reached = std::move(next);
    }
    return reached[name.size()] != 0;
}

constexpr std::string_view names[] = {"model.layers.0.mlp.up_proj.weight", "lm_head.weight", "aab",
                                      ""};

void check(app::tensor_recipe const& rules, app::tensor_recipe::parser parse) {
    std::vector<std::string> lines = rules.unused();
    for (bool const is_matrix : {true, false})
        for (std::string_view const name : names) {
            app::tensor_action const* const found = rules.find(name, is_matrix);
            std::string expected;
            for (std::string const& line : lines) {
                std::size_t const cut = line.find('=');
                app::tensor_action const action = parse(line.substr(cut + 1));
                if (!fits(std::string_view(line).substr(0, cut), name)) continue;
                if (!is_matrix && app::is_for_matrices(action)) continue;
                expected = app::to_string(action);
                break;
            }
            fuzz::require(expected == (found == nullptr ? "" : app::to_string(*found)));
        }
    app::tensor_recipe const again(lines, "", parse);
    fuzz::require(again.text() == rules.text());
}

}  // namespace

QTK_FUZZ_TARGET(recipe) {
    fuzz::memory_file const file(data, size);
    for (app::tensor_recipe::parser const parse :
         {app::parse_scheme_action, app::parse_type_action}) {
        try {
            check(app::tensor_recipe({}, file.path(), parse), parse);
        } catch (qtk::error const&) {
        }
    }
    // As a search of vision networks reads it: any word behind the sign.
    try {
        app::for_each_rule({}, file.path(), [](std::string const& layer, std::string const& what) {
            fuzz::require(!layer.empty() && !what.empty());
        });
    } catch (qtk::error const&) {
    }
    return 0;
}
