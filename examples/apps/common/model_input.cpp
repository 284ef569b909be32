// SPDX-License-Identifier: Apache-2.0
#include "model_input.hpp"

#include <qtk/core/spelling.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/strict_json.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace app {

namespace fs = std::filesystem;

namespace {

/// GPT-2's layers hold [in, out] (Conv1D).
[[nodiscard]] bool is_conv1d(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 4> endings{".attn.c_attn.weight", ".attn.c_proj.weight",
                                                      ".mlp.c_fc.weight", ".mlp.c_proj.weight"};
    return std::ranges::any_of(endings, [&](std::string_view e) { return name.ends_with(e); });
}

[[nodiscard]] std::set<std::string> words_of(std::string const& text) {
    std::set<std::string> words;
    for (std::size_t start = 0; start < text.size();) {
        std::size_t const end = std::min(text.find(' ', start), text.size());
        if (end > start) words.insert(text.substr(start, end - start));
        start = end + 1;
    }
    return words;
}

}  // namespace

model_input model_input::open(std::vector<fs::path> const& paths) {
    model_input input;
    input.path_ = paths.front();
    bool const is_one = paths.size() == 1;
    input.folder_ = is_one && fs::is_directory(input.path_);
    if (is_one && input.path_.extension() == ".gguf") {
        input.gguf_ = std::make_shared<qtk::gguf_file const>(qtk::gguf_file::open(input.path_));
        input.files_ = paths;
        input.read_gguf();
        return input;
    }
    input.read_architecture();
    for (fs::path const& path : paths) {
        auto const opened = std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(path));
        input.checkpoints_.push_back(opened);
        for (qtk::safetensors_file const& shard : opened->shards()) {
            input.files_.emplace_back(shard.path());
            input.read_shard(shard);
        }
    }
    return input;
}

std::string shown(std::string_view name) {
    std::string text = qtk::quoted(name, 160);
    text.erase(text.rfind('"'), 1);
    return text.erase(0, 1);
}

bool model_input::has_quantized() const noexcept {
    return std::ranges::any_of(tensors_, &input_tensor::is_quantized);
}

void model_input::read_gguf() {
    architecture_ = gguf_->metadata().get_or<std::string>("general.architecture", "");
    for (qtk::gguf_tensor const& tensor : gguf_->tensors()) {
        std::vector<std::uint64_t> shape(tensor.dims.begin(),
                                         tensor.dims.begin() + static_cast<long>(tensor.rank));
        std::ranges::reverse(shape);
        tensors_.push_back({std::string(tensor.name), std::string(qtk::name_of(tensor.type)),
                            std::move(shape), tensor.bytes, rows_of(*gguf_, tensor)});
    }
}

void model_input::read_architecture() {
    fs::path const config = folder_ ? path_ / "config.json" : path_.parent_path() / "config.json";
    if (!fs::exists(config)) return;
    auto const file =
        qtk::mapped_file::open(config, qtk::io_mode::read, qtk::io_limits{}.json_bytes);
    auto const json = qtk::parse_strict_json(file.text(), file.path());
    if (folder_) files_.push_back(config);
    auto const& type = qtk::json_fields::member(json, "model_type");
    if (type.is_string()) architecture_ = type.get<std::string>();
}

void model_input::read_shard(qtk::safetensors_file const& shard) {
    std::set<std::string> parts, transposed;
    for (auto const& [key, value] : shard.metadata()) {
        std::string const name = key.starts_with("qtk.") ? key.substr(4) : "";
        if (key == transposed_key) {
            transposed = words_of(value);
        } else if (name.empty() || !qtk::has_qmatrix(shard, name)) {
            metadata_[key] = value;
        } else {
            for (char const* const ending : {".codes", ".scales", ".zeros", ".tensor_scale"})
                parts.insert(name + ending);
        }
    }
    auto const add = [&](input_tensor tensor) {
        if (!names_.insert(tensor.name).second)
            throw qtk::io_error(shard.path(), "the tensor " + qtk::quoted(tensor.name) +
                                                  " is also in another file");
        tensors_.push_back(std::move(tensor));
    };
    bool const has_conv1d = architecture_.empty() || architecture_ == "gpt2";
    for (qtk::tensor_info const& info : shard.tensors()) {
        if (parts.contains(info.name)) {
            if (!info.name.ends_with(".codes")) continue;
            std::string const name = info.name.substr(0, info.name.size() - 6);
            qtk::stored_qmatrix const q = qtk::find_qmatrix(shard, name);
            bool const is_turned = transposed.contains(name);
            std::uint64_t const bytes = q.codes.size() + q.scales.size() + q.zeros.size() +
                                        (q.scheme.scale == qtk::scale_type::e4m3 ? 4 : 0);
            std::vector<std::uint64_t> shape{q.rows(), q.cols()};
            if (is_turned) std::swap(shape[0], shape[1]);
            add({name, qtk::to_string(q.scheme), std::move(shape), bytes,
                 rows_of(shard, q, is_turned), nullptr, true});
            continue;
        }
        bool const is_turned = has_conv1d && info.shape.size() == 2 && is_conv1d(info.name);
        add({info.name, std::string(qtk::name_of(info.type)), info.shape, info.end - info.begin,
             rows_of(shard, info), is_turned ? transposed_rows_of(shard, info) : nullptr});
    }
}

}  // namespace app
