// SPDX-License-Identifier: Apache-2.0
//
// Any text as model.safetensors.index.json beside two files: a refusal, or a checkpoint of those two
// alone, although a link and a name beside them lead elsewhere.
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/safetensors_writer.hpp>

#include "scratch_folder.hpp"

namespace {

/// A folder with two shards, and a third that it must not let in.
class shards {
  public:
    shards() {
        std::filesystem::create_directory(folder());
        for (char const* const name : {"a", "b", "c"}) {
            std::vector<float> const values(4, 1.0f);
            qtk::safetensors_writer writer;
            writer.add(std::string("tensor_") + name, qtk::dtype::f32, {2, 2},
                       std::as_bytes(std::span(values)));
            bool const is_outside = *name == 'c';
            writer.write((is_outside ? root_.path() : folder()) /
                         (std::string(name) + ".safetensors"));
        }
        std::filesystem::create_symlink("../c.safetensors", folder() / "link.safetensors");
    }
    [[nodiscard]] std::filesystem::path folder() const { return root_.path() / "model"; }

  private:
    fuzz::scratch_folder root_;
};

}  // namespace

QTK_FUZZ_TARGET(index) {
    static shards const files;
    fuzz::write_file(files.folder() / "model.safetensors.index.json", data, size);
    try {
        auto const found = qtk::checkpoint::open(files.folder());
        fuzz::require(found.find("tensor_c") == nullptr);
        for (auto const& shard : found.shards())
            for (auto const& tensor : shard.tensors())
                fuzz::require(found.bytes(found.at(tensor.name)).size() == 16);
    } catch (qtk::error const&) {
    }
    return 0;
}
