// SPDX-License-Identifier: Apache-2.0
//
// What does a network remember of the tokens before? The keys and values of every layer, so that a
// new token costs one row of work and not the whole text again. As floats, as int8 with a scale for
// each token and head (a quarter of the memory; quantizes as quantizer/tile_quantizer.hpp does), or in
// groups of 8, 4 or 2 bits behind a few recent tokens that stay floats (grouped_rows.hpp).
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/attention.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/decoder_config.hpp>
#include <qtk/model/grouped_rows.hpp>
#include <qtk/model/kv_format.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace qtk {

/// Rows of heads, written once and read again and again.
class head_rows {
  public:
    /// Room for `rows` rows; groups need none in advance.
    head_rows(kv_format const& how, std::size_t rows, std::size_t heads, std::size_t head_dim,
              bool are_keys = false)
        : storage_(how.storage), heads_(heads), head_dim_(head_dim) {
        if (storage_ == kv_storage::f32) {
            floats_ = matrix(rows, heads * head_dim);
        } else if (storage_ == kv_storage::groups) {
            groups_.emplace(how, are_keys && how.has_channel_keys, heads, head_dim);
        } else {
            codes_.resize(checked_mul(rows, heads * head_dim));
            scales_.resize(rows * heads);
        }
    }

    /// Rows from `first` on, the number of rows before them.
    void write(std::size_t first, matrix_view<float const> x) {
        QTK_EXPECTS(x.cols == heads_ * head_dim_);
        if (groups_) {
            groups_->shorten(first);
            groups_->append(x);
            return;
        }
        for (std::size_t r = 0; r < x.rows; ++r) {
            std::span<float const> const row = x.row(r);
            if (storage_ == kv_storage::f32) {
                std::copy(row.begin(), row.end(), floats_.view().row(first + r).begin());
                continue;
            }
            for (std::size_t h = 0; h < heads_; ++h)
                write_head((first + r) * heads_ + h, row.subspan(h * head_dim_, head_dim_));
        }
    }
    /// What may become codes does: groups alone wait for it.
    void settle() {
        if (groups_) groups_->settle();
    }
    /// Head h of the rows [first, first + count), [count, head_dim]; `scratch` holds them where
    /// they are stored as codes.
    [[nodiscard]] matrix_view<float const> read(std::size_t h, std::size_t first, std::size_t count,
                                                std::vector<float>& scratch) const {
        if (storage_ == kv_storage::f32)
            return detail::float_heads{floats_.view(), head_dim_}.read(h, first, count, scratch);
        if (groups_) return groups_->read(h, first, count, scratch);
        scratch.resize(std::max(scratch.size(), count * head_dim_));
        for (std::size_t r = 0; r < count; ++r) {
            std::size_t const i = (first + r) * heads_ + h;
            decode(codes_.data() + i * head_dim_, scales_[i], scratch.data() + r * head_dim_);
        }
        return {scratch.data(), count, head_dim_};
    }
    /// Groups count what is in use, the others their room.
    [[nodiscard]] std::size_t bytes() const noexcept {
        if (groups_) return groups_->bytes();
        return floats_.view().size() * sizeof(float) + codes_.size() +
               scales_.size() * sizeof(float);
    }

  private:
    void decode(std::int8_t const* codes, float scale, float* to) const noexcept {
        // Steps of a fixed length, which compilers turn into vector code; a local array, which
        // nothing aliases.
        constexpr std::size_t step = 16;
        std::size_t const whole = head_dim_ / step * step;
        for (std::size_t c = 0; c < whole; c += step) {
            std::array<float, step> values;
            for (std::size_t i = 0; i < step; ++i)
                values[i] = static_cast<float>(codes[c + i]) * scale;
            std::copy(values.begin(), values.end(), to + c);
        }
        for (std::size_t c = whole; c < head_dim_; ++c)
            to[c] = static_cast<float>(codes[c]) * scale;
    }
    void write_head(std::size_t i, std::span<float const> values) {
        using quantizer = tile_quantizer<i8, origin::fixed>;
        float largest = 0.0f;
        for (float const v : values) largest = std::max(largest, std::fabs(v));
        tile_params const p = quantizer{}.fit({-largest, largest});
        scales_[i] = p.scale;
        for (std::size_t c = 0; c < head_dim_; ++c)
            codes_[i * head_dim_ + c] =
                static_cast<std::int8_t>(quantizer{}.encode(values[c], p) - p.zero);
    }

    kv_storage storage_;
    std::size_t heads_, head_dim_;
    matrix floats_;
    std::vector<std::int8_t> codes_;
    std::vector<float> scales_;
    std::optional<grouped_rows> groups_;
};
static_assert(detail::readable_heads<head_rows>);

/// The past of one layer.
class layer_past {
  public:
    layer_past(kv_format const& how, std::size_t capacity, attention_shape const& shape)
        : keys_(how, capacity, shape.kv_heads, shape.head_dim, true),
          values_(how, capacity, shape.kv_heads, shape.head_dim),
          capacity_(capacity) {}

    [[nodiscard]] std::size_t length() const noexcept { return length_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return keys_.bytes() + values_.bytes(); }

    /// Remembers the keys and values of the next tokens.
    void append(matrix_view<float const> k, matrix_view<float const> v) {
        QTK_EXPECTS(k.rows == v.rows && length_ + k.rows <= capacity_);
        keys_.write(length_, k);
        values_.write(length_, v);
        length_ += k.rows;
    }
    /// Tokens that are no longer recent become codes; called once they were attended to.
    void settle() {
        keys_.settle();
        values_.settle();
    }
    /// Of length() tokens.
    [[nodiscard]] head_rows const& keys() const noexcept { return keys_; }
    [[nodiscard]] head_rows const& values() const noexcept { return values_; }
    /// Forgets all but the first `length` tokens.
    void shorten(std::size_t length) noexcept { length_ = std::min(length_, length); }

  private:
    head_rows keys_, values_;
    std::size_t capacity_, length_ = 0;
};

/// The past of all layers of a decoder, for one text. Not shared between threads.
class kv_cache {
  public:
    /// Room for `capacity` tokens, the model's context at most.
    kv_cache(decoder_config const& config, std::size_t capacity, kv_format const& how = {})
        : capacity_(std::min(capacity, config.context)),
          layers_(config.layers,
                  layer_past(how, capacity_, {config.heads, config.kv_heads, config.head_dim})) {}

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t length() const noexcept {
        return layers_.empty() ? 0 : layers_.front().length();
    }
    [[nodiscard]] layer_past& layer(std::size_t i) noexcept { return layers_[i]; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        std::size_t sum = 0;
        for (layer_past const& layer : layers_) sum += layer.bytes();
        return sum;
    }
    /// Forgets all but the first `length` tokens.
    void shorten(std::size_t length) noexcept {
        for (layer_past& layer : layers_) layer.shorten(length);
    }

  private:
    std::size_t capacity_;
    std::vector<layer_past> layers_;
};

/// causal_attention of the tokens of q, k and v, after those of `past`, which grows by them; null: they
/// are the first.
inline void attend(attention_shape const& shape, layer_past* past, matrix_view<float const> q,
                   matrix_view<float const> k, matrix_view<float const> v, matrix_view<float> y) {
    if (past == nullptr) return causal_attention(shape, q, k, v, y);
    past->append(k, v);
    detail::attend_rows(shape, q, past->keys(), past->values(), past->length(), y);
    past->settle();
}

}  // namespace qtk
