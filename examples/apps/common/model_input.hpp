// SPDX-License-Identifier: Apache-2.0
//
// What did the user name as a model: a Hugging Face folder, safetensors files, a GGUF file? All of them as
// one list of tensors.
#pragma once

#include <qtk/io/checkpoint.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/model/decoder_config.hpp>

#include "row_source.hpp"
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace app {

/// A tensor of the input.
struct input_tensor {
    std::string name, type;
    std::vector<std::uint64_t> shape;  ///< the slowest first, as PyTorch prints it
    std::uint64_t bytes = 0;           ///< in the file
    shared_rows rows;
    shared_rows turned{};  ///< [out, in] of a matrix that is stored as [in, out]; null for others
    bool is_quantized = false;

    /// As [out, in].
    [[nodiscard]] shared_rows const& weight() const noexcept { return turned ? turned : rows; }

    [[nodiscard]] bool is_matrix() const noexcept {
        return shape.size() == 2 && rows->has_floats() && rows->rows() > 0 && rows->cols() > 0;
    }
};

class model_input {
  public:
    /// One folder, one GGUF file, or safetensors files. Throws what the readers throw, qtk::io_error for a
    /// tensor that is in two files.
    [[nodiscard]] static model_input open(std::vector<std::filesystem::path> const& paths);

    [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }
    /// Every file whose content counts.
    [[nodiscard]] std::vector<std::filesystem::path> const& files() const noexcept {
        return files_;
    }
    [[nodiscard]] bool is_folder() const noexcept { return folder_; }
    /// Null if it is no GGUF file.
    [[nodiscard]] qtk::gguf_file const* gguf() const noexcept { return gguf_.get(); }
    [[nodiscard]] std::vector<input_tensor> const& tensors() const noexcept { return tensors_; }
    /// Strings of the safetensors files, those of quantized matrices left out.
    [[nodiscard]] std::map<std::string, std::string> const& metadata() const noexcept {
        return metadata_;
    }
    [[nodiscard]] bool has_quantized() const noexcept;

    /// What config.json or the GGUF file names, e.g. "llama"; empty if nobody says.
    [[nodiscard]] std::string const& architecture() const noexcept { return architecture_; }

  private:
    void read_gguf();
    void read_shard(qtk::safetensors_file const& shard);
    void read_architecture();

    std::filesystem::path path_;
    std::vector<std::filesystem::path> files_;
    bool folder_ = false;
    std::string architecture_;
    std::shared_ptr<qtk::gguf_file const> gguf_;
    std::vector<std::shared_ptr<qtk::checkpoint const>> checkpoints_;
    std::map<std::string, std::string> metadata_;
    std::set<std::string> names_;
    std::vector<input_tensor> tensors_;
};

/// A name from a file as people may see it: without control characters, and not too long.
[[nodiscard]] std::string shown(std::string_view name);

/// The metadata key that lists matrices which were turned before they were quantized.
inline constexpr char const* transposed_key = "qtk.transposed";

}  // namespace app
