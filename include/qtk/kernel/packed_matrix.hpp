// SPDX-License-Identifier: Apache-2.0
//
// Who owns weights that are ready to be multiplied? packed_matrix holds the stream that
// packed_layout.hpp describes, with the scheme it came from; prepack() in prepack.hpp makes one from
// a quantized matrix and unpack() makes that matrix again. packed_view is what kernels see of it.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/integer_levels.hpp>
#include <qtk/kernel/packed_layout.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace qtk {

/// Packed weights W [rows, cols] as kernels see them; borrows the stream.
struct packed_view {
    std::uint8_t const* data = nullptr;
    packed_layout layout;
    format element = i8;
    float tensor_scale = 1.0f;  ///< every scale in a header is multiplied by it

    [[nodiscard]] std::uint8_t const* panel(std::size_t p) const noexcept {
        return data + p * layout.panel_bytes;
    }
    [[nodiscard]] std::uint8_t const* block(std::size_t p, std::size_t g) const noexcept {
        return panel(p) + g * layout.block_bytes;
    }
};

/// Scale and zero field of one output in a block's header, the tensor scale not applied.
struct header_params {
    float scale = 0.0f;
    int zero = 0;
};
[[nodiscard]] inline header_params read_header(packed_layout const& layout,
                                               std::uint8_t const* block,
                                               std::size_t column) noexcept {
    std::size_t const bytes = scale_bytes(layout.scale);
    std::uint32_t pattern = 0;
    for (std::size_t b = 0; b < bytes; ++b)
        pattern |= std::uint32_t{block[column * bytes + b]} << (8 * b);
    return {load_scale(layout.scale, pattern),
            layout.has_zero ? block[panel_columns * bytes + column] : 0};
}

/// Owns a stream. Moves; copies only through prepack of the same codes.
class packed_matrix {
  public:
    packed_matrix() = default;
    /// A stream of the right size whose bytes are not yet set. Throws value_error for a scheme that
    /// makes no sense.
    packed_matrix(qtk::scheme const& s, std::size_t rows, std::size_t cols,
                  float tensor_scale = 1.0f)
        : scheme_(require_valid(s)), bytes_(packed_layout(s, rows, cols).bytes) {
        view_.data = bytes_.data();
        view_.layout = packed_layout(s, rows, cols);
        view_.element = s.element;
        view_.tensor_scale = tensor_scale;
    }
    packed_matrix(packed_matrix&& other) noexcept
        : scheme_(other.scheme_),
          view_(std::exchange(other.view_, {})),
          bytes_(std::move(other.bytes_)) {}
    packed_matrix& operator=(packed_matrix&& other) noexcept {
        scheme_ = other.scheme_;
        view_ = std::exchange(other.view_, {});
        bytes_ = std::move(other.bytes_);
        return *this;
    }

    [[nodiscard]] qtk::scheme const& scheme() const noexcept { return scheme_; }
    [[nodiscard]] std::size_t rows() const noexcept { return view_.layout.rows; }
    [[nodiscard]] std::size_t cols() const noexcept { return view_.layout.cols; }
    /// Bytes of the stream: codes, scales, zeros, and what fills panels and groups up.
    [[nodiscard]] std::size_t bytes() const noexcept { return view_.layout.bytes; }
    [[nodiscard]] packed_view const& view() const noexcept { return view_; }
    [[nodiscard]] std::uint8_t* data() noexcept { return bytes_.data(); }

  private:
    static qtk::scheme const& require_valid(qtk::scheme const& s) {
        if (char const* fault = fault_of(s))
            throw value_error("packed_matrix: " + std::string(fault));
        return s;
    }

    qtk::scheme scheme_{};
    packed_view view_{};
    aligned_bytes bytes_;
};

}  // namespace qtk
