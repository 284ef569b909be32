// SPDX-License-Identifier: Apache-2.0
//
// What is a quantized matrix? Canonical codes, scales and zero points of a [rows, cols] weight, in
// the order that files hold. Nothing here knows how a kernel wants its weights. Three parts:
//
//   codes   rows x row_bytes; a row is one packed stream of its cols fields (format/pack.hpp)
//   scales  one stored scale per tile, little endian, tiles row by row; e4m3 scales are also
//           multiplied by tensor_scale
//   zeros   asymmetric schemes only: one stream of B-bit fields, the field of real zero per tile
//
// any_qmatrix carries its scheme as a value (files, models); `qmatrix<S>` is the same with the scheme
// in the type.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/scale.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

class any_qmatrix {
  public:
    /// No rows, no columns.
    any_qmatrix() : any_qmatrix(qtk::scheme{}, 0, 0) {}

    /// Zero codes, unit scales: a matrix of zeros. Throws value_error for a scheme that makes no
    /// sense.
    any_qmatrix(qtk::scheme const& s, std::size_t rows, std::size_t cols)
        : scheme_(require_valid(s)),
          grid_(s.grain, rows, cols),
          row_bytes_(packed_bytes(cols, s.element.bits)),
          codes_(checked_mul(rows, row_bytes_)),
          scales_(checked_mul(grid_.count(), scale_bytes(s.scale))),
          zeros_(s.has_zero_point() ? packed_bytes(grid_.count(), s.element.bits) : 0) {
        std::uint32_t const one = store_scale(s.scale, 1.0f);
        for (std::size_t i = 0; i < scales_.size(); ++i)
            scales_[i] = static_cast<std::uint8_t>(one >> (8 * (i % scale_bytes(s.scale))));
        if (!zeros_.empty())
            pack_fields(std::vector<std::uint8_t>(
                            grid_.count(), static_cast<std::uint8_t>(symmetric_zero(s.element))),
                        s.element.bits, zeros_);
        if (codes_.empty()) return;
        pack_fields(std::vector<std::uint8_t>(cols, zero_field(s.element)), s.element.bits,
                    {codes_.data(), row_bytes_});
        for (std::size_t r = 1; r < rows; ++r)
            std::memcpy(codes_.data() + r * row_bytes_, codes_.data(), row_bytes_);
    }

    /// Takes the three parts as a file holds them. Throws shape_error if a part has the wrong size.
    any_qmatrix(qtk::scheme const& s, std::size_t rows, std::size_t cols,
                std::vector<std::uint8_t> codes, std::vector<std::uint8_t> scales,
                std::vector<std::uint8_t> zeros, float tensor_scale = 1.0f)
        : scheme_(require_valid(s)),
          grid_(s.grain, rows, cols),
          row_bytes_(packed_bytes(cols, s.element.bits)),
          tensor_scale_(tensor_scale),
          codes_(std::move(codes)),
          scales_(std::move(scales)),
          zeros_(std::move(zeros)) {
        require_size("codes", codes_.size(), checked_mul(rows, row_bytes_));
        require_size("scales", scales_.size(), checked_mul(grid_.count(), scale_bytes(s.scale)));
        require_size("zeros", zeros_.size(),
                     s.has_zero_point() ? packed_bytes(grid_.count(), s.element.bits) : 0);
    }

    [[nodiscard]] qtk::scheme const& scheme() const noexcept { return scheme_; }
    [[nodiscard]] std::size_t rows() const noexcept { return grid_.matrix_rows; }
    [[nodiscard]] std::size_t cols() const noexcept { return grid_.matrix_cols; }
    [[nodiscard]] std::size_t size() const noexcept { return rows() * cols(); }
    [[nodiscard]] tile_grid const& grid() const noexcept { return grid_; }

    /// The stored bit pattern of an element; its code is field - field_offset(scheme().element).
    [[nodiscard]] std::uint8_t field(std::size_t r, std::size_t c) const noexcept {
        QTK_EXPECTS(r < rows() && c < cols());
        return field_at(codes_.data() + r * row_bytes_, c, scheme_.element.bits);
    }
    [[nodiscard]] int code(std::size_t r, std::size_t c) const noexcept {
        return field(r, c) - field_offset(scheme_.element);
    }
    /// Scale and zero of tile (i, j), the tensor scale included.
    [[nodiscard]] tile_params params(std::size_t i, std::size_t j) const noexcept {
        QTK_EXPECTS(i < grid_.down && j < grid_.across);
        std::size_t const tile = i * grid_.across + j, bytes = scale_bytes(scheme_.scale);
        std::uint32_t pattern = 0;
        for (std::size_t b = 0; b < bytes; ++b)
            pattern |= static_cast<std::uint32_t>(scales_[tile * bytes + b]) << (8 * b);
        return {load_scale(scheme_.scale, pattern) * tensor_scale_,
                zeros_.empty() ? symmetric_zero(scheme_.element)
                               : field_at(zeros_.data(), tile, scheme_.element.bits)};
    }
    /// The scale of the tile that holds element (r, c).
    [[nodiscard]] float scale(std::size_t r, std::size_t c) const noexcept {
        return params(r / grid_.rows, c / grid_.cols).scale;
    }
    /// The zero point of the tile that holds (r, c) as a code: in i4 codes in [-8, 7], in u4 in [0,
    /// 15]; symmetric schemes have the code of real zero.
    [[nodiscard]] int zero_point(std::size_t r, std::size_t c) const noexcept {
        return params(r / grid_.rows, c / grid_.cols).zero - field_offset(scheme_.element);
    }

