// SPDX-License-Identifier: Apache-2.0
//
// Quantized layers that depend on a seed alone, and what a test says about the files that hold them.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/io/layer_tensors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// Any codes, scales that every type but e8m0 holds, any zero points.
[[nodiscard]] inline qtk::any_qmatrix random_layer(qtk::scheme const& s, std::size_t rows,
                                                   std::size_t cols, std::uint64_t seed = 1) {
    qtk::splitmix64 random(seed);
    qtk::any_qmatrix q(s, rows, cols);
    std::uint64_t const patterns = static_cast<std::uint64_t>(s.element.patterns());
    std::vector<std::uint8_t> fields(cols);
    for (std::size_t r = 0; r < rows; ++r) {
        for (auto& f : fields) f = static_cast<std::uint8_t>(random() % patterns);
        // 0x7f and 0xff of e4m3 are no numbers.
        if (s.element == qtk::e4m3)
            for (auto& f : fields) f = static_cast<std::uint8_t>(f & 0xbf);
        q.set_row(r, fields);
    }
    std::vector<qtk::tile_params> params(q.grid().count());
    for (auto& p : params)
        p = {s.scale == qtk::scale_type::e8m0
                 ? 0.25f
                 : 0.125f * static_cast<float>(8 + random() % 8) / 8.0f,
             s.has_zero_point() ? static_cast<int>(random() % patterns)
                                : qtk::symmetric_zero(s.element)};
    q.set_params(params, s.scale == qtk::scale_type::e4m3 ? 0.5f : 1.0f);
    return q;
}

/// The same with its columns dealt out to the groups like cards.
[[nodiscard]] inline qtk::ordered_qmatrix dealt_layer(qtk::scheme const& s, std::size_t rows,
                                                      std::size_t cols, std::uint64_t seed = 1) {
    qtk::ordered_qmatrix q{random_layer(s, rows, cols, seed), {}};
    std::size_t const groups = q.matrix.grid().across;
    for (std::size_t g = 0; g < groups; ++g)
        for (std::size_t i = g; i < cols; i += groups)
            q.order.push_back(static_cast<std::uint32_t>(i));
    // As readers give them back: rising within a group.
    auto const width = static_cast<std::ptrdiff_t>(q.matrix.grid().cols);
    for (auto at = q.order.begin(); at != q.order.end();) {
        auto const end = q.order.end() - at > width ? at + width : q.order.end();
        std::sort(at, end);
        at = end;
    }
    return q;
}

/// The 32-bit words of a tensor.
[[nodiscard]] inline std::vector<std::uint32_t> words_in(qtk::encoded_layer const& layer,
                                                         std::string_view suffix) {
    auto const& bytes = layer.find(suffix)->bytes;
    std::vector<std::uint32_t> words(bytes.size() / 4);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
}

/// A layer whose tensors a test can bend.
struct bent_layer {
    qtk::encoded_layer layer;

    qtk::layer_tensor& at(std::string_view suffix) {
        return *std::ranges::find_if(
            layer.tensors, [&](qtk::layer_tensor const& t) { return t.plan.suffix == suffix; });
    }
    bent_layer& erase(std::string_view suffix) {
        std::erase_if(layer.tensors,
                      [&](qtk::layer_tensor const& t) { return t.plan.suffix == suffix; });
        return *this;
    }
    /// Another shape of another size: bytes are cut or filled with zeros.
    bent_layer& reshape(std::string_view suffix, std::vector<std::uint64_t> const& shape) {
        auto& tensor = at(suffix);
        tensor.plan.shape = shape;
        std::uint64_t size = qtk::bits_of(tensor.plan.type) / 8;
        for (auto const side : shape) size *= side;
        tensor.bytes.resize(size);
        return *this;
    }
    bent_layer& retype(std::string_view suffix, qtk::dtype type) {
        at(suffix).plan.type = type;
        return reshape(suffix, std::vector(at(suffix).plan.shape));
    }
    template <typename T>
    bent_layer& set(std::string_view suffix, std::size_t index, T value) {
        std::memcpy(at(suffix).bytes.data() + index * sizeof(T), &value, sizeof(T));
        return *this;
    }
    bent_layer& set_text(std::string_view suffix, std::string const& text) {
        reshape(suffix, {text.size()});
        std::memcpy(at(suffix).bytes.data(), text.data(), text.size());
        return *this;
    }

    /// What `read` says of it, without file and layer.
    template <typename Read>
    [[nodiscard]] std::string refusal(Read&& read) const {
        try {
            static_cast<void>(read(qtk::layer_tensors(layer, "p")));
        } catch (qtk::io_error const& fault) {
            std::string const text = fault.what(), start = "memory: layer \"p\": ";
            return text.starts_with(start) ? text.substr(start.size()) : text;
        }
        return "accepted";
    }
};

}  // namespace test
