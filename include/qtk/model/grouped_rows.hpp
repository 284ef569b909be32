// SPDX-License-Identifier: Apache-2.0
//
// How do keys or values lie in memory at 8 bits and less? Groups of values share a scale and a lowest
// value, both halves:
//
//   v' = low + scale * code,   scale = (max - min) / (2^B - 1),   code = round_half_even((v - low) / scale)
//
// A group is N tokens of one channel, or N channels of one token (KIVI, Liu et al. 2024,
// arXiv:2402.02750, section 3). The last tokens stay floats: `recent` of them, and of groups along tokens
// those that fill no whole group yet. What the codes are depends on the values alone, not on how many
// tokens were written at a time.
//
// Differs from the paper: values leave the window of recent tokens at the same time as keys may.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/round.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/kv_format.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qtk {

class grouped_rows {
  public:
    grouped_rows(kv_format const& how, bool is_along_tokens, std::size_t heads,
                 std::size_t head_dim)
        : bits_(how.bits),
          recent_(how.recent),
          heads_(heads),
          head_dim_(head_dim),
          block_(is_along_tokens ? how.group : 1),
          group_(is_along_tokens ? 1 : std::min(how.group, head_dim)),
          groups_(div_ceil(head_dim, group_)),
          head_bytes_(packed_bytes(head_dim, how.bits)) {}

    /// Rows x [n, heads * head_dim] after those that are there; floats until settle().
    void append(matrix_view<float const> x) {
        QTK_EXPECTS(x.cols == heads_ * head_dim_);
        for (std::size_t r = 0; r < x.rows; ++r)
            tail_.insert(tail_.end(), x.row(r).begin(), x.row(r).end());
        length_ += x.rows;
    }
    /// Turns what is no longer recent into codes.
    void settle() {
        std::size_t const old = length_ > recent_ ? length_ - recent_ : 0;
        std::size_t const target = old / block_ * block_;
        if (target <= settled_) return;
        std::size_t const width = heads_ * head_dim_, count = target - settled_;
        for (std::size_t r = 0; r < count; r += block_) encode(tail_.data() + r * width);
        tail_.erase(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(count * width));
        settled_ = target;
        // A long prompt was all floats for a moment.
        if (tail_.capacity() > 4 * (tail_.size() + block_ * width)) tail_.shrink_to_fit();
    }
    /// Forgets all but the first `length` rows; the codes of a group that is cut become floats again.
    void shorten(std::size_t length) {
        if (length >= length_) return;
        std::size_t const width = heads_ * head_dim_;
        if (length < settled_) {
            std::size_t const whole = length / block_ * block_;
            std::vector<float> rest((length - whole) * width), head;
            for (std::size_t h = 0; h < heads_; ++h) {
                auto const part = read(h, whole, length - whole, head);
                for (std::size_t r = 0; r < part.rows; ++r)
                    std::ranges::copy(part.row(r), rest.begin() + static_cast<std::ptrdiff_t>(
                                                                      r * width + h * head_dim_));
            }
            tail_ = std::move(rest);
            settled_ = whole;
            codes_.resize(whole * heads_ * head_bytes_);
            groups_of_.resize(whole / block_ * heads_ * groups_);
        } else {
            tail_.resize((length - settled_) * width);
        }
        length_ = length;
    }

    /// Head h of the rows [first, first + count), [count, head_dim], in `scratch`.
    [[nodiscard]] matrix_view<float const> read(std::size_t h, std::size_t first, std::size_t count,
                                                std::vector<float>& scratch) const {
        QTK_EXPECTS(h < heads_ && first + count <= length_);
        scratch.resize(std::max(scratch.size(), count * head_dim_));
        std::size_t const codes_end = std::clamp(settled_, first, first + count);
        std::vector<float> scale(head_dim_), low(head_dim_);
        std::size_t block = settled_;  // none
        float* to = scratch.data();
        for (std::size_t r = first; r < codes_end; ++r, to += head_dim_) {
            if (std::size_t const own = r / block_; own != block) {
                block = own;
                spread(h, block, scale.data(), low.data());
            }
            decode(codes_.data() + (r * heads_ + h) * head_bytes_, scale.data(), low.data(), to);
        }
        std::size_t const width = heads_ * head_dim_;
        for (std::size_t r = codes_end; r < first + count; ++r, to += head_dim_)
            std::copy_n(tail_.data() + (r - settled_) * width + h * head_dim_, head_dim_, to);
        return {scratch.data(), count, head_dim_};
    }

