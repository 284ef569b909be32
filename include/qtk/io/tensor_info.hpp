// SPDX-License-Identifier: Apache-2.0
//
// What does a file say about one of its tensors, and does it fit together? A tensor takes
//
//   product(shape) x bits of its type / 8   bytes
//
// and ends on a byte. Sides come from a file that nobody vouches for: products cannot wrap.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/io/dtype.hpp>
#include <qtk/io/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qtk {

/// One entry of the header of a safetensors file.
struct tensor_info {
    std::string name;
    dtype type = dtype::f32;
    std::vector<std::uint64_t> shape;  ///< Elements along each axis, the slowest first; none: one.
    /// Where its bytes lie, counted from the start of the data section. In a file that was read they
    /// tile that section: each tensor begins where another ends.
    std::uint64_t begin = 0, end = 0;
};

/// A shape as people write it: [4, 5].
[[nodiscard]] inline std::string to_string(std::vector<std::uint64_t> const& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

/// What a header claims before anybody reads by it: throws io_error naming the tensor unless [begin, end) is as long as its shape and type need.
inline void require_size(tensor_info const& info, std::string const& path) {
    auto const fail = [&](std::string const& what) {
        throw io_error(path, "tensor " + qtk::quoted(info.name) + ": " + what);
    };
    std::uint64_t bits = bits_of(info.type);
    try {
        for (std::uint64_t const side : info.shape) bits = checked_mul(bits, side);
    } catch (value_error const& e) {
        fail("the size of shape " + to_string(info.shape) + " overflows: " + e.what());
    }
    std::string const size =
        "shape " + to_string(info.shape) + " x " + std::string(name_of(info.type));
    if (bits % 8 != 0) fail(size + " does not end on a byte");
    if (info.end < info.begin || info.end - info.begin != bits / 8)
        fail("data_offsets [" + std::to_string(info.begin) + ", " + std::to_string(info.end) +
             ") but " + size + " needs " + std::to_string(bits / 8) + " bytes");
}

}  // namespace qtk
