// SPDX-License-Identifier: Apache-2.0
//
// Are these the tensors that a quantized layer needs? The tensors of one layer where they lie, each
// checked for type and shape before anything is made from it; every fault is one io_error that names
// file, layer and tensor, with what was expected and found.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/checkpoint_packing.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/format/scale.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/dtype.hpp>
#include <qtk/io/encoded_layer.hpp>
#include <qtk/io/safetensors_header.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// A tensor where it lies; the bytes fill the shape.
struct stored_tensor {
    dtype type = dtype::u8;
    std::vector<std::uint64_t> shape;
    std::span<std::byte const> bytes;
};

/// What a file says of a layer.
struct stored_layer {
    ordered_qmatrix weight;
    std::string note;  ///< what the user of the file should know; empty: nothing
};

/// The tensors of one layer; their bytes are borrowed.
class layer_tensors {
  public:
    /// `path` and `name` serve in messages.
    layer_tensors(std::string path, std::string name)
        : path_(std::move(path)), name_(std::move(name)) {}
    /// Those of `suffixes` that a safetensors_file or checkpoint holds as "NAME.SUFFIX".
    template <typename File>
    layer_tensors(File const& file, std::string name, std::span<std::string_view const> suffixes)
        : layer_tensors(file.path(), std::move(name)) {
        for (std::string_view const suffix : suffixes)
            if (tensor_info const* const info = file.find(name_ + "." + std::string(suffix)))
                add(std::string(suffix), {info->type, info->shape, file.bytes(*info)});
    }
    /// Those of an encoded layer.
    layer_tensors(encoded_layer const& layer, std::string name)
        : layer_tensors("memory", std::move(name)) {
        for (layer_tensor const& t : layer.tensors)
            add(t.plan.suffix, {t.plan.type, t.plan.shape, t.bytes});
    }

    void add(std::string suffix, stored_tensor tensor) {
        tensors_.insert_or_assign(std::move(suffix), std::move(tensor));
    }

    [[nodiscard]] std::map<std::string, stored_tensor, std::less<>> const& all() const noexcept {
        return tensors_;
    }
    [[nodiscard]] bool has(std::string_view suffix) const { return find(suffix) != nullptr; }
    /// Null if there is none.
    [[nodiscard]] stored_tensor const* find(std::string_view suffix) const {
        auto const found = tensors_.find(suffix);
        return found == tensors_.end() ? nullptr : &found->second;
    }
    /// Throws io_error if there is none.
    [[nodiscard]] stored_tensor const& at(std::string_view suffix) const {
        if (stored_tensor const* const tensor = find(suffix)) return *tensor;
        refuse("the tensor " + std::string(suffix) + " is missing");
    }
    /// The same with a type and a shape that it must have.
    stored_tensor const& at(std::string_view suffix, dtype type,
                            std::vector<std::uint64_t> const& shape) const {
        stored_tensor const& tensor = at(suffix);
        if (tensor.type != type || tensor.shape != shape)
            refuse(suffix, std::string(name_of(type)) + " " + to_string(shape), tensor);
        return tensor;
    }
    /// The same with two axes of any length but none.
    stored_tensor const& matrix_at(std::string_view suffix, dtype type) const {
        stored_tensor const& tensor = at(suffix);
        if (tensor.type != type || tensor.shape.size() != 2 || tensor.shape[0] == 0 ||
            tensor.shape[1] == 0)
            refuse(suffix, std::string(name_of(type)) + " with two axes that are not empty",
                   tensor);
        return tensor;
    }

    [[noreturn]] void refuse(std::string const& what) const {
        throw io_error(path_, "layer " + qtk::quoted(name_) + ": " + what);
    }
    [[noreturn]] void refuse(std::string_view suffix, std::string const& expected,
                             stored_tensor const& found) const {
        refuse(suffix, expected, std::string(name_of(found.type)) + " " + to_string(found.shape));
    }
    [[noreturn]] void refuse(std::string_view suffix, std::string const& expected,
                             std::string const& found) const {
        refuse(std::string(suffix) + ": expected " + expected + ", found " + found);
    }
    /// f(), whose refusals of values and shapes become those of this file.
    template <typename F>
    auto checked(F&& f) const {
        try {
            return f();
        } catch (io_error const&) {
            throw;
        } catch (error const& fault) {
            refuse(fault.what());
        }
    }

    [[nodiscard]] std::string const& name() const noexcept { return name_; }
    [[nodiscard]] std::string const& path() const noexcept { return path_; }

  private:
    std::string path_, name_;
    std::map<std::string, stored_tensor, std::less<>> tensors_;
};

