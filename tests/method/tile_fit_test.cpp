// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/tile_fit.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

TEST_CASE("tiles are fitted as round to nearest fits them, in every granularity") {
    auto const values = qtk::gaussian_vector(10 * 50, 1);
    qtk::matrix_view<float const> const w(values.data(), 10, 50);
    for (qtk::granularity const grain :
         {qtk::per_tensor, qtk::per_channel, qtk::per_group(16), qtk::per_block(4, 20)})
        for (qtk::scheme const& s :
             {qtk::scheme{.element = qtk::i4, .grain = grain, .zero = qtk::origin::floating},
              qtk::scheme{.element = qtk::e2m1, .grain = grain, .scale = qtk::scale_type::e4m3}}) {
            CAPTURE(qtk::to_string(s));
            for (qtk::tile_range const& range :
                 {qtk::tile_range(qtk::minmax_range{}), qtk::tile_range(qtk::mse_range{})}) {
                qtk::any_qmatrix const nearest = std::visit(
                    [&](auto const& how) { return qtk::quantize_any(w, s, how); }, range);
                float const tensor_scale = nearest.tensor_scale();
                // Round to nearest searches before it knows the tensor scale, this afterwards.
                bool const searches = std::holds_alternative<qtk::mse_range>(range);
                if (searches && s.scale == qtk::scale_type::e4m3) continue;
                if (!searches) CHECK(qtk::detail::tensor_scale_of(s, w) == tensor_scale);
                auto const params =
                    qtk::fit_tiles(s, w, qtk::any_quantizer(s, tensor_scale), range, "w");
                for (std::size_t i = 0; i < nearest.grid().down; ++i)
                    for (std::size_t j = 0; j < nearest.grid().across; ++j)
                        CHECK(params[i * nearest.grid().across + j] == nearest.params(i, j));
            }
        }
}

TEST_CASE("a scale too small for its type names its tile") {
    std::vector<float> w(8, 1e-30f);
    qtk::scheme const s{
        .element = qtk::i8, .grain = qtk::per_group(4), .scale = qtk::scale_type::f16};
    w[0] = 1e30f;  // f16 ends at 65504
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::fit_tiles(s, {w.data(), 1, 8}, qtk::any_quantizer(s), {}, "layer")),
        "layer: tile 0 needs a larger scale than its type can store. Hint: scale_type f32 or bf16",
        qtk::value_error);
}
