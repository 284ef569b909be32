// SPDX-License-Identifier: Apache-2.0
//
// How much may a file ask of us? Every count and length that a reader takes from a file is held
// against one of these bounds before anything is allocated. The defaults are far above all
// published models; a program raises a field where a user says so.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qtk {

struct io_limits {
    /// Bytes of a safetensors header; the format's own limit.
    std::uint64_t safetensors_header_bytes = 100'000'000;
    std::size_t tensors = std::size_t{1} << 21;
    std::size_t tensor_name_bytes = 4096;
    std::size_t tensor_rank = 8;
    /// Bytes of all keys and values of `__metadata__` together.
    std::size_t metadata_bytes = std::size_t{16} << 20;
    /// Files of one model.
    std::size_t shards = 4096;
    /// Bytes of a JSON file; tokenizer.json is the largest kind.
    std::uint64_t json_bytes = std::uint64_t{256} << 20;
    /// How deep objects and arrays of a JSON file may nest.
    std::size_t json_depth = 8;
    /// Tokens of a vocabulary.
    std::size_t vocabulary = std::size_t{1} << 22;
    /// Keys of a GGUF file, and bytes of one; the format's own limit.
    std::uint64_t gguf_keys = std::uint64_t{1} << 20;
    std::uint64_t gguf_key_bytes = 65'535;
    /// Bytes of a string that is a value, and of one in an array (a token).
    std::uint64_t gguf_string_bytes = std::uint64_t{16} << 20;
    std::uint64_t gguf_token_bytes = std::uint64_t{1} << 20;
    std::uint64_t gguf_array_elements = std::uint64_t{1} << 26;
    /// Bytes of one token; published vocabularies stay below 600.
    std::size_t token_bytes = 1024;
    /// Bytes of a split pattern in tokenizer.json.
    std::size_t pattern_bytes = std::size_t{16} << 10;
    /// Pixels along a side of an image, and in all of it; the largest of ImageNet has 6 * 10^7.
    std::uint64_t image_side = std::uint64_t{1} << 15;
    std::uint64_t image_pixels = std::uint64_t{1} << 26;
    /// Bytes of the file of one image.
    std::uint64_t image_file_bytes = std::uint64_t{64} << 20;
    /// Bytes of all pixels of a set that is held in memory.
    std::uint64_t image_set_bytes = std::uint64_t{8} << 30;
    /// Images of a folder, and classes: a label has 16 bits.
    std::size_t images = std::size_t{1} << 24;
    std::size_t classes = 65'536;
};

}  // namespace qtk
