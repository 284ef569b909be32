// SPDX-License-Identifier: Apache-2.0
//
// Any codes, scales and zeros under any scheme: every instruction set decodes them to the same bits, which
// are those of one field after the other.
#include <qtk/kernel/decode.hpp>

#include "kernel_input.hpp"

QTK_FUZZ_TARGET(decode) {
    fuzz::cursor in(data, size);
    auto const s = fuzz::any_scheme(in);
    if (!s) return 0;
    std::size_t const rows = in.below(5), cols = in.word() % 600u;
    qtk::tile_grid const grid(s->grain, rows, cols);
    float const tensor_scale = s->scale == qtk::scale_type::e4m3 ? fuzz::any_float(in) : 1.0f;
    auto scales = in.bytes(grid.count() * qtk::scale_bytes(s->scale));
    auto zeros =
        in.bytes(s->has_zero_point() ? qtk::packed_bytes(grid.count(), s->element.bits) : 0);
    auto codes = in.bytes(rows * qtk::packed_bytes(cols, s->element.bits));
    qtk::any_qmatrix const q(*s, rows, cols, std::move(codes), std::move(scales), std::move(zeros),
                             tensor_scale);

    std::vector<float> meaning(rows * cols), found(rows * cols);
    auto const level = qtk::levels_of(s->element);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < cols; ++c) {
            qtk::tile_params const p = q.params(r / grid.rows, c / grid.cols);
            std::uint8_t const field = q.field(r, c);
            meaning[r * cols + c] = s->element.is_integer()
                                        ? static_cast<float>(field - p.zero) * p.scale
                                        : level[field] * p.scale;
        }
    for (qtk::instruction_set const set : fuzz::usable_sets()) {
        qtk::row_decoder decoder(q, set);
        decoder.decode(0, rows, found.data());
        fuzz::require(fuzz::is_same(found, meaning));
        for (std::size_t r = 0; r < rows; ++r) decoder.stream(r, found.data() + r * cols);
        qtk::stream_fence();
        fuzz::require(fuzz::is_same(found, meaning));
    }
    return 0;
}
