// SPDX-License-Identifier: Apache-2.0
//
// What does this JPEG or PNG file show? stb_image decodes it (Debian's libstb-dev; QTK_HAS_STB = 1 and
// -lstb, which qtk::models brings where it is found), but only after the file was walked through here:
// stb believes sizes, fills up what is cut short and unpacks whatever a PNG holds.
//
//   JPEG  every segment up to the end marker; one frame, of 1, 3 or 4 components, within the limits
//   PNG   every chunk and its CRC-32 up to IEND; the data unpack to exactly the bytes of the size in IHDR
//
// Grey images have one channel, all others three: alpha is dropped, 16 bits become 8, CMYK becomes RGB.
// The orientation that a camera writes (EXIF) and colour profiles are not applied.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/image.hpp>
#include <qtk/io/limits.hpp>

#if !defined(QTK_HAS_STB)
#define QTK_HAS_STB 0
#endif
#if QTK_HAS_STB
#include <stb/stb_image.h>
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// What the head of a file says.
struct image_head {
    std::size_t height = 0, width = 0;
    std::size_t channels = 0;  ///< 1 or 3, as decoded.
};

[[nodiscard]] inline bool is_jpeg(std::string_view start) noexcept {
    return start.starts_with("\xff\xd8\xff");
}
[[nodiscard]] inline bool is_png(std::string_view start) noexcept {
    return start.starts_with("\x89PNG\r\n\x1a\n");
}

namespace detail {

/// Throws io_error for a size that the data of a file cannot fill, before room is made for it.
inline void require_filled(std::string const& path, image_head const& head, bool is_filled) {
    if (!is_filled)
        throw io_error(path, "the file is too short for the " + std::to_string(head.height) +
                                 " x " + std::to_string(head.width) +
                                 " pixels of its head; it is damaged or made to fill the memory");
}

}  // namespace detail

/// Walks through a JPEG file. Throws io_error naming `path` and the byte.
[[nodiscard]] inline image_head check_jpeg(std::span<std::byte const> file, std::string const& path,
                                           io_limits const& limits = {}) {
    byte_reader reader(file, path);
    auto const byte = [&](char const* what) { return reader.take<std::uint8_t>(what); };
    if (byte("a JPEG file") != 0xff || byte("a JPEG file") != 0xd8)
        throw io_error(path, "this is no JPEG file: expected the bytes ff d8", 0);
    image_head head;
    bool has_scan = false;
    auto marker = byte("a JPEG marker");
    while (true) {
        std::uint64_t const at = reader.offset() - 1;
        if (marker != 0xff) throw io_error(path, "expected a JPEG marker", at);
        while (marker == 0xff) marker = byte("a JPEG marker");  // fill bytes
        if (marker == 0xd9) break;
        bool const is_frame =
            marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (marker < 0xc0 || marker == 0xc8 || marker == 0xcc || (marker >= 0xd0 && marker < 0xd9))
            throw io_error(path, "the JPEG marker " + std::to_string(marker) + " is not expected",
                           at);
        auto const length = reader.take_big_endian<std::uint16_t>("the length of a JPEG segment");
        if (length < 2) throw io_error(path, "a JPEG segment is shorter than its length", at);
        byte_reader segment(reader.take_bytes(length - 2u, "a JPEG segment"), path, at + 4);
        if (is_frame) {
            if (marker > 0xc2 || head.channels != 0)
                throw io_error(path,
                               marker > 0xc2 ? "only baseline and progressive JPEG are supported"
                                             : "a second frame",
                               at);
            if (segment.take<std::uint8_t>("the precision") != 8)
                throw io_error(path, "only JPEG with 8 bits is supported", at + 4);
            head.height = segment.take_big_endian<std::uint16_t>("the height");
            head.width = segment.take_big_endian<std::uint16_t>("the width");
            auto const components = segment.take<std::uint8_t>("the components");
            if (components != 1 && components != 3 && components != 4)
                throw io_error(path,
                               "expected 1, 3 or 4 components, found " + std::to_string(components),
                               at + 9);
            head.channels = components == 1 ? 1 : 3;
            (void)checked_image_bytes(path, at + 5, head.height, head.width, head.channels, limits);
        }
        if (marker == 0xda) {
            if (head.channels == 0) throw io_error(path, "a scan comes before its frame", at);
            has_scan = true;
            // Entropy-coded bytes: ff is followed by 0, or by a restart marker.
            std::uint8_t last = 0, now = byte("the pixels of a JPEG file");
            while (last != 0xff || now == 0 || (now >= 0xd0 && now < 0xd8) || now == 0xff) {
                last = now;
                now = byte("the pixels of a JPEG file");
            }
            if (now == 0xd9) break;
            // One marker was taken whole: go on as if its first byte had just been read.
            std::size_t const back = static_cast<std::size_t>(reader.offset()) - 1;
            reader = byte_reader(file.subspan(back), path, back);
            marker = 0xff;
            continue;
        }
        marker = byte("a JPEG marker");
    }
    if (!has_scan) throw io_error(path, "the JPEG file has no pixels", reader.offset());
    // A block of 8 x 8 has a code of a bit at least; the axes of the component with most blocks may be
    // shortened by up to 4, as no component need have all of both.
    constexpr std::uint64_t most_of_a_byte = 8 * 64 * 4;
    detail::require_filled(path, head, head.height * head.width / most_of_a_byte <= file.size());
    return head;
}

