// SPDX-License-Identifier: Apache-2.0
//
// Which kernel multiplies a layer? A linear holds weights in device memory and picks by the number of
// rows, from one table that can be replaced:
//
//   rows    halves         integers         why
//   1-16    skinny_w4a16   skinny_integer   bytes of weights are the limit; halves split K where
//                                           blocks are too few
//   17-32   gemm_w4a16     skinny_integer   four blocks at most share weights through the second cache
//   33-     gemm_w4a16     gemm_integer     weights are read once for 64 rows
//
// Integers are what activations become on the way: int8 or int4, one scale a row or a group, or int8
// beside outlier columns that stay floats (LLM.int8()). Nothing is allocated while multiplying: a
// workspace is made once, for one stream at a time.
#pragma once

#include <qtk/cuda/buffer.hpp>
#include <qtk/cuda/gemm_integer.hpp>
#include <qtk/cuda/gemm_w4a16.hpp>
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/skinny_integer.hpp>
#include <qtk/cuda/skinny_w4a16.hpp>
#include <qtk/cuda/workspace.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qtk::cuda {

enum class kernel_kind : std::uint8_t { skinny, gemm };

/// Up to so many rows, these kernels; lines rise, the last one holds for the rest.
struct kernel_choice {
    std::size_t most_rows = 0;
    kernel_kind halves = kernel_kind::gemm, integers = kernel_kind::gemm;
};
inline constexpr kernel_choice kernel_table[] = {
    {16, kernel_kind::skinny, kernel_kind::skinny},
    {32, kernel_kind::gemm, kernel_kind::skinny},
    {~std::size_t{0}, kernel_kind::gemm, kernel_kind::gemm}};

/// What activations are while they are multiplied; codes have one scale a row of X or a segment
/// (quantize_rows.hpp). llm_int8: a8_row, but columns with an |x| of the threshold or more stay
/// floats (Dettmers et al. 2022, arXiv:2208.07339).
enum class device_activations : std::uint8_t { f16, a8_row, a8_group, a4_row, a4_group, llm_int8 };

