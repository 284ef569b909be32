// SPDX-License-Identifier: Apache-2.0
//
// Any words after the name of a program, one a line: parsed by its real table of options, or refused with a
// sentence. No command runs.
#include <CLI/CLI.hpp>

#include "../../examples/apps/common/unknown_argument.hpp"
#include "fuzz_target.hpp"
#include <exception>

namespace app {
/// Of the program that this is linked with.
void add_commands(CLI::App& program);
}  // namespace app

namespace {

/// Everything was read and was right. Thrown, as the commands would run next.
struct is_parsed {};

class table_of_options : public CLI::App {
  public:
    table_of_options() : CLI::App("fuzz", "fuzz") {
        app::add_commands(*this);
        require_subcommand(1);
    }

  private:
    void pre_callback() override { throw is_parsed{}; }
};

}  // namespace

QTK_FUZZ_TARGET(cli) {
    constexpr std::size_t most_words = 64;
    std::string_view rest = fuzz::text_of(data, size);
    std::vector<std::string> words;
    while (!rest.empty() && words.size() < most_words) {
        std::size_t const end = std::min(rest.find('\n'), rest.size());
        words.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    // Made once: some hundred options take longer than their use.
    static table_of_options program;
    std::ranges::reverse(words);  // CLI11 takes the first from the end
    try {
        program.parse(std::move(words));
    } catch (is_parsed) {
    } catch (CLI::ParseError const& e) {
        fuzz::require(e.get_exit_code() == 0 || !std::string_view(e.what()).empty());
        auto const text = app::unknown_argument(program);
        fuzz::require(!text || !text->empty());
    } catch (qtk::error const&) {
        // A value that the table itself reads, e.g. a scheme.
    }
    return 0;
}