namespace detail {

/// The CRC-32 of PNG (ISO 3309) of the parts of a chunk.
[[nodiscard]] inline std::uint32_t png_crc(std::span<std::byte const> bytes) noexcept {
    static constexpr auto table = [] {
        std::array<std::uint32_t, 256> made{};
        for (std::uint32_t n = 0; n < 256; ++n) {
            made[n] = n;
            for (int k = 0; k < 8; ++k) made[n] = (made[n] & 1 ? 0xedb88320u : 0) ^ made[n] >> 1;
        }
        return made;
    }();
    std::uint32_t crc = 0xffffffffu;
    for (std::byte const b : bytes)
        crc = table[(crc ^ std::to_integer<std::uint32_t>(b)) & 0xff] ^ crc >> 8;
    return ~crc;
}

/// A PNG file that was walked through: its IDAT chunks joined, and the bytes that they unpack to.
struct png_content {
    image_head head;
    std::vector<char> packed;
    std::uint64_t unpacked_bytes = 0;
};

/// Rows of every pass, each with a byte for its filter. Seven passes of Adam7, or one.
[[nodiscard]] constexpr std::uint64_t png_row_bytes(std::uint64_t height, std::uint64_t width,
                                                    std::uint64_t bits, bool is_interlaced) {
    constexpr std::uint64_t left[7]{0, 4, 0, 2, 0, 1, 0}, top[7]{0, 0, 4, 0, 2, 0, 1};
    constexpr std::uint64_t across[7]{8, 8, 4, 4, 2, 2, 1}, down[7]{8, 8, 8, 4, 4, 2, 2};
    if (!is_interlaced) return height * (1 + (width * bits + 7) / 8);
    std::uint64_t bytes = 0;
    for (int pass = 0; pass < 7; ++pass) {
        std::uint64_t const w = (width + across[pass] - 1 - left[pass]) / across[pass];
        std::uint64_t const h = (height + down[pass] - 1 - top[pass]) / down[pass];
        if (w > 0) bytes += h * (1 + (w * bits + 7) / 8);
    }
    return bytes;
}

}  // namespace detail

/// Walks through a PNG file. Throws io_error naming `path` and the byte.
[[nodiscard]] inline detail::png_content check_png(std::span<std::byte const> file,
                                                   std::string const& path,
                                                   io_limits const& limits = {}) {
    auto const text_of = [](std::span<std::byte const> bytes) {
        return std::string_view(reinterpret_cast<char const*>(bytes.data()), bytes.size());
    };
    byte_reader reader(file, path);
    if (!is_png(text_of(reader.take_bytes(8, "the signature of a PNG file"))))
        throw io_error(path, "this is no PNG file: the signature is missing", 0);
    detail::png_content result;
    for (bool is_first = true;; is_first = false) {
        std::uint64_t const at = reader.offset();
        auto const length = reader.take_big_endian<std::uint32_t>("the length of a PNG chunk");
        auto const body = reader.take_bytes(std::uint64_t{length} + 4, "a PNG chunk");
        std::string_view const type = text_of(body.first(4));
        if (reader.take_big_endian<std::uint32_t>("the CRC of a PNG chunk") !=
            detail::png_crc(body))
            throw io_error(path, "the CRC of a PNG chunk is wrong; the file is damaged", at);
        if (is_first != (type == "IHDR"))
            throw io_error(path, "expected the chunk IHDR at the start, and there alone", at);
        if (type == "IHDR") {
            byte_reader in(body.subspan(4), path, at + 8);
            std::uint64_t const width = in.take_big_endian<std::uint32_t>("the width");
            std::uint64_t const height = in.take_big_endian<std::uint32_t>("the height");
            auto const depth = in.take<std::uint8_t>("the depth");
            auto const colour = in.take<std::uint8_t>("the colour type");
            (void)in.take<std::uint16_t>("the methods");
            auto const interlace = in.take<std::uint8_t>("the interlace method");
            constexpr std::array samples{1, 0, 3, 1, 2, 0, 4};  // by colour type
            bool const is_depth =
                depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
            if (!is_depth || colour > 6 || samples[colour] == 0 || interlace > 1 ||
                in.remaining() != 0)
                throw io_error(path,
                               "expected a PNG of 1, 2, 4, 8 or 16 bits and colour type 0, 2, 3, "
                               "4 or 6, found " +
                                   std::to_string(depth) + " bits and type " +
                                   std::to_string(colour),
                               at + 16);
            (void)checked_image_bytes(path, at + 8, height, width, 4, limits);
            result.head = {static_cast<std::size_t>(height), static_cast<std::size_t>(width),
                           colour == 0 || colour == 4 ? 1u : 3u};
            result.unpacked_bytes = detail::png_row_bytes(
                // bounded: at most 4 samples of 16 bits
                height, width, static_cast<std::uint64_t>(samples[colour] * depth), interlace == 1);
        }
        if (type == "IDAT") {
            std::string_view const data = text_of(body.subspan(4));
            result.packed.insert(result.packed.end(), data.begin(), data.end());
        }
        if (type == "IEND") break;
    }
    if (result.packed.empty()) throw io_error(path, "the PNG file has no pixels", reader.offset());
    // Two bits of DEFLATE stand for 258 bytes at most.
    constexpr std::uint64_t most_of_a_byte = 4 * 258;
    detail::require_filled(path, result.head,
                           result.unpacked_bytes / most_of_a_byte <= result.packed.size());
    return result;
}

