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
// Lossless both ways.
#pragma once

#include <qtk/core/spelling.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/io/safetensors.hpp>
#include <qtk/io/safetensors_writer.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

[[nodiscard]] constexpr dtype dtype_of(scale_type type) noexcept {
    switch (type) {
        case scale_type::f16:
            return dtype::f16;
        case scale_type::bf16:
            return dtype::bf16;
        case scale_type::e8m0:
            return dtype::f8_e8m0;
        case scale_type::e4m3:
            return dtype::f8_e4m3;
        case scale_type::f32:
            break;
    }
    return dtype::f32;
}

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

/// The matrix stored under `name`. Throws io_error if a part is missing or does not fit the scheme.
[[nodiscard]] inline any_qmatrix read_qmatrix(safetensors_file const& file,
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

    auto const part = [&](char const* suffix, dtype type) {
        tensor_info const& info = file.at(name + suffix);
        if (info.type != type)
            throw fail(std::string(suffix) + " is " + std::string(name_of(info.type)) +
                       ", expected " + std::string(name_of(type)));
        auto const bytes = file.bytes(info);
        auto const* const first = reinterpret_cast<std::uint8_t const*>(bytes.data());
        return std::vector<std::uint8_t>(first, first + bytes.size());
    };
    try {
        scheme const s = parse_scheme(text.substr(0, space));
        tensor_info const& codes = file.at(name + ".codes");
        if (codes.shape.size() != 2) throw fail(".codes has the shape " + to_string(codes.shape));
        auto const rows = checked_cast<std::size_t>(codes.shape[0]);
        float tensor_scale = 1.0f;
        if (s.scale == scale_type::e4m3) {
            auto const value = file.floats(file.at(name + ".tensor_scale"));
            if (value.size() != 1) throw fail(".tensor_scale is not one number");
            tensor_scale = value[0];
        }
        return any_qmatrix(
            s, rows, cols, part(".codes", dtype::u8), part(".scales", dtype_of(s.scale)),
            s.has_zero_point() ? part(".zeros", dtype::u8) : std::vector<std::uint8_t>{},
            tensor_scale);
    } catch (value_error const& e) {
        throw fail(e.what());
    } catch (shape_error const& e) {
        throw fail(e.what());
    }
}

}  // namespace qtk
