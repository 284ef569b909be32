// SPDX-License-Identifier: Apache-2.0
//
// Where are the weights of this model? A single .safetensors file, a folder with model.safetensors,
// or a folder whose model.safetensors.index.json maps tensor names to several files ("shards").
// Shards must lie in the folder itself: paths that lead out of it, by name or by link, are refused.
#pragma once

#include <qtk/io/safetensors.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qtk {

class checkpoint {
  public:
    /// Throws system_error if nothing is there, io_error if a file breaks a rule or the index and
    /// the shards disagree.
    [[nodiscard]] static checkpoint open(std::filesystem::path const& path,
                                         io_limits const& limits = {}) {
        namespace fs = std::filesystem;
        checkpoint result;
        result.path_ = path.string();
        if (!fs::is_directory(path)) {
            result.add_shard(safetensors_file::open(path, limits));
        } else if (fs::path const index = path / "model.safetensors.index.json";
                   fs::exists(index)) {
            result.read_index(path, index, limits);
        } else {
            result.add_shard(safetensors_file::open(path / "model.safetensors", limits));
        }
        return result;
    }

    [[nodiscard]] std::string const& path() const noexcept { return path_; }
    [[nodiscard]] std::vector<safetensors_file> const& shards() const noexcept { return shards_; }

    [[nodiscard]] tensor_info const* find(std::string_view name) const {
        auto const found = owner_.find(std::string(name));
        return found == owner_.end() ? nullptr : shards_[found->second].find(name);
    }
    /// Throws io_error naming the missing tensor and the nearest name there is.
    [[nodiscard]] tensor_info const& at(std::string_view name) const {
        if (tensor_info const* const info = find(name)) return *info;
        std::vector<std::string_view> names;
        for (auto const& [known, shard] : owner_) names.push_back(known);
        std::string const nearest = detail::nearest_name(names, name);
        throw io_error(path_,
                       "the tensor " + qtk::quoted(name) + " is missing" +
                           (nearest.empty() ? "" : ". Hint: there is " + qtk::quoted(nearest)));
    }
    [[nodiscard]] std::span<std::byte const> bytes(tensor_info const& info) const {
        return shard_of(info).bytes(info);
    }
    [[nodiscard]] std::vector<float> floats(tensor_info const& info) const {
        return shard_of(info).floats(info);
    }
    /// Lets the system take back the memory behind bytes of a tensor; they can still be read.
    void release(std::span<std::byte const> part) const noexcept {
        for (safetensors_file const& shard : shards_) shard.release(part);
    }

  private:
    [[nodiscard]] safetensors_file const& shard_of(tensor_info const& info) const {
        return shards_[owner_.at(info.name)];
    }

    void add_shard(safetensors_file file) {
        for (tensor_info const& info : file.tensors())
            if (!owner_.emplace(info.name, shards_.size()).second)
                throw io_error(file.path(),
                               "the tensor " + qtk::quoted(info.name) + " is also in another file");
        shards_.push_back(std::move(file));
    }

    void read_index(std::filesystem::path const& folder, std::filesystem::path const& index,
                    io_limits const& limits) {
        mapped_file const file = mapped_file::open(index, io_mode::read, limits.json_bytes);
        nlohmann::json const json = parse_strict_json(file.text(), file.path(), limits);
        auto const map = json.is_object() ? json.find("weight_map") : json.end();
        if (!json.is_object() || map == json.end() || !map->is_object())
            throw io_error(file.path(), "weight_map is missing or no object");
        std::map<std::string, std::vector<std::string>> tensors_of;
        for (auto const& [tensor, shard] : map->items()) {
            if (!shard.is_string())
                throw io_error(file.path(),
                               "weight_map: the file of " + qtk::quoted(tensor) + " is no string");
            tensors_of[shard.get<std::string>()].push_back(tensor);
        }
        if (tensors_of.size() > limits.shards)
            throw io_error(file.path(), std::to_string(tensors_of.size()) +
                                            " files, more than the limit of " +
                                            std::to_string(limits.shards));
        for (auto const& [name, tensors] : tensors_of) {
            require_inside(folder, name, file.path());
            add_shard(safetensors_file::open(folder / name, limits));
            for (std::string const& tensor : tensors)
                if (shards_.back().find(tensor) == nullptr)
                    throw io_error(file.path(), "the tensor " + qtk::quoted(tensor) +
                                                    " is not in " + qtk::quoted(name));
        }
    }

    /// A shard is a plain file name, and a link must not lead out of the folder.
    static void require_inside(std::filesystem::path const& folder, std::string const& name,
                               std::string const& index) {
        namespace fs = std::filesystem;
        fs::path const shard(name);
        if (name.empty() || shard.is_absolute() || shard.has_parent_path() || name == "..")
            throw io_error(
                index, "weight_map: " + qtk::quoted(name) + " is not a file name in this folder");
        std::error_code failure;
        fs::path const real = fs::weakly_canonical(folder / shard, failure);
        if (failure || real.parent_path() != fs::weakly_canonical(folder, failure))
            throw io_error(index, "weight_map: " + qtk::quoted(name) + " leads out of this folder");
    }

    checkpoint() = default;

    std::string path_;
    std::vector<safetensors_file> shards_;
    std::unordered_map<std::string, std::size_t> owner_;
};

}  // namespace qtk