namespace detail {

template <typename T>
[[nodiscard]] std::vector<T> numbers_of(stored_tensor const& tensor) {
    std::vector<T> values(tensor.bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = load_little_endian<T>(tensor.bytes.data() + i * sizeof(T));
    return values;
}
/// A tensor of two axes and 32-bit elements.
[[nodiscard]] inline row_major<std::uint32_t> words_of(stored_tensor const& tensor) {
    return {.rows = static_cast<std::size_t>(tensor.shape[0]),
            .cols = static_cast<std::size_t>(tensor.shape[1]),
            .values = numbers_of<std::uint32_t>(tensor)};
}

/// Scales of a layer as their patterns, [out, groups], as any_qmatrix holds them.
struct stored_scales {
    scale_type type = scale_type::f32;
    std::vector<std::uint8_t> patterns;
};

/// Reads F32, F16 or BF16 scales of the shape [groups, out] or, by rows, [out, groups]. Throws io_error
/// for another type or shape, and for a scale that is not finite.
[[nodiscard]] inline stored_scales read_scales(layer_tensors const& layer, std::string_view suffix,
                                               std::size_t out, std::size_t groups, bool by_rows) {
    stored_tensor const& tensor = layer.at(suffix);
    stored_scales scales;
    auto const* const known = std::ranges::find_if(scale_types, [&](auto const& entry) {
        return dtype_of(entry.value) == tensor.type && scale_bytes(entry.value) > 1;
    });
    std::vector<std::uint64_t> const shape =
        by_rows ? std::vector<std::uint64_t>{out, groups} : std::vector<std::uint64_t>{groups, out};
    if (known == scale_types.end() || tensor.shape != shape)
        layer.refuse(suffix, "F16, BF16 or F32 " + to_string(shape), tensor);
    scales.type = known->value;
    std::size_t const bytes = scale_bytes(scales.type);
    scales.patterns.resize(tensor.bytes.size());
    for (std::size_t o = 0; o < out; ++o)
        for (std::size_t g = 0; g < groups; ++g) {
            std::size_t const from = by_rows ? o * groups + g : g * out + o;
            std::uint32_t pattern = 0;
            for (std::size_t b = 0; b < bytes; ++b) {
                auto const byte = static_cast<std::uint8_t>(tensor.bytes[from * bytes + b]);
                pattern |= std::uint32_t{byte} << (8 * b);
                scales.patterns[(o * groups + g) * bytes + b] = byte;
            }
            if (is_nonfinite(load_scale(scales.type, pattern)))
                layer.refuse(
                    suffix, "finite scales",
                    "NaN or infinity at row " + std::to_string(o) + ", group " + std::to_string(g));
        }
    return scales;
}

/// The order that sorts inputs by group, and within a group as they are; empty if the groups are runs
/// of neighbours. Throws io_error unless each group but the last has `width` inputs.
[[nodiscard]] inline std::vector<std::uint32_t> read_order(layer_tensors const& layer,
                                                           std::string_view suffix, std::size_t in,
                                                           std::size_t width) {
    std::vector<std::int32_t> const group =
        numbers_of<std::int32_t>(layer.at(suffix, dtype::i32, {in}));
    std::size_t const groups = div_ceil(in, width);
    std::vector<std::size_t> next(groups);
    for (std::size_t g = 0; g < groups; ++g) next[g] = g * width;
    std::vector<std::uint32_t> order(in);
    bool are_runs = true;
    for (std::size_t i = 0; i < in; ++i) {
        if (group[i] < 0 || static_cast<std::size_t>(group[i]) >= groups)
            layer.refuse(suffix, "groups from 0 to " + std::to_string(groups - 1),
                         std::to_string(group[i]) + " at input " + std::to_string(i));
        auto const g = static_cast<std::size_t>(group[i]);
        if (next[g] == std::min(in, (g + 1) * width))
            layer.refuse(suffix,
                         std::to_string(std::min(width, in - g * width)) + " inputs in group " +
                             std::to_string(g),
                         "more");
        are_runs = are_runs && next[g] == i;
        order[next[g]++] = static_cast<std::uint32_t>(i);
    }
    if (are_runs) order.clear();
    return order;
}

/// Codes [out, in] by input, brought into the order of their groups, with scales and zero points [out,
/// groups]; `zeros` is not looked at if the scheme is symmetric.
[[nodiscard]] inline ordered_qmatrix matrix_of(scheme const& s,
                                               row_major<std::uint8_t> const& fields,
                                               stored_scales scales,
                                               row_major<std::uint8_t> const& zeros,
                                               std::vector<std::uint32_t> order,
                                               float tensor_scale = 1.0f) {
    std::size_t const row_bytes = packed_bytes(fields.cols, s.element.bits);
    std::vector<std::uint8_t> codes(checked_mul(fields.rows, row_bytes)), row(fields.cols);
    for (std::size_t o = 0; o < fields.rows; ++o) {
        for (std::size_t k = 0; k < row.size(); ++k)
            row[k] = fields(o, order.empty() ? k : order[k]);
        pack_fields(row, s.element.bits, {codes.data() + o * row_bytes, row_bytes});
    }
    std::vector<std::uint8_t> packed_zeros;
    if (s.has_zero_point()) {
        packed_zeros.resize(packed_bytes(zeros.values.size(), s.element.bits));
        pack_fields(zeros.values, s.element.bits, packed_zeros);
    }
    return {any_qmatrix(s, fields.rows, fields.cols, std::move(codes), std::move(scales.patterns),
                        std::move(packed_zeros), tensor_scale),
            std::move(order)};
}

}  // namespace detail
}  // namespace qtk