/// What the choice depends on besides the shape.
struct linear_options {
    device_activations activations = device_activations::f16;
    float threshold = 6.0f;  ///< of llm_int8, above zero
    std::span<kernel_choice const> table = kernel_table;
    unsigned multiprocessors = 40;  ///< of a T4
};

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
        require_options();
        if (has_levels()) levels_ = level_bytes(levels_of(scheme_.element));
    }

    [[nodiscard]] std::size_t in() const noexcept { return layout_.cols; }
    [[nodiscard]] std::size_t out() const noexcept { return layout_.rows; }
    /// Of the weights in device memory.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return words_.bytes() + scales_.bytes() + zeros_.bytes();
    }
    [[nodiscard]] kernel_kind kernel_for(std::size_t m) const noexcept {
        auto const line = std::find_if(options_.table.begin(), options_.table.end() - 1,
                                       [&](kernel_choice const& c) { return m <= c.most_rows; });
        return has_codes() ? line->integers : line->halves;
    }
    /// Over how many blocks K is split: until every multiprocessor has four of 256 threads, or two of
    /// the larger ones, with at least eight chunks in a share. Integers are not split.
    [[nodiscard]] unsigned splits_for(std::size_t m) const noexcept {
        std::size_t const blocks = places_for(m);
        if (has_codes() || blocks == 0 || blocks > workspace_counters) return 1;
        std::size_t const each = kernel_for(m) == kernel_kind::skinny && m <= 8 ? 4 : 2;
        std::size_t const most = std::max<std::size_t>(layout_.chunks() / 8, 1);
        return static_cast<unsigned>(
            std::min(div_ceil(each * options_.multiprocessors, blocks), most));
    }
    /// What multiply needs for m rows.
    [[nodiscard]] std::size_t workspace_bytes(std::size_t m) const {
        workspace_cutter counted;
        if (!has_codes()) {
            static_cast<void>(cut_split(m, counted));
        } else {
            static_cast<void>(cut_codes(m, counted));
            if (has_outliers()) static_cast<void>(cut_outliers(counted));
        }
        return counted.used();
    }

    /// y [m, out] = x [m, in] W^T through y.end; x are halves, or floats too where they become codes.
    /// Throws value_error for too small a workspace, for floats that stay floats and for what a
    /// kernel does not take; cuda_error if it cannot start.
    void multiply(numbers_in const& x, std::size_t m, result_operand const& y, workspace& space,
                  cudaStream_t stream) const {
        if (m == 0 || layout_.rows == 0) return;
        require_workspace("linear", m, workspace_bytes(m), space);
        workspace_cutter cutter(space);
        bool const is_skinny = kernel_for(m) == kernel_kind::skinny;
        if (has_codes()) {
            integer_arguments a{weight(), cut_codes(m, cutter), y, {}};
            outlier_list const found = has_outliers() ? cut_outliers(cutter) : outlier_list{};
            if (has_outliers()) {
                launch_find_outliers(x, m, layout_.cols, options_.threshold, found, stream);
                a.outliers = {found.columns, found.count, x};
            }
            launch_quantize_rows({x, found.flags}, a.x, stream);
            return is_skinny ? launch_skinny_integer(a, stream) : launch_gemm_integer(a, stream);
        }
        if (x.type != number::f16)
            throw value_error(
                "cuda: linear: expected halves, found floats. Hint: activations that "
                "become int8 may be floats");
        half_arguments const a{
            weight(), static_cast<std::uint16_t const*>(x.data), x.stride, m, y, has_levels(),
            levels_};
        unsigned const splits = splits_for(m);
        split_operand const split = cut_split(m, cutter);
        return is_skinny ? launch_skinny_w4a16(a, splits, split, stream)
                         : launch_gemm_w4a16(a, splits, split, stream);
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
    void require_options() const {
        using enum device_activations;
        auto const refuse = [&](char const* what) {
            throw value_error("cuda: linear: " + to_string(scheme_) + ": " + what);
        };
        if (options_.table.empty())
            throw value_error("cuda: linear: the table of kernels is empty");
        bool const is_narrow = options_.activations == a4_row || options_.activations == a4_group;
        if (scheme_.element.bits != 4 && (!has_codes() || is_narrow))
            refuse("expected a scheme of 4 bits. Hint: 8 bits multiply int8 activations");
        if (has_levels() && has_codes())
            refuse(
                "expected integer weights for integer activations. Hint: codebooks multiply "
                "halves");
        if (has_outliers() && !(options_.threshold > 0.0f))
            refuse("expected a threshold above 0. Hint: 6, or infinity for no outliers");
        if (has_codes()) static_cast<void>(segment_for(layout_, has_row_scales()));
    }
    [[nodiscard]] bool has_levels() const noexcept { return !scheme_.element.is_integer(); }
    [[nodiscard]] bool has_codes() const noexcept {
        return options_.activations != device_activations::f16;
    }
    [[nodiscard]] bool has_row_scales() const noexcept {
        return options_.activations == device_activations::a8_row ||
               options_.activations == device_activations::a4_row || has_outliers();
    }
    [[nodiscard]] bool has_outliers() const noexcept {
        return options_.activations == device_activations::llm_int8;
    }
    /// Places in which shares meet.
    [[nodiscard]] std::size_t places_for(std::size_t m) const noexcept {
        return kernel_for(m) == kernel_kind::skinny
                   ? div_ceil(layout_.tiles(), std::size_t{skinny_tiles(m)})
                   : gemm_grid(m, layout_).blocks();
    }
    [[nodiscard]] split_operand cut_split(std::size_t m, workspace_cutter& from) const {
        unsigned const splits = splits_for(m);
        if (splits == 1) return {};
        return {from.take<float>(splits * m * layout_.tiles() * tile_rows), from.counters()};
    }
    [[nodiscard]] activation_codes cut_codes(std::size_t m, workspace_cutter& from) const {
        using enum device_activations;
        activation_codes codes;
        codes.m = m, codes.cols = layout_.cols;
        codes.has_row_scales = has_row_scales();
        codes.segment = segment_for(layout_, codes.has_row_scales);
        codes.bits = options_.activations == a4_row || options_.activations == a4_group ? 4 : 8;
        codes.codes = from.take<std::uint8_t>(m * codes.row_bytes());
        codes.scales = from.take<float>(m * (codes.has_row_scales ? 1 : codes.segments()));
        codes.sums = from.take<std::int32_t>(m * codes.segments());
        return codes;
    }

    [[nodiscard]] outlier_list cut_outliers(workspace_cutter& from) const {
        return {from.take<std::uint8_t>(layout_.cols), from.take<std::uint32_t>(layout_.cols),
                from.take<std::uint32_t>(1)};
    }

    qtk::scheme scheme_;
    weight_layout layout_;
    linear_options options_;
    buffer<std::uint32_t> words_;
    buffer<std::uint8_t> scales_, zeros_;
    level_bytes levels_;
};

}  // namespace qtk::cuda