/// Decodes a JPEG or PNG file. Throws io_error naming `path` and, where a format was broken, the byte;
/// also where qtk was built without stb_image.
[[nodiscard]] inline image decode_jpeg_png(std::span<std::byte const> file, std::string const& path,
                                           io_limits const& limits = {}) {
    std::string_view const start(reinterpret_cast<char const*>(file.data()), file.size());
    if (!is_jpeg(start) && !is_png(start))
        throw io_error(path, "this is no JPEG or PNG file: neither signature is there", 0);
    if (file.size() >
        std::min<std::uint64_t>(limits.image_file_bytes, std::numeric_limits<int>::max()))
        throw io_error(path, "an image file of " + std::to_string(file.size()) +
                                 " bytes, more than the limit of " +
                                 std::to_string(limits.image_file_bytes));
    image result;
    auto const become = [&](image_head const& head) {
        result.height = head.height;
        result.width = head.width;
        result.channels = head.channels;
    };
#if QTK_HAS_STB
    if (is_png(start)) {
        auto const content = check_png(file, path, limits);
        become(content.head);
        // Into a buffer of the right size first: a PNG may hold a thousand times its length.
        std::vector<char> rows(static_cast<std::size_t>(content.unpacked_bytes));
        if (rows.size() > std::size_t{std::numeric_limits<int>::max()} ||
            stbi_zlib_decode_buffer(
                rows.data(), static_cast<int>(rows.size()), content.packed.data(),
                static_cast<int>(content.packed.size())) != static_cast<int>(rows.size()))
            throw io_error(path, "the pixels of the PNG file do not unpack to the " +
                                     std::to_string(content.unpacked_bytes) +
                                     " bytes of its size; the file is damaged");
    } else {
        become(check_jpeg(file, path, limits));
    }
    struct release {
        void operator()(stbi_uc* p) const noexcept { stbi_image_free(p); }
    };
    int width = 0, height = 0, found = 0;
    std::unique_ptr<stbi_uc, release> const pixels(stbi_load_from_memory(
        reinterpret_cast<stbi_uc const*>(file.data()), static_cast<int>(file.size()), &width,
        &height, &found, static_cast<int>(result.channels)));
    if (pixels == nullptr)
        throw io_error(path, std::string("stb_image cannot decode the file: ") +
                                 (stbi_failure_reason() ? stbi_failure_reason() : "no reason"));
    if (static_cast<std::size_t>(width) != result.width ||
        static_cast<std::size_t>(height) != result.height)
        throw io_error(path, "stb_image found another size than the head of the file says");
    result.bytes.assign(pixels.get(),
                        pixels.get() + result.height * result.width * result.channels);
    return result;
#else
    become(is_png(start) ? check_png(file, path, limits).head : check_jpeg(file, path, limits));
    throw io_error(path,
                   "qtk was built without stb_image, which decodes JPEG and PNG. Hint: install "
                   "libstb-dev and build again, or convert to PPM");
#endif
}

static_assert(detail::png_row_bytes(2, 3, 24, false) == 20);
static_assert(detail::png_row_bytes(1, 1, 8, true) == 2, "only the first pass has a pixel");
static_assert(detail::png_row_bytes(8, 8, 8, true) == 2 + 2 + 3 + 6 + 10 + 20 + 36);

}  // namespace qtk
