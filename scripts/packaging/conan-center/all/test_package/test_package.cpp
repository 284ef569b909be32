// SPDX-License-Identifier: Apache-2.0
//
// One value is quantized in a matrix of codes: are the headers there?
#include <qtk/format/qmatrix.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/version.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

int main() {
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
    qtk::quantizer_for<w4> const quantizer{w4};
    qtk::tile_params const tile = quantizer.fit({-0.25f, 0.25f});
    qtk::qmatrix<w4> q(128, 256);
    q.set_row(7, std::vector<std::uint8_t>(256, quantizer.encode(0.25f, tile)));
    q.set_params(std::vector<qtk::tile_params>(q.grid().count(), tile));
    auto const back = static_cast<double>(quantizer.decode(q.field(7, 9), q.params(7, 9 / 64)));
    std::printf("%.2f bits per weight, back %.2f (qtk " QTK_VERSION_STRING ")\n",
                q.bits_per_weight(), back);
    return q.bits_per_weight() == 4.5 && back == 0.25 ? 0 : 1;
}
