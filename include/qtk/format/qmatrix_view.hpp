// SPDX-License-Identifier: Apache-2.0
//
// What if the parts of a quantized matrix already lie somewhere, in a mapped file say? The same
// three parts as in any_qmatrix (format/qmatrix.hpp), borrowed: nothing is copied to read them.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/format/scale.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qtk {

class qmatrix_view {
  public:
    /// Throws value_error for a scheme that makes no sense, shape_error for a part of the wrong
    /// size.
    qmatrix_view(qtk::scheme const& s, std::size_t rows, std::size_t cols,
                 std::span<std::uint8_t const> codes, std::span<std::uint8_t const> scales,
                 std::span<std::uint8_t const> zeros, float tensor_scale = 1.0f)
        : scheme_(s),
          grid_(s.grain, rows, cols),
          row_bytes_(packed_bytes(cols, s.element.bits)),
          codes_(codes),
          scales_(scales),
          zeros_(zeros),
          tensor_scale_(tensor_scale) {
        if (char const* fault = fault_of(s))
            throw value_error("qmatrix_view: " + std::string(fault));
        require_size("codes", codes.size(), checked_mul(rows, row_bytes_));
        require_size("scales", scales.size(), checked_mul(grid_.count(), scale_bytes(s.scale)));
        require_size("zeros", zeros.size(),
                     s.has_zero_point() ? packed_bytes(grid_.count(), s.element.bits) : 0);
    }
    qmatrix_view(any_qmatrix const& q)
        : qmatrix_view(q.scheme(), q.rows(), q.cols(), q.codes(), q.scales(), q.zeros(),
                       q.tensor_scale()) {}

    [[nodiscard]] qtk::scheme const& scheme() const noexcept { return scheme_; }
    [[nodiscard]] std::size_t rows() const noexcept { return grid_.matrix_rows; }
    [[nodiscard]] std::size_t cols() const noexcept { return grid_.matrix_cols; }
    [[nodiscard]] tile_grid const& grid() const noexcept { return grid_; }
    [[nodiscard]] float tensor_scale() const noexcept { return tensor_scale_; }

    /// The packed stream of row r.
    [[nodiscard]] std::span<std::uint8_t const> row_codes(std::size_t r) const noexcept {
        QTK_EXPECTS(r < rows());
        return codes_.subspan(r * row_bytes_, row_bytes_);
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept { return row_bytes_; }
    [[nodiscard]] std::span<std::uint8_t const> codes() const noexcept { return codes_; }
    [[nodiscard]] std::span<std::uint8_t const> scales() const noexcept { return scales_; }
    [[nodiscard]] std::span<std::uint8_t const> zeros() const noexcept { return zeros_; }
    /// The stored pattern of tile (i, j)'s scale, and its zero field (0 under symmetric schemes).
    [[nodiscard]] std::uint32_t scale_pattern(std::size_t i, std::size_t j) const noexcept {
        std::size_t const bytes = scale_bytes(scheme_.scale), tile = i * grid_.across + j;
        std::uint32_t pattern = 0;
        for (std::size_t b = 0; b < bytes; ++b)
            pattern |= std::uint32_t{scales_[tile * bytes + b]} << (8 * b);
        return pattern;
    }
    [[nodiscard]] std::uint8_t zero_field(std::size_t i, std::size_t j) const noexcept {
        return zeros_.empty() ? std::uint8_t{0}
                              : field_at(zeros_.data(), i * grid_.across + j, scheme_.element.bits);
    }

  private:
    void require_size(char const* part, std::size_t found, std::size_t expected) const {
        if (found != expected)
            throw shape_error("qmatrix_view " + to_string(scheme_) + " [" + std::to_string(rows()) +
                              ", " + std::to_string(cols()) + "]: expected " +
                              std::to_string(expected) + " bytes of " + part + ", found " +
                              std::to_string(found));
    }

    qtk::scheme scheme_;
    tile_grid grid_;
    std::size_t row_bytes_;
    std::span<std::uint8_t const> codes_, scales_, zeros_;
    float tensor_scale_;
};

}  // namespace qtk
