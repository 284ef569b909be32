// SPDX-License-Identifier: Apache-2.0
#include "row_source.hpp"

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/format/half.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/quantize.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

/// A page of memory: what was read ends within one, so the next release goes that far back.
constexpr std::size_t page = 4096;
/// Bytes of a file that are read between two releases.
constexpr std::size_t step_bytes = std::size_t{4} << 20;

[[nodiscard]] bool is_float(qtk::dtype type) noexcept {
    return type == qtk::dtype::f32 || type == qtk::dtype::f16 || type == qtk::dtype::bf16 ||
           type == qtk::dtype::f64;
}

/// `to[i]` = number i of `from`, `stride` numbers apart.
void decode(qtk::dtype type, std::byte const* from, std::size_t stride, std::span<float> to) {
    auto const all = [&]<typename T>(T, auto convert) {
        for (std::size_t i = 0; i < to.size(); ++i)
            to[i] = convert(qtk::load_little_endian<T>(from + i * stride * sizeof(T)));
    };
    switch (type) {
        case qtk::dtype::f32:
            return all(float{}, [](float x) { return x; });
        case qtk::dtype::f16:
            return all(std::uint16_t{}, [](std::uint16_t x) { return qtk::f16_to_float(x); });
        case qtk::dtype::bf16:
            return all(std::uint16_t{}, [](std::uint16_t x) { return qtk::bf16_to_float(x); });
        default:
            return all(double{}, [](double x) { return static_cast<float>(x); });
    }
}

/// Shapes were checked against the file when it was opened.
struct sides {
    std::size_t rows, cols;
};
[[nodiscard]] sides sides_of(std::vector<std::uint64_t> const& shape) {
    std::uint64_t rows = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows = qtk::checked_mul(rows, shape[i]);
    return {qtk::checked_cast<std::size_t>(rows),
            shape.empty() ? 1 : qtk::checked_cast<std::size_t>(shape.back())};
}

class dense_rows final : public row_source {
  public:
    dense_rows(qtk::safetensors_file const& file, qtk::tensor_info const& info, sides s)
        : row_source(s.rows, s.cols), file_(file), type_(info.type), bytes_(file.bytes(info)) {}

    [[nodiscard]] bool has_floats() const noexcept override { return is_float(type_); }
    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        std::size_t const size = row_bytes();
        qtk::parallel_for(to.rows, to.size(), [&](std::size_t r) {
            decode(type_, bytes_.data() + (first + r) * size, 1, to.row(r));
        });
        std::size_t const start = first * size, back = std::min(start, page);
        file_.release(bytes_.subspan(start - back, to.rows * size + back));
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override {
        return cols() * qtk::bits_of(type_) / 8;
    }
    [[nodiscard]] std::span<std::byte const> raw() const noexcept override { return bytes_; }
    void release(std::span<std::byte const> part) const override { file_.release(part); }

  private:
    qtk::safetensors_file const& file_;
    qtk::dtype type_;
    std::span<std::byte const> bytes_;
};

class transposed_dense_rows final : public row_source {
  public:
    transposed_dense_rows(qtk::safetensors_file const& file, qtk::tensor_info const& info, sides s)
        : row_source(s.cols, s.rows), file_(file), type_(info.type), bytes_(file.bytes(info)) {}

    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        std::size_t const size = qtk::bits_of(type_) / 8, stored_row = rows() * size;
        std::size_t const step = std::max<std::size_t>(1, step_bytes / std::max(stored_row, page));
        for (std::size_t c = 0; c < cols(); c += step) {
            std::size_t const count = std::min(step, cols() - c);
            qtk::parallel_for(to.rows, to.rows * count, [&](std::size_t r) {
                decode(type_, bytes_.data() + c * stored_row + (first + r) * size, rows(),
                       to.row(r).subspan(c, count));
            });
            file_.release(bytes_.subspan(c * stored_row, count * stored_row));
        }
        file_.release(bytes_);
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override { return 0; }

  private:
    qtk::safetensors_file const& file_;
    qtk::dtype type_;
    std::span<std::byte const> bytes_;
};

class quantized_rows final : public row_source {
  public:
    quantized_rows(qtk::safetensors_file const& file, qtk::stored_qmatrix const& q)
        : row_source(q.rows(), q.cols()), file_(file), q_(q) {}

    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        bool const is_one_tile = q_.scheme.grain == qtk::per_tensor;
        std::size_t const start = is_one_tile ? first : first / q_.grid.rows * q_.grid.rows;
        qtk::any_qmatrix const part = q_.part(start, first + to.rows - start);
        qtk::matrix const values = qtk::dequantize(part);
        for (std::size_t r = 0; r < to.rows; ++r)
            std::ranges::copy(values.view().row(first - start + r), to.row(r).begin());
        std::size_t const at = start * q_.row_bytes, back = std::min(at, page);
        file_.release(q_.codes.subspan(at - back, part.rows() * q_.row_bytes + back));
        file_.release(q_.scales);
        file_.release(q_.zeros);
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override {
        return 2 * q_.row_bytes + sizeof(float) * cols() + 16 * q_.grid.across;
    }

  private:
    qtk::safetensors_file const& file_;
    qtk::stored_qmatrix q_;
};