    /// The packed stream of row r.
    [[nodiscard]] std::span<std::uint8_t const> row_codes(std::size_t r) const noexcept {
        QTK_EXPECTS(r < rows());
        return {codes_.data() + r * row_bytes_, row_bytes_};
    }
    /// The same to be written as a whole, unused bits zero; rows may be written from several
    /// threads.
    [[nodiscard]] std::span<std::uint8_t> writable_row_codes(std::size_t r) noexcept {
        QTK_EXPECTS(r < rows());
        return {codes_.data() + r * row_bytes_, row_bytes_};
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept { return row_bytes_; }
    [[nodiscard]] std::span<std::uint8_t const> codes() const noexcept { return codes_; }
    [[nodiscard]] std::span<std::uint8_t const> scales() const noexcept { return scales_; }
    [[nodiscard]] std::span<std::uint8_t const> zeros() const noexcept { return zeros_; }
    [[nodiscard]] float const& tensor_scale() const noexcept { return tensor_scale_; }

    /// Bytes of codes, scales, zeros and, for two-level scales, the tensor scale: what a file has
    /// to hold.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return codes_.size() + scales_.size() + zeros_.size() +
               (scheme_.scale == scale_type::e4m3 ? sizeof tensor_scale_ : 0);
    }
    /// 8 bytes() / size(): scales and padding counted. 0 for an empty matrix.
    [[nodiscard]] double bits_per_weight() const noexcept {
        return size() == 0 ? 0.0 : 8.0 * static_cast<double>(bytes()) / static_cast<double>(size());
    }

    /// Packs `fields` as row r; rows may be set from several threads.
    void set_row(std::size_t r, std::span<std::uint8_t const> fields) noexcept {
        QTK_EXPECTS(r < rows() && fields.size() == cols());
        pack_fields(fields, scheme_.element.bits, {codes_.data() + r * row_bytes_, row_bytes_});
    }
    /// Stores one scale (and zero) per tile, tiles row by row. Scales must be what the scale type
    /// can express times `tensor_scale`, as tile_quantizer::fit gives them. Throws shape_error for
    /// another count of tiles, value_error for a zero that is no field; nothing is stored then.
    void set_params(std::span<tile_params const> params, float tensor_scale = 1.0f) {
        require_size("tile parameters", params.size(), grid_.count());
        if (scheme_.has_zero_point()) require_zero_fields(params);
        tensor_scale_ = tensor_scale;
        std::size_t const bytes = scale_bytes(scheme_.scale);
        std::vector<std::uint8_t> zero_fields(zeros_.empty() ? 0 : params.size());
        for (std::size_t tile = 0; tile < params.size(); ++tile) {
            std::uint32_t const pattern =
                store_scale(scheme_.scale, params[tile].scale / tensor_scale);
            for (std::size_t b = 0; b < bytes; ++b)
                scales_[tile * bytes + b] = static_cast<std::uint8_t>(pattern >> (8 * b));
            if (!zero_fields.empty())
                zero_fields[tile] = static_cast<std::uint8_t>(params[tile].zero);
        }
        pack_fields(zero_fields, scheme_.element.bits, zeros_);
    }

    friend bool operator==(any_qmatrix const& a, any_qmatrix const& b) noexcept {
        return a.scheme_ == b.scheme_ && a.rows() == b.rows() && a.cols() == b.cols() &&
               a.codes_ == b.codes_ && a.scales_ == b.scales_ && a.zeros_ == b.zeros_ &&
               a.tensor_scale_ == b.tensor_scale_;
    }

  private:
    static qtk::scheme const& require_valid(qtk::scheme const& s) {
        if (char const* fault = fault_of(s)) throw value_error("qmatrix: " + std::string(fault));
        return s;
    }
    void require_size(char const* part, std::size_t found, std::size_t expected) const {
        if (found != expected)
            throw shape_error("qmatrix " + to_string(scheme_) + " [" + std::to_string(rows()) +
                              ", " + std::to_string(cols()) + "]: expected " +
                              std::to_string(expected) + " of " + part + ", found " +
                              std::to_string(found));
    }

    /// A zero too large would spill into the zeros of its neighbours.
    void require_zero_fields(std::span<tile_params const> params) const {
        for (std::size_t tile = 0; tile < params.size(); ++tile)
            if (params[tile].zero < 0 || params[tile].zero >= scheme_.element.patterns())
                throw value_error("qmatrix " + to_string(scheme_) + ": the zero of tile " +
                                  std::to_string(tile) + " is " +
                                  std::to_string(params[tile].zero) + ", expected 0 to " +
                                  std::to_string(scheme_.element.patterns() - 1));
    }

    qtk::scheme scheme_;
    tile_grid grid_;
    std::size_t row_bytes_ = 0;
    float tensor_scale_ = 1.0f;
    std::vector<std::uint8_t> codes_, scales_, zeros_;
};

/// A quantized matrix whose scheme is part of its type. It is an any_qmatrix and adds no data.
template <scheme S>
class qmatrix : public any_qmatrix {
    // Not a constraint: where a function returns a qmatrix<S>, a compiler would drop the function
    // and say that none matches. This says what is wrong with S.
    static_assert(checked_scheme<S>::value == S);

  public:
    static constexpr qtk::scheme static_scheme = S;

    qmatrix() : any_qmatrix(S, 0, 0) {}
    qmatrix(std::size_t rows, std::size_t cols) : any_qmatrix(S, rows, cols) {}
    /// Throws value_error if the matrix has another scheme.
    explicit qmatrix(any_qmatrix matrix) : any_qmatrix(std::move(matrix)) {
        if (any_qmatrix::scheme() != S)
            throw value_error("qmatrix: expected the scheme " + to_string(S) + ", found " +
                              to_string(any_qmatrix::scheme()));
    }
};

}  // namespace qtk
