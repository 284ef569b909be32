// SPDX-License-Identifier: Apache-2.0
//
// How does one file become another that is larger than memory? Tensor by tensor, a few rows at a time,
// into a part file with a journal: what stops it, the next run goes on from there, and the bytes are the
// same.
#pragma once

#include <qtk/io/safetensors_writer.hpp>

#include "recipe.hpp"
#include "row_source.hpp"
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace app {

/// One tensor of the input, and what becomes of it.
struct conversion_step {
    std::string name;    ///< in the output
    std::string origin;  ///< in the input
    std::string from;    ///< its type there
    std::vector<std::uint64_t> shape;
    shared_rows rows;
    tensor_action action{};
    std::string wanted{};  ///< what was asked for, where the action is something else
    /// How much each column counts, [matrices, columns]; empty: all the same.
    std::vector<float> importance{};
    /// Where the output's parts lie: of a scheme codes, scales, zeros, tensor scale; else one.
    std::vector<qtk::tensor_place> places{};

    [[nodiscard]] std::uint64_t bytes() const noexcept;
};

struct conversion {
    std::filesystem::path target;
    std::vector<std::filesystem::path> inputs;
    std::vector<std::byte> start;  ///< the file's header
    std::uint64_t size = 0;        ///< of the whole file
    std::vector<conversion_step> steps;
    std::vector<std::string> notes{};  ///< what the user must know of the output, in sentences
    bool is_resumable = true;          ///< does --resume go on with an unfinished run?
};

struct conversion_options {
    bool is_forced = false, resumes = false;
    std::optional<std::uint64_t> max_memory{};

    /// Adds --force, --resume and --max-memory.
    void add_to(CLI::App& command);
};

/// Where a conversion stands: what is done, how many tensors of how many.
using conversion_progress = std::function<void(std::string const&, std::size_t, std::size_t)>;

/// Throws qtk::value_error where the target is one of the inputs, where it is there already and may not be
/// replaced, where a run was left unfinished and nothing is said about it, and where a tensor needs more
/// memory than allowed.
void require_startable(conversion const& plan, conversion_options const& options);

/// Bytes that are free where the target will lie; nothing where the system does not say.
[[nodiscard]] std::optional<std::uint64_t> free_bytes(std::filesystem::path const& target);

/// Memory that the conversion takes at the same time, on top of what the program has now.
[[nodiscard]] std::uint64_t working_memory(conversion const& plan,
                                           conversion_options const& options);

/// Does the work. Gives the number of tensors that an earlier run had finished. Throws what its parts
/// throw; qtk::nonfinite_error before a byte is written; app::interruption after Ctrl-C, when the tensor at
/// hand is finished.
std::size_t convert(conversion const& plan, conversion_options const& options,
                    conversion_progress const& progress);

/// Reads a tensor and throws qtk::nonfinite_error at the first part with NaN or infinity; `where` names the
/// tensor.
void require_finite_rows(row_source const& rows, std::string const& where);

/// 64MiB, 2GiB, 500000; throws qtk::value_error otherwise.
[[nodiscard]] std::uint64_t parse_size(std::string const& text);
/// 1,234,567 bytes as "1.2 MiB".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace app
