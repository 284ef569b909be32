// SPDX-License-Identifier: Apache-2.0
//
// Of which shape is the network that these tensors make? Vision models are published without a
// configuration that says it: a network is asked from the names and shapes of its tensors. Every tensor
// is checked when it is read, and in the end none may be left over: an unread weight means another network
// than the one that was built.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qtk {

class vision_reader {
  public:
    explicit vision_reader(std::shared_ptr<checkpoint const> file,
                           nonfinite policy = nonfinite::error)
        : file_(std::move(file)), policy_(policy) {}

    [[nodiscard]] std::string const& path() const noexcept { return file_->path(); }
    [[nodiscard]] bool has(std::string_view name) const { return file_->find(name) != nullptr; }

    /// The extents of a tensor of `axes` axes, none of them zero. Throws io_error if the tensor is
    /// missing or of another kind.
    [[nodiscard]] std::vector<std::size_t> shape(std::string const& name, std::size_t axes) const {
        tensor_info const& info = file_->at(name);
        if (info.shape.size() != axes || std::ranges::find(info.shape, 0u) != info.shape.end())
            refuse(name, std::to_string(axes) + " axes of at least 1", to_string(info.shape));
        return {info.shape.begin(), info.shape.end()};
    }

    /// The values of a tensor, row-major. Throws io_error if it is missing, has another shape or no
    /// floats; nonfinite_error unless the policy says otherwise.
    [[nodiscard]] std::vector<float> floats(std::string const& name,
                                            std::vector<std::uint64_t> const& shape) {
        tensor_info const& info = file_->at(name);
        if (info.shape != shape) refuse(name, to_string(shape), to_string(info.shape));
        used_.insert(name);
        std::vector<float> values = file_->floats(info);
        if (policy_ == nonfinite::error)
            require_finite(find_nonfinite(values), path() + ": tensor " + qtk::quoted(name),
                           shape.empty() ? 0 : static_cast<std::size_t>(shape.back()));
        else
            replace_nonfinite(values, policy_);
        return values;
    }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) {
        return floats(name, {size});
    }
    [[nodiscard]] qtk::matrix matrix(std::string const& name, std::size_t rows, std::size_t cols) {
        std::vector<float> const values = floats(name, {rows, cols});
        qtk::matrix m(rows, cols);
        std::ranges::copy(values, m.data());
        return m;
    }

    /// What the first file says of itself under that key; empty if it says nothing.
    [[nodiscard]] std::string metadata(std::string const& key) const {
        for (safetensors_file const& shard : file_->shards())
            if (auto const found = shard.metadata().find(key); found != shard.metadata().end())
                return found->second;
        return {};
    }

    /// A tensor that the network can do without.
    void ignore(std::string const& name) { used_.insert(name); }

    /// Throws io_error naming the first tensor that was neither read nor ignored; `network` is what
    /// has no place for it.
    void require_all_used(std::string_view network) const {
        for (safetensors_file const& shard : file_->shards())
            for (tensor_info const& info : shard.tensors())
                if (!used_.contains(info.name))
                    throw io_error(shard.path(), "tensor " + qtk::quoted(info.name) +
                                                     " has no place in " + std::string(network));
    }

    /// Throws the io_error of a tensor that is not as it should be.
    [[noreturn]] void refuse(std::string const& name, std::string const& expected,
                             std::string const& found) const {
        throw io_error(
            path(), "tensor " + qtk::quoted(name) + ": expected " + expected + ", found " + found);
    }

  private:
    std::shared_ptr<checkpoint const> file_;
    nonfinite policy_;
    std::unordered_set<std::string> used_;
};

}  // namespace qtk