/// Columns of a matrix that is decoded from the start for each part: for few, large parts.
class turned_rows final : public row_source {
  public:
    explicit turned_rows(shared_rows from)
        : row_source(from->cols(), from->rows()), from_(std::move(from)) {}

    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        std::size_t const step =
            std::max<std::size_t>(1, step_bytes / (sizeof(float) * (rows() + 1)));
        for (std::size_t c = 0; c < cols(); c += step) {
            qtk::matrix part(std::min(step, cols() - c), rows());
            from_->read(c, part.view());
            for (std::size_t k = 0; k < part.rows(); ++k)
                for (std::size_t r = 0; r < to.rows; ++r) to(r, c + k) = part(k, first + r);
        }
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override { return 0; }

  private:
    shared_rows from_;
};

class block_rows final : public row_source {
  public:
    block_rows(qtk::gguf_file const& file, qtk::gguf_tensor const& tensor)
        : row_source(static_cast<std::size_t>(tensor.values() / tensor.dims[0]),
                     static_cast<std::size_t>(tensor.dims[0])),
          file_(file),
          bytes_(file.bytes(tensor)),
          view_{tensor.type,
                {reinterpret_cast<std::uint8_t const*>(bytes_.data()), bytes_.size()},
                rows(),
                cols()} {}

    [[nodiscard]] bool has_floats() const noexcept override {
        return qtk::has_gguf_decoder(view_.type);
    }
    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        qtk::parallel_for(to.rows, 4 * to.size(), [&](std::size_t r) {
            qtk::decode_gguf_row(view_, first + r, to.row(r));
        });
        std::size_t const start = first * row_bytes(), back = std::min(start, page);
        file_.release(bytes_.subspan(start - back, to.rows * row_bytes() + back));
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override { return bytes_.size() / rows(); }
    [[nodiscard]] std::span<std::byte const> raw() const noexcept override { return bytes_; }
    void release(std::span<std::byte const> part) const override { file_.release(part); }

  private:
    qtk::gguf_file const& file_;
    std::span<std::byte const> bytes_;
    qtk::gguf_view view_;
};

class paired_rows final : public row_source {
  public:
    paired_rows(shared_rows from, std::size_t head_dim)
        : row_source(from->rows(), from->cols()), from_(std::move(from)), head_dim_(head_dim) {}

    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        for (std::size_t r = 0; r < to.rows; ++r) {
            std::size_t const row = source_row(first + r);
            from_->read(row, qtk::matrix_view<float>(to.row(r).data(), 1, cols()));
        }
    }
    [[nodiscard]] std::size_t source_row(std::size_t r) const noexcept override {
        std::size_t const in_head = r % head_dim_, head = r - in_head;
        return head + in_head / 2 + (in_head % 2 == 1 ? head_dim_ / 2 : 0);
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override { return from_->row_bytes(); }

  private:
    shared_rows from_;
    std::size_t head_dim_;
};

class held_blocks final : public row_source {
  public:
    held_blocks(qtk::gguf_type type, std::vector<std::uint8_t> blocks, std::size_t rows,
                std::size_t cols)
        : row_source(rows, cols), blocks_(std::move(blocks)), view_{type, blocks_, rows, cols} {
        qtk::require_gguf(view_);
    }
    void read(std::size_t first, qtk::matrix_view<float> to) const override {
        for (std::size_t r = 0; r < to.rows; ++r) qtk::decode_gguf_row(view_, first + r, to.row(r));
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override {
        return blocks_.size() / rows();
    }
    [[nodiscard]] std::span<std::byte const> raw() const noexcept override {
        return std::as_bytes(std::span(blocks_));
    }

  private:
    std::vector<std::uint8_t> blocks_;
    qtk::gguf_view view_;
};

class float_rows final : public row_source {
  public:
    explicit float_rows(std::vector<float> values)
        : row_source(1, values.size()), values_(std::move(values)) {}
    void read(std::size_t, qtk::matrix_view<float> to) const override {
        std::ranges::copy(values_, to.data);
    }
    [[nodiscard]] std::size_t row_bytes() const noexcept override { return 4 * cols(); }

  private:
    std::vector<float> values_;
};

}  // namespace

shared_rows rows_of(qtk::safetensors_file const& file, qtk::tensor_info const& info) {
    return std::make_shared<dense_rows>(file, info, sides_of(info.shape));
}
shared_rows transposed_rows_of(qtk::safetensors_file const& file, qtk::tensor_info const& info) {
    if (info.shape.size() != 2 || !is_float(info.type))
        throw qtk::io_error(file.path(), "tensor " + qtk::quoted(info.name) +
                                             ": expected a matrix of floats, found " +
                                             qtk::to_string(info.shape) + " " +
                                             std::string(qtk::name_of(info.type)));
    return std::make_shared<transposed_dense_rows>(file, info, sides_of(info.shape));
}
shared_rows rows_of(qtk::safetensors_file const& file, qtk::stored_qmatrix const& q,
                    bool is_transposed) {
    shared_rows rows = std::make_shared<quantized_rows>(file, q);
    if (is_transposed) return std::make_shared<turned_rows>(std::move(rows));
    return rows;
}
shared_rows rows_of(qtk::gguf_file const& file, qtk::gguf_tensor const& tensor) {
    return std::make_shared<block_rows>(file, tensor);
}
shared_rows paired_rows_of(shared_rows from, std::size_t head_dim) {
    return std::make_shared<paired_rows>(std::move(from), head_dim);
}
shared_rows rows_of(qtk::gguf_type type, std::vector<std::uint8_t> blocks, std::size_t rows,
                    std::size_t cols) {
    return std::make_shared<held_blocks>(type, std::move(blocks), rows, cols);
}
shared_rows rows_of(std::vector<float> values) {
    return std::make_shared<float_rows>(std::move(values));
}

}  // namespace app
