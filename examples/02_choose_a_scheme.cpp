// SPDX-License-Identifier: Apache-2.0
//
// Which scheme suits these weights? Spelled at run time, tried one after the other.
#include <qtk/core/random.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/stats/distortion.hpp>

#include <cstdio>
#include <span>
#include <vector>

int main(int argc, char** argv) {
    std::vector<float> const weight = qtk::gaussian_vector(256 * 1024, 42);
    qtk::matrix_view<float const> const view(weight.data(), 256, 1024);

    char const* const usual[] = {"i8/channel", "i4/channel", "i4/g64", "i4/g64/asym/f16",
                                 "nf4/g64",    "mxfp4",      "nvfp4"};
    std::span<char const* const> spellings = usual;
    if (argc > 1) spellings = std::span<char const* const>(argv + 1, argv + argc);
    try {
        for (char const* const spelling : spellings) {
            //! [choose]
            qtk::scheme const s = qtk::parse_scheme(spelling);
            qtk::any_qmatrix const q = qtk::quantize_any(view, s);
            //! [choose]
            auto const error = qtk::distortion_of(std::span<float const>(weight),
                                                  qtk::dequantize(q).view().flat());
            std::printf("%-22s %6.3f bits  %6.2f dB\n", qtk::to_string(s).c_str(),
                        q.bits_per_weight(), error.sqnr_db());
        }
    } catch (qtk::error const& e) {
        std::fprintf(stderr, "error: %s\n", e.what());
        return 2;
    }
}
