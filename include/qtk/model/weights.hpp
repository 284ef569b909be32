// SPDX-License-Identifier: Apache-2.0
//
// Where do the weights of a network come from? A network asks for its tensors by name and shape; a
// reader of some kind of file finds them, checks every value for NaN and infinity, and knows in the end
// whether a tensor was left over: an unread weight means another network than the one that was built.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/weight_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// How a file of floats holds the weight of a linear layer.
enum class weight_order : std::uint8_t { out_in, in_out };

/// The weight of a linear layer, whose columns may have another order than its inputs.
struct layer_weight {
    weight_matrix weight;
    std::vector<std::uint32_t> order;  ///< column k belongs to input order[k]; empty: to input k
};

/// Names are those of Hugging Face's files, whatever the file calls its tensors.
class weight_reader {
  public:
    weight_reader() = default;
    weight_reader(weight_reader const&) = delete;
    weight_reader& operator=(weight_reader const&) = delete;
    virtual ~weight_reader() = default;

    [[nodiscard]] virtual bool has(std::string_view name) const = 0;

    /// The `size` values of a tensor of one axis. Throws io_error if it is missing or has another
    /// shape, nonfinite_error unless the policy says otherwise.
    [[nodiscard]] virtual std::vector<float> vector(std::string const& name, std::size_t size) = 0;

    /// A tensor [rows, cols]; throws like vector().
    [[nodiscard]] virtual weight_matrix weight(std::string const& name, std::size_t rows,
                                               std::size_t cols) = 0;

    /// [rows, cols] of a tensor that Hugging Face's files hold as [cols, rows], as GPT-2's do; throws
    /// like vector().
    [[nodiscard]] virtual weight_matrix transposed(std::string const& name, std::size_t rows,
                                                   std::size_t cols) = 0;

    /// [rows, cols] of a linear layer in the form that the file has, whose columns may have an order; throws
    /// like vector().
    [[nodiscard]] virtual layer_weight layer(std::string const& name, std::size_t rows,
                                             std::size_t cols, weight_order order) {
        return {
            order == weight_order::out_in ? weight(name, rows, cols) : transposed(name, rows, cols),
            {}};
    }

    /// A tensor that the network can do without: a stored mask, a copy of a tied weight.
    virtual void ignore(std::string const& name) = 0;

    /// Throws io_error naming the first tensor that was neither read nor ignored.
    virtual void require_all_used() const = 0;
};

/// NaN and infinities of a matrix of f32, f16 or bf16 in a file; of the other types nothing is found here.
[[nodiscard]] inline nonfinite_scan find_nonfinite(gguf_view const& w) {
    std::vector<nonfinite_scan> rows(w.rows);
    auto const scan = [&]<typename T>(T exponent) {
        parallel_for(w.rows, w.rows * w.cols / 8, [&](std::size_t r) {
            nonfinite_scan& found = rows[r];
            std::uint8_t const* const row = w.row(r);
            for (std::size_t c = 0; c < w.cols; ++c) {
                T bits;
                std::memcpy(&bits, row + c * sizeof(T), sizeof(T));
                found.count += (bits & exponent) == exponent ? 1u : 0u;
            }
            if (found.count == 0) return;
            for (T bits{}; (bits & exponent) != exponent; ++found.first)
                std::memcpy(&bits, row + found.first * sizeof(T), sizeof(T));
            found.first += r * w.cols - 1;
        });
    };
    if (w.type == gguf_type::f32) scan(std::uint32_t{0x7f800000});
    if (w.type == gguf_type::f16) scan(std::uint16_t{0x7c00});
    if (w.type == gguf_type::bf16) scan(std::uint16_t{0x7f80});
    nonfinite_scan all;
    for (nonfinite_scan const& row : rows) {
        if (all.count == 0 && row.count > 0) all.first = row.first;
        all.count += row.count;
    }
    return all;
}

/// Halves of a matrix, as a layer of that type holds them: f16 or bf16, rounded to nearest even.
[[nodiscard]] inline weight_matrix half_weight(matrix_view<float const> w, gguf_type type) {
    auto const halves = std::make_shared<std::vector<std::uint16_t>>(w.size());
    parallel_for(w.rows, w.size(), [&](std::size_t r) {
        std::uint16_t* to = halves->data() + r * w.cols;
        for (float const x : w.row(r))
            *to++ = type == gguf_type::f16 ? float_to_f16(x) : float_to_bf16(x);
    });
    auto const* const bytes = reinterpret_cast<std::uint8_t const*>(halves->data());
    return stored_weight{{type, {bytes, 2 * w.size()}, w.rows, w.cols}, halves};
}

}  // namespace qtk
