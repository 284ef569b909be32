// SPDX-License-Identifier: Apache-2.0
//
// How does a network find its weights in safetensors? Under Hugging Face's names; as floats, or where
// they lie: a matrix of F32, F16 or BF16 is then multiplied from the mapped file, and the file stays open
// for as long as a layer needs it.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/model/weights.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qtk {

/// What becomes of matrices when they are loaded.
enum class weight_loading : std::uint8_t {
    floats,  ///< decoded to floats: 4 bytes a weight
    stored   ///< borrowed from the mapped file where that is possible
};

class checkpoint_reader final : public weight_reader {
  public:
    explicit checkpoint_reader(std::shared_ptr<checkpoint const> file,
                               nonfinite policy = nonfinite::error,
                               weight_loading loading = weight_loading::floats)
        : file_(std::move(file)), policy_(policy), loading_(loading) {}

    [[nodiscard]] bool has(std::string_view name) const override {
        return file_->find(name) != nullptr;
    }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) override {
        return read(name, {size}, size);
    }
    [[nodiscard]] weight_matrix weight(std::string const& name, std::size_t rows,
                                       std::size_t cols) override {
        if (loading_ == weight_loading::stored && policy_ == nonfinite::error)
            if (auto view = stored(name, rows, cols)) return *std::move(view);
        std::vector<float> const values = read(name, {rows, cols}, cols);
        matrix m(rows, cols);
        std::ranges::copy(values, m.data());
        return m;
    }
    [[nodiscard]] weight_matrix transposed(std::string const& name, std::size_t rows,
                                           std::size_t cols) override {
        std::vector<float> const values = read(name, {cols, rows}, rows);
        matrix m(rows, cols);
        for (std::size_t c = 0; c < cols; ++c)
            for (std::size_t r = 0; r < rows; ++r) m(r, c) = values[c * rows + r];
        // What the file has in 16 bits needs no 32 here: the rounding finds the same values.
        if (loading_ == weight_loading::stored)
            if (auto const type = block_type(file_->at(name).type); type && *type != gguf_type::f32)
                return half_weight(m.view(), *type);
        return m;
    }
    void ignore(std::string const& name) override { used_.insert(name); }

    void require_all_used() const override {
        for (safetensors_file const& shard : file_->shards())
            for (tensor_info const& info : shard.tensors())
                if (!used_.contains(info.name))
                    throw io_error(shard.path(),
                                   "tensor " + qtk::quoted(info.name) +
                                       " has no place in the network that config.json describes. "
                                       "Hint: do both files come from one model?");
    }

  private:
    [[nodiscard]] static std::optional<gguf_type> block_type(dtype type) noexcept {
        switch (type) {
            case dtype::f32:
                return gguf_type::f32;
            case dtype::f16:
                return gguf_type::f16;
            case dtype::bf16:
                return gguf_type::bf16;
            default:
                return std::nullopt;
        }
    }

    [[nodiscard]] tensor_info const& checked(std::string const& name,
                                             std::vector<std::uint64_t> const& shape) {
        tensor_info const& info = file_->at(name);
        if (info.shape != shape)
            throw io_error(file_->path(), "tensor " + qtk::quoted(name) + ": config.json wants " +
                                              to_string(shape) + ", found " +
                                              to_string(info.shape));
        used_.insert(name);
        return info;
    }

    /// The tensor where it lies; nothing for types that have to be decoded first.
    [[nodiscard]] std::optional<weight_matrix> stored(std::string const& name, std::size_t rows,
                                                      std::size_t cols) {
        tensor_info const& info = checked(name, {rows, cols});
        std::optional<gguf_type> const type = block_type(info.type);
        if (!type) return std::nullopt;
        std::span<std::byte const> const raw = file_->bytes(info);
        auto const* const bytes = reinterpret_cast<std::uint8_t const*>(raw.data());
        stored_weight held{{*type, {bytes, raw.size()}, rows, cols}, file_};
        held.release = [](void const* file, std::span<std::uint8_t const> part) noexcept {
            static_cast<checkpoint const*>(file)->release(std::as_bytes(part));
        };
        require_finite(find_nonfinite(held.blocks), file_->path() + ": tensor " + qtk::quoted(name),
                       cols);
        held.release_pages();  // whoever needs them reads them again
        return weight_matrix(std::move(held));
    }

    std::vector<float> read(std::string const& name, std::vector<std::uint64_t> const& shape,
                            std::size_t cols) {
        std::vector<float> values = file_->floats(checked(name, shape));
        if (policy_ == nonfinite::error)
            require_finite(find_nonfinite(values), file_->path() + ": tensor " + qtk::quoted(name),
                           cols);
        else
            replace_nonfinite(values, policy_);
        return values;
    }

    std::shared_ptr<checkpoint const> file_;
    nonfinite policy_;
    weight_loading loading_;
    std::unordered_set<std::string> used_;
};

}  // namespace qtk
