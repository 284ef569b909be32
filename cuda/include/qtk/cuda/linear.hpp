// SPDX-License-Identifier: Apache-2.0
//
// Which kernel multiplies a layer? A linear holds 4-bit weights in device memory and picks by the
// number of rows, from one table that can be replaced:
//
//   rows    kernel         why
//   1-16    skinny_w4a16   bytes of weights are the limit; K is split where blocks are too few
//   17-     gemm_w4a16     weights are read once for 32 rows
//
// Nothing is allocated while multiplying: a workspace is made once, for one stream at a time.
#pragma once

#include <qtk/cuda/buffer.hpp>
#include <qtk/cuda/gemm_w4a16.hpp>
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/skinny_w4a16.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qtk::cuda {

enum class half_kernel : std::uint8_t { skinny, gemm };

/// Up to so many rows, this kernel; lines rise, the last one holds for the rest.
struct kernel_choice {
    std::size_t most_rows = 0;
    half_kernel kernel = half_kernel::gemm;
};
inline constexpr kernel_choice kernel_table[] = {{16, half_kernel::skinny},
                                                 {~std::size_t{0}, half_kernel::gemm}};

/// What the choice depends on besides the shape.
struct linear_options {
    std::span<kernel_choice const> table = kernel_table;
    unsigned multiprocessors = 40;  ///< of a T4
};

/// Memory for splitting K, zero at the start; of one stream at a time.
using workspace = buffer<std::uint32_t>;
[[nodiscard]] inline workspace make_workspace(std::size_t bytes, cudaStream_t stream) {
    workspace made(div_ceil(bytes, sizeof(std::uint32_t)));
    made.clear(stream);
    return made;
}

class linear {
  public:
    /// Packs and copies. Throws value_error for a scheme that the kernels do not take.
    linear(any_qmatrix const& q, cudaStream_t stream, linear_options const& options = {})
        : linear(pack(q), stream, options) {}
    linear(host_weight const& w, cudaStream_t stream, linear_options const& options = {})
        : scheme_(w.scheme),
          layout_(w.layout),
          options_(options),
          words_(w.words, stream),
          scales_(w.scales, stream),
          zeros_(w.zeros, stream) {
        if (w.scheme.element.bits != 4)
            throw value_error("cuda: linear: " + to_string(w.scheme) +
                              ": expected a scheme of 4 bits");
        if (options.table.empty()) throw value_error("cuda: linear: the table of kernels is empty");
        if (has_levels()) levels_ = level_bytes(levels_of(w.scheme.element));
    }

    [[nodiscard]] std::size_t in() const noexcept { return layout_.cols; }
    [[nodiscard]] std::size_t out() const noexcept { return layout_.rows; }
    /// Of the weights in device memory.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return words_.bytes() + scales_.bytes() + zeros_.bytes();
    }
    [[nodiscard]] half_kernel kernel_for(std::size_t m) const noexcept {
        for (kernel_choice const& line : options_.table)
            if (m <= line.most_rows) return line.kernel;
        return options_.table.back().kernel;
    }
    /// Over how many blocks K is split: until every multiprocessor has four, with at least eight
    /// chunks, one for each warp, in a share.
    [[nodiscard]] unsigned splits_for(std::size_t m) const noexcept {
        if (kernel_for(m) != half_kernel::skinny || layout_.tiles() == 0) return 1;
        std::size_t const wanted =
            div_ceil(std::size_t{4} * options_.multiprocessors, layout_.tiles());
        std::size_t const most = std::max<std::size_t>(layout_.chunks() / 8, 1);
        return static_cast<unsigned>(std::min(wanted, most));
    }
    /// What multiply needs for m rows.
    [[nodiscard]] std::size_t workspace_bytes(std::size_t m) const noexcept {
        unsigned const splits = splits_for(m);
        if (splits == 1) return 0;
        return sizeof(std::uint32_t) * layout_.tiles() * (1 + splits * m * tile_rows);
    }

    /// y [m, out] = x [m, in] W^T through y.end; x are halves, rows x_stride apart. Throws
    /// value_error for too small a workspace, cuda_error if the kernel cannot start.
    void multiply(std::uint16_t const* x, std::size_t x_stride, std::size_t m,
                  result_operand const& y, workspace& space, cudaStream_t stream) const {
        if (m == 0 || layout_.rows == 0) return;
        if (space.bytes() < workspace_bytes(m))
            throw value_error("cuda: linear: " + std::to_string(m) + " rows need a workspace of " +
                              std::to_string(workspace_bytes(m)) + " bytes, found " +
                              std::to_string(space.bytes()) + ". Hint: workspace_bytes(m)");
        half_arguments const a{weight(), x, x_stride, m, y, has_levels(), levels_};
        if (kernel_for(m) == half_kernel::gemm) return launch_gemm_w4a16(a, stream);
        auto* const sums = reinterpret_cast<float*>(space.data() + layout_.tiles());
        launch_skinny_w4a16(a, splits_for(m), {sums, space.data()}, stream);
    }

    /// The weights as a kernel takes them.
    [[nodiscard]] weight_operand weight() const noexcept {
        return {reinterpret_cast<uint4 const*>(words_.data()), scales_.data(), zeros_.data(),
                layout_, scheme_.scale == scale_type::f16 ? number::f16 : number::f32};
    }
    /// Back to what was packed.
    [[nodiscard]] any_qmatrix unpack(cudaStream_t stream) const {
        return cuda::unpack({scheme_, layout_, words_.to_host(stream), scales_.to_host(stream),
                             zeros_.to_host(stream)});
    }

  private:
    [[nodiscard]] bool has_levels() const noexcept { return !scheme_.element.is_integer(); }

    qtk::scheme scheme_;
    weight_layout layout_;
    linear_options options_;
    buffer<std::uint32_t> words_;
    buffer<std::uint8_t> scales_, zeros_;
    level_bytes levels_;
};

}  // namespace qtk::cuda
