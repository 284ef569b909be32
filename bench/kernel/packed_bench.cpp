// SPDX-License-Identifier: Apache-2.0
//
// How fast is Y = X W^T with weights that were packed for it? Every kind of activation on the
// widest instructions, and the main scheme on the plainer ones. X starts as floats: its
// quantization is timed.
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include "shapes.hpp"
#include <cstring>
#include <optional>
#include <vector>

namespace {

using namespace qtk_bench;
using qtk::activation_type;
using qtk::instruction_set;

constexpr char const* name_of(activation_type a) {
    switch (a) {
        case activation_type::bf16:
            return "bf16";
        case activation_type::a8_row:
            return "a8-row";
        case activation_type::a8_group:
            return "a8-group";
        case activation_type::a8_static:
            return "a8-static";
        case activation_type::f32:
            break;
    }
    return "f32";
}

constexpr arithmetic unit_of(activation_type a) {
    return a == activation_type::f32    ? arithmetic::f32
           : a == activation_type::bf16 ? arithmetic::bf16
                                        : arithmetic::int8;
}

struct packed_case {
    qtk::scheme scheme;
    activation_type activations;
    instruction_set isa;
    shape size;
    warmth heat;
};

/// The weights of one scheme, made once for the rows that follow each other.
qtk::packed_matrix const& packed_weights(qtk::scheme const& s, shape const& size) {
    static std::optional<qtk::packed_matrix> kept;
    if (!kept || kept->scheme() != s)
        kept = qtk::prepack(qtk::quantize_any(normal_weights(size.n, size.k), s));
    return *kept;
}

qtk::packed_matrix copy_of(qtk::packed_matrix const& w) {
    qtk::packed_matrix copy(w.scheme(), w.rows(), w.cols(), w.view().tensor_scale);
    std::memcpy(copy.data(), w.view().data, w.bytes());
    return copy;
}

void product(benchmark::State& state, packed_case const& c) {
    product_operands const operands(c.size);
    qtk::packed_matrix const& first = packed_weights(c.scheme, c.size);
    rotation<qtk::packed_matrix> weights(copies_of(first.bytes(), c.heat),
                                         [&] { return copy_of(first); });
    qtk::input_rows const x(operands.input());
    qtk::output_rows const y(operands.output());
    qtk::product_options const options{.activations = c.activations};
    run(state,
        product_work(c.size, first.bytes(), c.heat, unit_of(c.activations), c.isa, threads()),
        [&] { qtk::detail::checked_product(c.isa, weights.next(), x, y, options); });
}

void add(qtk::scheme const& scheme, activation_type activations, instruction_set isa, std::size_t m,
         warmth heat) {
    packed_case const c{scheme, activations, isa, {m, side(), side()}, heat};
    benchmark::RegisterBenchmark(
        bench_name(product_name(c.size), scheme_name(scheme), name_of(activations),
                   qtk::name_of(isa), c.size.text(), qtk_bench::name_of(heat))
            .c_str(),
        [c](benchmark::State& state) { product(state, c); });
}

void add_all_rows(qtk::scheme const& scheme, activation_type activations, instruction_set isa) {
    // One value at a time is there to be read: 512 rows would take a minute.
    std::size_t const most = isa == instruction_set::scalar ? 16 : 512;
    for (std::size_t const m : row_counts())
        for (warmth const heat : warmths_of({m, side(), side()}))
            if (m <= most) add(scheme, activations, isa, m, heat);
}

int const registered = [] {
    using qtk::per_group;
    constexpr qtk::scheme i4_g128{.element = qtk::i4, .grain = per_group(128)};
    instruction_set const widest = qtk::active_isa();
    for (instruction_set const isa : {instruction_set::xsimd, instruction_set::avx2,
                                      instruction_set::avx512, instruction_set::amx})
        if (isa < widest && qtk::is_usable(isa))
            for (std::size_t const m : row_counts())
                if (m == 1 || m >= 512)
                    add(i4_g128, activation_type::a8_group, isa, m, warmth::hot);
    for (auto const activations : {activation_type::a8_group, activation_type::a8_row,
                                   activation_type::bf16, activation_type::f32})
        add_all_rows(i4_g128, activations, widest);
    for (qtk::format const& f : {qtk::i3, qtk::i2})
        add_all_rows({.element = f, .grain = per_group(128)}, activation_type::a8_group, widest);
    add_all_rows({.element = qtk::i8, .grain = qtk::per_channel}, activation_type::a8_row, widest);
    add_all_rows(qtk::mxfp4, activation_type::a8_group, widest);
    add_all_rows({.element = qtk::nf4, .grain = per_group(64)}, activation_type::f32, widest);
    return 0;
}();

}  // namespace
