// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/layer_task.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

namespace {

constexpr qtk::scheme w3{
    .element = qtk::i3, .grain = qtk::per_group(16), .zero = qtk::origin::floating};

qtk::matrix noise(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    qtk::matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

}  // namespace

TEST_CASE("a layer's method does what the method does on its matrix") {
    qtk::matrix const w = noise(6, 40, 1), x = noise(100, 40, 2);
    qtk::input_statistics seen(40);
    seen.add(x.view());
    qtk::layer_task const task{"layer", w3, w.view(), &seen};
    CHECK(qtk::run_method(qtk::parse_method("rtn"), task).weight.matrix == qtk::quantize<w3>(w));
    CHECK(qtk::run_method(qtk::parse_method("mse"), task).weight.matrix ==
          qtk::quantize<w3>(w, qtk::mse_range{}));
    CHECK(qtk::run_method(qtk::parse_method("gptq"), task).weight.matrix ==
          qtk::gptq(seen.hessian()).quantize(w3, w.view()));
    auto const ordered = qtk::run_method(qtk::parse_method("gptq:act"), task);
    CHECK(ordered.weight.order.size() == 40);
    CHECK(ordered.note.empty());
}

TEST_CASE("a Hessian that needed more damping is mentioned") {
    // Twice the same column: without damping there is no factor.
    qtk::matrix const w = noise(2, 2, 3);
    qtk::matrix x(2, 2);  // H = [16 16; 16 16], whose factor is exact in floats
    x(1, 0) = x(1, 1) = 4.0f;
    qtk::input_statistics seen(2);
    seen.add(x.view());
    auto const codes = qtk::run_method(qtk::parse_method("gptq:damp=0"),
                                       {"layer", {.element = qtk::i4}, w.view(), &seen});
    CHECK(codes.note.find("after 1 smaller ones failed") != std::string::npos);
}