    [[nodiscard]] std::size_t length() const noexcept { return length_; }
    /// Rows that are codes.
    [[nodiscard]] std::size_t settled() const noexcept { return settled_; }
    /// In use: codes, scales and floats.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return codes_.size() + groups_of_.size() * sizeof(group_params) +
               tail_.size() * sizeof(float);
    }
    friend bool operator==(grouped_rows const&, grouped_rows const&) = default;

  private:
    struct group_params {
        std::uint16_t scale = 0, low = 0;  // IEEE halves
        friend bool operator==(group_params const&, group_params const&) = default;
    };

    /// The nearest half that is no infinity.
    [[nodiscard]] static std::uint16_t finite_half(float v) noexcept {
        constexpr float most = 65504.0f;
        return float_to_f16(std::clamp(v, -most, most));
    }
    [[nodiscard]] static group_params fit(float lowest, float highest, int bits) noexcept {
        float const low = f16_to_float(finite_half(lowest));
        float const scale = (highest - low) / static_cast<float>((1 << bits) - 1);
        return {finite_half(std::max(scale, 0.0f)), finite_half(lowest)};
    }

    /// block_ rows of floats become codes.
    void encode(float const* rows) {
        std::size_t const width = heads_ * head_dim_;
        std::vector<std::uint8_t> fields(head_dim_);
        std::vector<float> scale(head_dim_), low(head_dim_);
        for (std::size_t h = 0; h < heads_; ++h)
            for (std::size_t g = 0; g < groups_; ++g) {
                std::size_t const left = h * head_dim_ + g * group_;
                std::size_t const count = std::min(group_, head_dim_ - g * group_);
                float lowest = rows[left], highest = rows[left];
                for (std::size_t r = 0; r < block_; ++r)
                    for (std::size_t c = left; c < left + count; ++c) {
                        float const x = rows[r * width + c];
                        lowest = x != x ? x : std::min(lowest, x);  // NaN stays: the group is NaN
                        highest = std::max(highest, x);
                    }
                groups_of_.push_back(fit(lowest, highest, bits_));
            }
        std::size_t const block = settled_blocks();
        float const top = static_cast<float>((1 << bits_) - 1);
        for (std::size_t r = 0; r < block_; ++r)
            for (std::size_t h = 0; h < heads_; ++h) {
                spread(h, block, scale.data(), low.data());
                float const* const x = rows + r * width + h * head_dim_;
                for (std::size_t c = 0; c < head_dim_; ++c) {
                    bool const has_steps = scale[c] > 0.0f && low[c] == low[c];
                    float const code = has_steps ? (x[c] - low[c]) / scale[c] : 0.0f;
                    fields[c] =
                        static_cast<std::uint8_t>(round_half_even(std::clamp(code, 0.0f, top)));
                }
                codes_.resize(codes_.size() + head_bytes_);
                pack_fields(fields, bits_, std::span(codes_).last(head_bytes_));
            }
    }
    /// The block that encode() is writing.
    [[nodiscard]] std::size_t settled_blocks() const noexcept {
        return groups_of_.size() / (heads_ * groups_) - 1;
    }

    /// Scale and lowest value of every channel of a head in a block.
    void spread(std::size_t h, std::size_t block, float* scale, float* low) const noexcept {
        group_params const* const p = groups_of_.data() + (block * heads_ + h) * groups_;
        for (std::size_t g = 0; g < groups_; ++g) {
            std::size_t const first = g * group_, count = std::min(group_, head_dim_ - first);
            std::fill_n(scale + first, count, f16_to_float(p[g].scale));
            std::fill_n(low + first, count, f16_to_float(p[g].low));
        }
    }

    template <int Bits>
    void decode_as(std::uint8_t const* codes, float const* scale, float const* low,
                   float* to) const noexcept {
        constexpr std::size_t in_byte = 8 / Bits;
        constexpr unsigned mask = (1u << Bits) - 1u;
        std::size_t const whole = head_dim_ / in_byte;
        for (std::size_t b = 0; b < whole; ++b) {
            std::array<float, in_byte> values;
            for (std::size_t i = 0; i < in_byte; ++i)
                values[i] = static_cast<float>(codes[b] >> (i * Bits) & mask);
            for (std::size_t i = 0; i < in_byte; ++i)
                to[b * in_byte + i] = low[b * in_byte + i] + scale[b * in_byte + i] * values[i];
        }
        for (std::size_t c = whole * in_byte; c < head_dim_; ++c)
            to[c] = low[c] + scale[c] * static_cast<float>(field_at(codes, c, Bits));
    }
    void decode(std::uint8_t const* codes, float const* scale, float const* low,
                float* to) const noexcept {
        if (bits_ == 8) return decode_as<8>(codes, scale, low, to);
        if (bits_ == 4) return decode_as<4>(codes, scale, low, to);
        decode_as<2>(codes, scale, low, to);
    }

    int bits_;
    std::size_t recent_, heads_, head_dim_;
    std::size_t block_;   // tokens of a group
    std::size_t group_;   // channels of a group
    std::size_t groups_;  // of a head, along its channels
    std::size_t head_bytes_;
    std::size_t length_ = 0, settled_ = 0;
    std::vector<std::uint8_t> codes_;      // row by row, head by head
    std::vector<group_params> groups_of_;  // block by block, head by head
    std::vector<float> tail_;              // rows [settled, length)
};
static_assert(detail::readable_heads<grouped_rows>);

}  // namespace qtk
