// SPDX-License-Identifier: Apache-2.0
//
// What `qtk bench --device cuda` runs on a device, run on the CPU by the emulator: the figures mean
// nothing there, but the products are compared with sums in double.
#include "../../examples/apps/common/device_bench.cu"

#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {

constexpr qtk::scheme w4{
    .element = qtk::i4, .grain = qtk::per_group(32), .scale = qtk::scale_type::f16},
    w8{.element = qtk::i8, .grain = qtk::per_channel},
    w8_tensor{.element = qtk::i8, .grain = qtk::per_tensor},
    w3{.element = qtk::i3, .grain = qtk::per_group(32)};

template <qtk::scheme S>
qtk::any_qmatrix some_weight() {
    static std::vector<float> const values = qtk::gaussian_vector(48 * 96, 1);
    return qtk::quantize<S>(qtk::matrix_view<float const>(values.data(), 48, 96));
}

void expect_times(qtk::any_qmatrix const& weight, qtk::layer_activations const& how,
                  std::size_t least_bytes) {
    app::device_times const times = app::time_on_device(weight, how, 5, 3, 1);
    CHECK(times.bytes >= least_bytes);
    CHECK(times.bytes < 2 * least_bytes);
    for (auto const* const seconds : {&times.one_row, &times.rows}) {
        CHECK(seconds->size() == 3);
        for (double const s : *seconds) CHECK(s > 0.0);
    }
}

}  // namespace

TEST_CASE("the device is described, with a bandwidth that was measured") {
    app::device_description const device = app::find_device();
    CHECK(device.name == "emulated on the CPU");
    CHECK(device.sm == 75);
    CHECK(device.read_bandwidth > 0.0);
}

TEST_CASE("a layer is checked and timed with the activations of its format") {
    using qtk::activation_type;
    expect_times(some_weight<w4>(), {}, 48 * 96 / 2);
    expect_times(some_weight<w4>(), {.type = activation_type::a8_group}, 48 * 96 / 2);
    expect_times(some_weight<w8>(), {.type = activation_type::a8_row}, 48 * 96);
    expect_times(some_weight<w8_tensor>(), {.type = activation_type::a8_row}, 48 * 96);
    expect_times(some_weight<w8>(), {.type = activation_type::a8_row, .has_outliers = true},
                 48 * 96);
}

TEST_CASE("what has no kernel on the device is refused with the reason") {
    auto const refusal = [](qtk::any_qmatrix const& weight, qtk::layer_activations const& how) {
        try {
            static_cast<void>(app::time_on_device(weight, how, 5, 1, 0));
        } catch (qtk::value_error const& e) {
            return std::string(e.what());
        }
        return std::string("accepted");
    };
    CHECK(refusal(some_weight<w3>(), {}).find("kernels take 4 and 8 bits") != std::string::npos);
    CHECK(refusal(some_weight<w8>(), {}).find("8 bits multiply int8 activations") !=
          std::string::npos);
    CHECK(refusal(some_weight<w4>(), {.type = qtk::activation_type::bf16})
              .find("a8_group or llm_int8") != std::string::npos);
}
