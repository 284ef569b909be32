// SPDX-License-Identifier: Apache-2.0
//
// Does the file hold the tensors that this network needs? Reads them by name, checks each shape
// against the configuration and every value for NaN and infinity, and in the end that no tensor was
// left over: an unread weight means another network than the one that was built.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qtk {

/// Reads float tensors of a checkpoint. The checkpoint must outlive the reader.
class weight_reader {
  public:
    explicit weight_reader(checkpoint const& file, nonfinite policy = nonfinite::error)
        : file_(file), policy_(policy) {}

    [[nodiscard]] bool has(std::string_view name) const { return file_.find(name) != nullptr; }

    /// The `size` values of a tensor of one axis. Throws io_error if it is missing or has another
    /// shape, nonfinite_error unless the policy says otherwise.
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) {
        return read(name, {size}, size);
    }

    /// A tensor [rows, cols]; throws like vector().
    [[nodiscard]] matrix weight(std::string const& name, std::size_t rows, std::size_t cols) {
        std::vector<float> const values = read(name, {rows, cols}, cols);
        matrix m(rows, cols);
        std::copy(values.begin(), values.end(), m.data());
        return m;
    }

    /// [rows, cols] from a file that holds [cols, rows], as GPT-2's do; throws like vector().
    [[nodiscard]] matrix transposed(std::string const& name, std::size_t rows, std::size_t cols) {
        std::vector<float> const values = read(name, {cols, rows}, rows);
        matrix m(rows, cols);
        for (std::size_t c = 0; c < cols; ++c)
            for (std::size_t r = 0; r < rows; ++r) m(r, c) = values[c * rows + r];
        return m;
    }

    /// A tensor that the network can do without: a stored mask, a copy of a tied weight.
    void ignore(std::string const& name) { used_.insert(name); }

    /// Throws io_error naming the first tensor that was neither read nor ignored.
    void require_all_used() const {
        for (safetensors_file const& shard : file_.shards())
            for (tensor_info const& info : shard.tensors())
                if (!used_.contains(info.name))
                    throw io_error(shard.path(),
                                   "tensor " + qtk::quoted(info.name) +
                                       " has no place in the network that config.json describes. "
                                       "Hint: do both files come from one model?");
    }

  private:
    std::vector<float> read(std::string const& name, std::vector<std::uint64_t> const& shape,
                            std::size_t cols) {
        tensor_info const& info = file_.at(name);
        if (info.shape != shape)
            throw io_error(file_.path(), "tensor " + qtk::quoted(name) + ": config.json wants " +
                                             to_string(shape) + ", found " + to_string(info.shape));
        used_.insert(name);
        std::vector<float> values = file_.floats(info);
        if (policy_ == nonfinite::error)
            require_finite(find_nonfinite(values), file_.path() + ": tensor " + qtk::quoted(name),
                           cols);
        else
            replace_nonfinite(values, policy_);
        return values;
    }

    checkpoint const& file_;
    nonfinite policy_;
    std::unordered_set<std::string> used_;
};

}  // namespace qtk
