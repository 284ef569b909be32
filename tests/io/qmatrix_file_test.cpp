// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

namespace {

/// A file that is gone after the test.
struct scratch_file {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("qtk_qmatrix_" + std::to_string(::getpid()) + ".safetensors");
    ~scratch_file() { std::filesystem::remove(path); }
};

template <qtk::scheme S>
qtk::any_qmatrix sample() {
    auto const w = qtk::gaussian_vector(7 * 50, 1);
    return qtk::quantize<S>(qtk::matrix_view<float const>(w.data(), 7, 50));
}

}  // namespace

TEST_CASE("a quantized matrix comes back from a file as it went in") {
    scratch_file const file;
    qtk::any_qmatrix const all[] = {
        sample<{.element = qtk::i4, .grain = qtk::per_group(16), .zero = qtk::origin::floating}>(),
        sample<{.element = qtk::i3, .grain = qtk::per_channel, .scale = qtk::scale_type::f16}>(),
        sample<{
            .element = qtk::nf4, .grain = qtk::per_group(64), .scale = qtk::scale_type::bf16}>(),
        sample<qtk::mxfp4>(), sample<qtk::nvfp4>()};
    qtk::safetensors_writer writer;
    for (auto const& q : all) qtk::add_qmatrix(writer, "layer " + to_string(q.scheme()), q);
    writer.write(file.path);
    auto const read = qtk::safetensors_file::open(file.path);
    for (auto const& q : all) CHECK(qtk::read_qmatrix(read, "layer " + to_string(q.scheme())) == q);
}

TEST_CASE("a few rows of a stored matrix decode as they do in the whole") {
    scratch_file const file;
    qtk::any_qmatrix const all[] = {
        sample<{.element = qtk::i3, .grain = qtk::per_group(16), .zero = qtk::origin::floating}>(),
        sample<{
            .element = qtk::i4, .grain = qtk::per_block(2, 16), .zero = qtk::origin::floating}>(),
        sample<{.element = qtk::i8, .grain = qtk::per_tensor, .scale = qtk::scale_type::f16}>(),
        sample<qtk::nvfp4>()};
    qtk::safetensors_writer writer;
    for (auto const& q : all) qtk::add_qmatrix(writer, to_string(q.scheme()), q);
    writer.write(file.path);
    auto const read = qtk::safetensors_file::open(file.path);
    for (auto const& q : all) {
        CAPTURE(to_string(q.scheme()));
        CHECK(qtk::has_qmatrix(read, to_string(q.scheme())));
        auto const stored = qtk::find_qmatrix(read, to_string(q.scheme()));
        qtk::matrix const whole = qtk::dequantize(q);
        for (std::size_t first = 0; first < 7; first += 2) {
            std::size_t const count = std::min<std::size_t>(3, 7 - first);
            qtk::matrix const part = qtk::dequantize(stored.part(first, count));
            CHECK(std::equal(part.data(), part.data() + count * 50, whole.data() + first * 50));
        }
    }
    CHECK_FALSE(qtk::has_qmatrix(read, "w"));
    CHECK_THROWS_AS(qtk::find_qmatrix(read, to_string(all[1].scheme())).part(1, 2),
                    qtk::shape_error);
    CHECK_THROWS_AS(qtk::find_qmatrix(read, to_string(all[0].scheme())).part(6, 2),
                    qtk::shape_error);
}

TEST_CASE("a part that is missing or does not fit is named") {
    scratch_file const file;
    auto const q = sample<{.element = qtk::i4, .grain = qtk::per_group(16)}>();
    qtk::safetensors_writer writer;
    qtk::add_qmatrix(writer, "w", q);
    writer.set_metadata("qtk.w", "i4/g16/asym/f32 50");  // claims zero points that are not there
    writer.set_metadata("qtk.v", "i4/g16");
    writer.write(file.path);
    auto const read = qtk::safetensors_file::open(file.path);
    CHECK_THROWS_AS(qtk::read_qmatrix(read, "w"), qtk::io_error);
    CHECK_THROWS_AS(qtk::read_qmatrix(read, "v"), qtk::io_error);
    CHECK_THROWS_AS(qtk::read_qmatrix(read, "nowhere"), qtk::io_error);
}
