// SPDX-License-Identifier: Apache-2.0
//
// How is one panel packed and unpacked fast? Units of 32 rows go through the vector kernels of
// avx2/prepack.hpp and avx512/prepack.hpp, out of a window on the rows that fits the first cache;
// what has not all rows or columns is filled up with zeros first. Groups that do not begin on a byte
// (odd lengths of odd bits), and machines without those kernels, go field by field.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/qmatrix_view.hpp>
#include <qtk/kernel/avx2/prepack.hpp>
#include <qtk/kernel/avx512/prepack.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/prepack_scalar.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace qtk::detail {
inline namespace QTK_ABI_NS {

/// Units of 32 rows, both ways; null where one field at a time is all there is.
struct unit_packer {
    void (*stage)(std::uint8_t const* from, std::size_t stride, std::size_t count,
                  std::size_t bytes, std::uint8_t* to) = nullptr;
    void (*pack)(std::uint8_t const* from, std::size_t stride, std::size_t count, std::size_t size,
                 std::uint8_t* to) = nullptr;
    void (*unpack)(std::uint8_t const* from, std::size_t count, std::size_t size, std::uint8_t* to,
                   std::size_t stride) = nullptr;
};
[[nodiscard]] inline unit_packer unit_packer_for([[maybe_unused]] instruction_set isa,
                                                 [[maybe_unused]] int bits) noexcept {
    unit_packer packer;
#if QTK_HAS_X86
    auto const choose = [&]<int B>() {
        if (isa == instruction_set::avx512 || isa == instruction_set::amx)
            packer = {&avx512::stage_rows, &avx512::pack_units<B>, &avx512::unpack_units<B>};
        else if (isa == instruction_set::avx2)
            packer = {&avx2::stage_rows, &avx2::pack_units<B>, &avx2::unpack_units<B>};
    };
    switch (bits) {
        case 2:
            choose.template operator()<2>();
            break;
        case 3:
            choose.template operator()<3>();
            break;
        case 4:
            choose.template operator()<4>();
            break;
        case 5:
            choose.template operator()<5>();
            break;
        case 6:
            choose.template operator()<6>();
            break;
        case 7:
            choose.template operator()<7>();
            break;
        case 8:
            choose.template operator()<8>();
            break;
        default:
            break;
    }
#endif
    return packer;
}

/// Does every group begin on a byte? The others go field by field.
[[nodiscard]] inline bool has_whole_bytes(packed_layout const& w, int bits) noexcept {
    return w.groups <= 1 || w.group % 8 * static_cast<std::size_t>(bits) % 8 == 0;
}

/// Where the codes of a unit lie in a row: full units, and what a last one that is not full holds.
struct group_place {
    std::size_t first_byte = 0, full = 0, rest = 0;

    group_place(packed_layout const& w, int bits, std::size_t g) noexcept {
        std::size_t const left = g * w.group, width = std::min(w.group, w.cols - left);
        first_byte = packed_bytes(left, bits);
        full = width / unit_depth;
        rest = width % unit_depth;
    }
};

/// The rows of one panel, a stretch at a time, where they are read fast. Rows that the matrix does
/// not have are zero.
class row_window {
  public:
    row_window(unit_packer const& kernel, qmatrix_view const& q, std::size_t p)
        : kernel_(&kernel),
          codes_(q.codes().subspan(p * panel_columns * q.row_bytes())),
          stride_(q.row_bytes()),
          count_(std::min(q.rows() - p * panel_columns, panel_columns)),
          ahead_(std::min(panel_columns * stride_, codes_.size())) {}

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// Byte `first` of every row, stage_stride apart; `bytes` from there on, at most 32, are there.
    [[nodiscard]] std::uint8_t const* at(std::size_t first, std::size_t bytes) noexcept {
        if (first < begin_ || first + bytes > end_) {
            begin_ = first;
            end_ = std::min(stride_, first + stage_bytes);
            kernel_->stage(codes_.data() + begin_, stride_, count_, end_ - begin_, window_.data());
        }
        return window_.data() + (first - begin_);
    }
    [[nodiscard]] std::size_t bytes_from(std::size_t first) const noexcept { return end_ - first; }

    /// Fetches the next `bytes` of the panel that comes next. Rows of one panel are many short
    /// streams; a whole panel is one, which the memory can keep up with.
    void fetch_ahead(std::size_t bytes) noexcept {
        std::size_t const until = std::min(codes_.size(), ahead_ + bytes);
        for (; ahead_ < until; ahead_ += cache_line)
            __builtin_prefetch(codes_.data() + ahead_, 0, 2);
    }

  private:
    unit_packer const* kernel_;
    std::span<std::uint8_t const> codes_;
    std::size_t stride_, count_, ahead_, begin_ = 0, end_ = 0;
    alignas(64) std::array<std::uint8_t, panel_columns * stage_stride> window_{};
};

/// Packs panels of one matrix.
class panel_packer {
  public:
    panel_packer(instruction_set isa, qmatrix_view const& q, packed_layout const& to)
        : q_(&q), to_(&to), bits_(q.scheme().element.bits) {
        if (has_whole_bytes(to, bits_)) kernel_ = unit_packer_for(isa, bits_);
        if (kernel_.pack != nullptr && scale_bytes(q.scheme().scale) == 1)
            for (std::uint32_t i = 0; i < 256; ++i)
                wide_scale_[i] = static_cast<std::uint16_t>(header_scale(q.scheme().scale, i));
    }

    void pack(std::size_t p, std::uint8_t* panel) const {
        if (kernel_.pack == nullptr) {
            std::vector<std::uint8_t> fields(q_->cols());
            return scalar::pack_panel(*q_, *to_, p, panel, fields);
        }
        pack_headers(p, panel);
        row_window rows(kernel_, *q_, p);
        for (std::size_t g = 0; g < to_->groups; ++g)
            pack_group(rows, g, panel + g * to_->block_bytes + to_->header_bytes);
    }

  private:
    void pack_group(row_window& rows, std::size_t g, std::uint8_t* to) const noexcept {
        group_place const at(*to_, bits_, g);
        auto const unit = static_cast<std::size_t>(4 * bits_);
        std::size_t from = at.first_byte;
        for (std::size_t left = at.full; left > 0;) {
            std::uint8_t const* const codes = rows.at(from, unit);
            std::size_t const n = std::min({left, std::size_t{4}, rows.bytes_from(from) / unit});
            rows.fetch_ahead(n * unit * panel_columns);
            kernel_.pack(codes, stage_stride, n, to_->unit_bytes, to);
            left -= n;
            from += n * unit;
            to += n * to_->unit_bytes;
        }
        if (at.rest != 0) pack_rest(rows, from, at.rest, to);
    }

    /// A unit of fewer than 32 columns.
    void pack_rest(row_window& rows, std::size_t from, std::size_t width,
                   std::uint8_t* to) const noexcept {
        constexpr std::size_t stride = unit_depth;
        std::array<std::uint8_t, panel_columns * stride> filled{};
        std::size_t const bytes = packed_bytes(width, bits_);
        std::uint8_t const* const codes = rows.at(from, bytes);
        std::size_t const over = width * static_cast<std::size_t>(bits_) % 8;
        for (std::size_t c = 0; c < rows.count(); ++c) {
            std::uint8_t* const row = filled.data() + c * stride;
            std::memcpy(row, codes + c * stage_stride, bytes);
            // What fills a row's last byte up is no field.
            if (over != 0)
                row[bytes - 1] = static_cast<std::uint8_t>(row[bytes - 1] & ((1u << over) - 1u));
        }
        rows.fetch_ahead(bytes * panel_columns);
        kernel_.pack(filled.data(), stride, 1, to_->unit_bytes, to);
    }

    void pack_headers(std::size_t p, std::uint8_t* panel) const {
        if (q_->grid().rows != 1) return scalar::pack_headers(*q_, *to_, p, panel);
        std::size_t const groups = to_->groups, first = p * panel_columns * groups;
        std::size_t const count = std::min(q_->rows() - p * panel_columns, panel_columns);
        for (std::size_t g = 0; g < groups; ++g)
            std::memset(panel + g * to_->block_bytes, 0, to_->header_bytes);
        std::size_t const stored = scale_bytes(q_->scheme().scale), wide = scale_bytes(to_->scale);
        for (std::size_t c = 0; c < count; ++c) {
            std::uint8_t const* from = q_->scales().data() + (first + c * groups) * stored;
            std::uint8_t* to = panel + c * wide;
            // Three loops: a copy of a known size is one instruction.
            if (stored == 4)
                for (std::size_t g = 0; g < groups; ++g, from += 4, to += to_->block_bytes)
                    std::memcpy(to, from, 4);
            else if (stored == 2)
                for (std::size_t g = 0; g < groups; ++g, from += 2, to += to_->block_bytes)
                    std::memcpy(to, from, 2);
            else
                for (std::size_t g = 0; g < groups; ++g, from += 1, to += to_->block_bytes) {
                    std::uint16_t const scale = wide_scale_[*from];
                    to[0] = static_cast<std::uint8_t>(scale);
                    to[1] = static_cast<std::uint8_t>(scale >> 8);
                }
        }
        if (!to_->has_zero) return;
        // A panel's zeros begin on a byte: their count is a multiple of 32.
        std::vector<std::uint8_t> zeros(count * groups);
        unpack_fields(q_->zeros().subspan(packed_bytes(first, bits_)), bits_, zeros);
        for (std::size_t c = 0; c < count; ++c)
            for (std::size_t g = 0; g < groups; ++g)
                panel[g * to_->block_bytes + panel_columns * wide + c] = zeros[c * groups + g];
    }

    qmatrix_view const* q_;
    packed_layout const* to_;
    int bits_;
    unit_packer kernel_;
    std::array<std::uint16_t, 256> wide_scale_{};
};

/// The codes of panel p to rows of row_bytes.
inline void unpack_panel_codes(unit_packer const& packer, packed_view const& view, int bits,
                               std::size_t p, std::uint8_t* rows, std::size_t row_bytes) {
    packed_layout const& from = view.layout;
    std::size_t const count = std::min(from.rows - p * panel_columns, panel_columns);
    if (packer.unpack == nullptr || !has_whole_bytes(from, bits)) {
        std::vector<std::uint8_t> fields(from.cols);
        for (std::size_t c = 0; c < count; ++c) {
            scalar::unpack_column(from, view.panel(p), c, fields);
            pack_fields(fields, bits, {rows + c * row_bytes, row_bytes});
        }
        return;
    }
    constexpr std::size_t stride = unit_depth;
    std::uint8_t stage[panel_columns * unit_depth];
    auto const unit = static_cast<std::size_t>(4 * bits);
    for (std::size_t g = 0; g < from.groups; ++g) {
        group_place const at(from, bits, g);
        std::uint8_t const* units = view.block(p, g) + from.header_bytes;
        std::uint8_t* to = rows + at.first_byte;
        std::size_t const direct = count == panel_columns ? at.full : 0;
        packer.unpack(units, direct, from.unit_bytes, to, row_bytes);
        for (std::size_t u = direct; u < from.units_of(g); ++u) {
            std::size_t const width = u < at.full ? unit_depth : at.rest;
            packer.unpack(units + u * from.unit_bytes, 1, from.unit_bytes, stage, stride);
            for (std::size_t c = 0; c < count; ++c)
                std::memcpy(to + c * row_bytes + u * unit, stage + c * stride,
                            packed_bytes(width, bits));
        }
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::detail
