// SPDX-License-Identifier: Apache-2.0
//
// How does a quantized matrix lie in a safetensors file? As its canonical parts, named after the
// weight:
//
//   NAME.codes         U8 [rows, row_bytes]                           packed rows (format/pack.hpp)
//   NAME.scales        F32, F16, BF16, F8_E8M0 or F8_E4M3 [tiles down, tiles across]
//   NAME.zeros         U8 [bytes]                                     asymmetric schemes only
//   NAME.tensor_scale  F32 []                                         two-level schemes only
//   metadata "qtk.NAME" = "SCHEME COLS", e.g. "i4/g64/asym/f32 192"
//
// Lossless both ways, as a whole or a few rows at a time.
#pragma once

#include <qtk/core/spelling.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/io/safetensors.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/io/utf8.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// Plans the parts of q under `name`; q is borrowed until the writer has written.
inline void add_qmatrix(safetensors_writer& writer, std::string const& name, any_qmatrix const& q) {
    writer.add(name + ".codes", dtype::u8, {q.rows(), q.row_bytes()}, std::as_bytes(q.codes()));
    writer.add(name + ".scales", dtype_of(q.scheme().scale), {q.grid().down, q.grid().across},
               std::as_bytes(q.scales()));
    if (q.scheme().has_zero_point())
        writer.add(name + ".zeros", dtype::u8, {q.zeros().size()}, std::as_bytes(q.zeros()));
    if (q.scheme().scale == scale_type::e4m3)
        writer.add(name + ".tensor_scale", dtype::f32, {},
                   std::as_bytes(std::span(&q.tensor_scale(), 1)));
    writer.set_metadata("qtk." + name, to_string(q.scheme()) + " " + std::to_string(q.cols()));
}

/// A quantized matrix as it lies in a file, checked; its parts are borrowed from the file.
struct stored_qmatrix {
    qtk::scheme scheme;
    tile_grid grid{per_tensor, 0, 0};
    std::size_t row_bytes = 0;
    std::span<std::byte const> codes, scales, zeros;
    float tensor_scale = 1.0f;

    [[nodiscard]] std::size_t rows() const noexcept { return grid.matrix_rows; }
    [[nodiscard]] std::size_t cols() const noexcept { return grid.matrix_cols; }

    /// Rows first .. first + count as a matrix of their own: a large one can be read in parts. `first`
    /// is a multiple of the rows that share a scale, grid.rows, unless all do. Throws shape_error else.
    [[nodiscard]] any_qmatrix part(std::size_t first, std::size_t count) const {
        if ((first % grid.rows != 0 && scheme.grain != per_tensor) || first > rows() ||
            count > rows() - first)
            throw shape_error("qmatrix " + to_string(scheme) + ": " + std::to_string(count) +
                              " rows from row " + std::to_string(first) + " on are no part of " +
                              std::to_string(rows()) + " rows with tiles of " +
                              std::to_string(grid.rows));
        auto const copy = [](std::span<std::byte const> bytes) {
            auto const* const start = reinterpret_cast<std::uint8_t const*>(bytes.data());
            return std::vector<std::uint8_t>(start, start + bytes.size());
        };
        std::size_t const first_tile = first / grid.rows * grid.across,
                          tiles = div_ceil(count, grid.rows) * grid.across,
                          bytes = scale_bytes(scheme.scale);
        std::vector<std::uint8_t> packed_zeros;
        if (scheme.has_zero_point()) {
            std::vector<std::uint8_t> fields(tiles);
            auto const* const all = reinterpret_cast<std::uint8_t const*>(zeros.data());
            for (std::size_t t = 0; t < tiles; ++t)
                fields[t] = field_at(all, first_tile + t, scheme.element.bits);
            packed_zeros.resize(packed_bytes(tiles, scheme.element.bits));
            pack_fields(fields, scheme.element.bits, packed_zeros);
        }
        return any_qmatrix(scheme, count, cols(),
                           copy(codes.subspan(first * row_bytes, count * row_bytes)),
                           copy(scales.subspan(first_tile * bytes, tiles * bytes)),
                           std::move(packed_zeros), tensor_scale);
    }
};

/// Has the file a quantized matrix of this name?
[[nodiscard]] inline bool has_qmatrix(safetensors_file const& file, std::string const& name) {
    return file.metadata().contains("qtk." + name) && file.find(name + ".codes") != nullptr;
}

/// The matrix stored under `name`, where it lies. Throws io_error if a part is missing or does not fit
/// the scheme.
[[nodiscard]] inline stored_qmatrix find_qmatrix(safetensors_file const& file,
                                                 std::string const& name) {
    auto const fail = [&](std::string const& what) -> io_error {
        return io_error(file.path(), "quantized matrix " + qtk::quoted(name) + ": " + what);
    };
    auto const entry = file.metadata().find("qtk." + name);
    if (entry == file.metadata().end()) throw fail("the metadata has no scheme for it");
    std::string_view const text = entry->second;
    std::size_t const space = text.find(' ');
    std::size_t cols = 0;
    char const* const end = text.data() + text.size();
    if (space == text.npos || std::from_chars(text.data() + space + 1, end, cols).ptr != end)
        throw fail("expected \"SCHEME COLS\" in the metadata, found " + qtk::quoted(text));

    auto const part = [&](char const* suffix, dtype type, std::size_t size) {
        tensor_info const& info = file.at(name + suffix);
        if (info.type != type)
            throw fail(std::string(suffix) + " is " + std::string(name_of(info.type)) +
                       ", expected " + std::string(name_of(type)));
        auto const bytes = file.bytes(info);
        if (bytes.size() != size)
            throw fail(std::string(suffix) + " has " + std::to_string(bytes.size()) +
                       " bytes, expected " + std::to_string(size));
        return bytes;
    };
    try {
        stored_qmatrix q;
        q.scheme = parse_scheme(text.substr(0, space));
        tensor_info const& codes = file.at(name + ".codes");
        if (codes.shape.size() != 2) throw fail(".codes has the shape " + to_string(codes.shape));
        q.grid = tile_grid(q.scheme.grain, checked_cast<std::size_t>(codes.shape[0]), cols);
        q.row_bytes = packed_bytes(cols, q.scheme.element.bits);
        q.codes = part(".codes", dtype::u8, checked_mul(q.rows(), q.row_bytes));
        q.scales = part(".scales", dtype_of(q.scheme.scale),
                        checked_mul(q.grid.count(), scale_bytes(q.scheme.scale)));
        if (q.scheme.has_zero_point())
            q.zeros =
                part(".zeros", dtype::u8, packed_bytes(q.grid.count(), q.scheme.element.bits));
        if (q.scheme.scale == scale_type::e4m3) {
            auto const value = file.floats(file.at(name + ".tensor_scale"));
            if (value.size() != 1) throw fail(".tensor_scale is not one number");
            q.tensor_scale = value[0];
        }
        return q;
    } catch (value_error const& e) {
        throw fail(e.what());
    } catch (shape_error const& e) {
        throw fail(e.what());
    }
}

/// The matrix stored under `name`, copied. Throws io_error if a part is missing or does not fit the
/// scheme.
[[nodiscard]] inline any_qmatrix read_qmatrix(safetensors_file const& file,
                                              std::string const& name) {
    stored_qmatrix const stored = find_qmatrix(file, name);
    return stored.part(0, stored.rows());
}

}  // namespace qtk
