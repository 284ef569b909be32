// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a JPEG or PNG file: a refusal, or an image as large as it says. The checksums of PNG's
// chunks are written here: a fuzzer would spend its time guessing them.
#include <qtk/io/jpeg_png.hpp>

#include "fuzz_target.hpp"

namespace {

void write_checksums(std::span<std::byte> file) {
    constexpr std::size_t signature = 8, frame = 12;
    for (std::size_t at = signature; at + frame <= file.size();) {
        std::uint64_t length = 0;
        for (std::size_t i = 0; i < 4; ++i)
            length = length << 8 | std::to_integer<std::uint64_t>(file[at + i]);
        if (length > file.size() - at - frame) return;
        auto const body = file.subspan(at + 4, static_cast<std::size_t>(length) + 4);
        std::uint32_t const sum = qtk::detail::png_crc(body);
        for (std::size_t i = 0; i < 4; ++i)
            body.data()[body.size() + i] = static_cast<std::byte>(sum >> (24 - 8 * i));
        at += frame + static_cast<std::size_t>(length);
    }
}

}  // namespace

QTK_FUZZ_TARGET(jpeg_png) {
    auto file = fuzz::cursor(data, size).bytes<std::byte>(size);
    if (size > 8 && qtk::is_png(fuzz::text_of(data, size))) write_checksums(file);
    qtk::io_limits limits;
    limits.image_pixels = 1 << 16;
    try {
        auto const image = qtk::decode_jpeg_png(file, "fuzz", limits);
        fuzz::require(image.bytes.size() == image.height * image.width * image.channels);
        fuzz::require(image.height * image.width <= limits.image_pixels);
    } catch (qtk::io_error const&) {
    }
    return 0;
}
