// SPDX-License-Identifier: Apache-2.0
//
// How fast are products with GGUF blocks as they lie in the file? With int8 activations their
// quantization is included; types without an int8 kernel meet floats.
#include <qtk/core/random.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/gguf_product.hpp>

#include "rates.hpp"
#include "shapes.hpp"
#include <string>
#include <vector>

namespace {

using namespace qtk_bench;

struct gguf_case {
    qtk::gguf_type type;
    qtk::instruction_set isa;
    shape size;
    warmth heat;
};

void product(benchmark::State& state, gguf_case const& c) {
    qtk::gguf_view w{c.type, {}, c.size.n, c.size.k};
    std::size_t const block = w.block_bytes(), size = c.size.n * w.row_blocks() * block;
    std::size_t const copies = copies_of(size, c.heat);
    huge_buffer const bytes(copies * size);
    qtk::splitmix64 random(1);
    for (std::uint8_t& byte : bytes.as<std::uint8_t>()) byte = static_cast<std::uint8_t>(random());
    // Random halves may be infinite: 2^-4 instead, and small bfloat16s.
    auto const put = [&](std::size_t at, std::uint8_t byte) {
        for (std::size_t i = 0; i < bytes.size(); i += block) bytes.data()[i + at] = byte;
    };
    if (c.type == qtk::gguf_type::bf16)
        put(1, 0x3c);
    else
        put(c.type == qtk::gguf_type::q6_K ? 209 : 1, 0x2c);
    if (c.type == qtk::gguf_type::q4_K || c.type == qtk::gguf_type::q5_K) put(3, 0x2c);

    product_operands const operands(c.size);
    std::size_t at = 0;
    bool const is_int8 = qtk::has_int8_kernel(c.type);
    auto const unit = is_int8 ? arithmetic::int8 : arithmetic::f32;
    run(state, product_work(c.size, size, c.heat, unit, c.isa, threads()), [&] {
        w.bytes = {bytes.data() + at * size, size};
        at = (at + 1) % copies;
        qtk::detail::checked_gguf_product(
            c.isa, w, operands.input(), operands.output(),
            {.activations = is_int8 ? qtk::activation_type::a8_group : qtk::activation_type::f32});
    });
}

int const registered = [] {
    // Blocks of 256: no side is smaller.
    std::size_t const cols = std::max<std::size_t>(side(), 256);
    for (qtk::gguf_type const type :
         {qtk::gguf_type::q4_0, qtk::gguf_type::q8_0, qtk::gguf_type::q4_K, qtk::gguf_type::q6_K,
          qtk::gguf_type::q5_K, qtk::gguf_type::f16, qtk::gguf_type::bf16})
        for (auto const isa : {qtk::instruction_set::avx2, qtk::instruction_set::avx512}) {
            if (!qtk::is_usable(isa)) continue;
            for (std::size_t const m : row_counts()) {
                if (m > 16 && m < 512) continue;
                shape const s{m, side(), cols};
                for (warmth const heat : warmths_of(s))
                    benchmark::RegisterBenchmark(
                        bench_name(product_name(s), qtk::name_of(type),
                                   qtk::has_int8_kernel(type) ? "a8-group" : "f32",
                                   qtk::name_of(isa), s.text(), name_of(heat))
                            .c_str(),
                        [=](benchmark::State& state) {
                            product(state, {type, isa, s, heat});
                        });
            }
        }
    return 0;
}();

}  // namespace
