// SPDX-License-Identifier: Apache-2.0
//
// Prints the bits of int8 products, the same on every machine; fails if the portable path has others
// than the scalar one.
#include <qtk/core/random.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

std::uint64_t bits_of_product(qtk::instruction_set isa, qtk::scheme const& s, std::size_t m) {
    constexpr std::size_t n = 40, k = 200;
    qtk::any_qmatrix q(s, n, k);
    qtk::splitmix64 random(m);
    std::vector<std::uint8_t> fields(k);
    for (std::size_t r = 0; r < n; ++r) {
        for (std::uint8_t& field : fields)
            field = static_cast<std::uint8_t>(
                qtk::uniform_index(random, static_cast<std::uint64_t>(s.element.patterns())));
        q.set_row(r, fields);
    }
    std::vector<qtk::tile_params> params(q.grid().count());
    for (qtk::tile_params& p : params)
        p = {0.25f + 0.125f * static_cast<float>(qtk::uniform_index(random, 16)),
             s.has_zero_point() ? 1 : qtk::symmetric_zero(s.element)};
    q.set_params(params);
    std::vector<float> x(m * k), y(m * n);
    for (float& v : x)
        v = static_cast<float>(static_cast<int>(qtk::uniform_index(random, 2001)) - 1000) / 64.0f;
    qtk::detail::checked_product(
        isa, qtk::prepack(q), qtk::matrix_view<float const>(x.data(), m, k),
        qtk::matrix_view<float>(y.data(), m, n), {.activations = qtk::activation_type::a8_group});
    std::uint64_t hash = 14695981039346656037u;
    for (float const v : y) hash = (hash ^ std::bit_cast<std::uint32_t>(v)) * 1099511628211u;
    return hash;
}

}  // namespace

int main() {
    for (qtk::format const& f : {qtk::i2, qtk::i3, qtk::i4, qtk::i6, qtk::i8, qtk::nf4})
        for (std::size_t const m : {1u, 6u}) {
            qtk::scheme const s{
                .element = f,
                .grain = qtk::per_group(64),
                .zero = f.is_integer() ? qtk::origin::floating : qtk::origin::fixed};
            std::uint64_t const bits = bits_of_product(qtk::instruction_set::scalar, s, m);
            std::printf("%s, %d rows: %016llx\n", std::string(qtk::name_of(f)).c_str(),
                        static_cast<int>(m), static_cast<unsigned long long>(bits));
            if (qtk::is_usable(qtk::instruction_set::xsimd) &&
                bits_of_product(qtk::instruction_set::xsimd, s, m) != bits) {
                std::puts("the portable path has other bits");
                return 1;
            }
        }
}
