// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/jpeg_png.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#if QTK_HAS_STB
#include <stb/stb_image_write.h>
#endif

namespace {

std::span<std::byte const> bytes_of(std::string const& file) {
    return std::as_bytes(std::span(file));
}
std::string big_endian(std::uint32_t value, int bytes = 4) {
    std::string text;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        text += static_cast<char>(value >> shift);
    return text;
}
template <typename... Bytes>
std::string raw(Bytes... bytes) {
    return {static_cast<char>(bytes)...};
}

// A PNG by hand: one stored deflate block, no compression.
std::string chunk(std::string const& type, std::string const& data) {
    std::string const body = type + data;
    return big_endian(static_cast<std::uint32_t>(data.size())) + body +
           big_endian(qtk::detail::png_crc(bytes_of(body)));
}
std::string header_chunk(std::uint32_t width, std::uint32_t height, int depth = 8, int colour = 2,
                         int interlace = 0) {
    return chunk("IHDR",
                 big_endian(width) + big_endian(height) + raw(depth, colour, 0, 0, interlace));
}
std::string stored(std::string const& rows) {
    std::uint32_t a = 1, b = 0;
    for (char const c : rows) {
        a = (a + static_cast<unsigned char>(c)) % 65521;
        b = (b + a) % 65521;
    }
    std::string const size = big_endian(static_cast<std::uint32_t>(rows.size()), 2);
    return raw(0x78, 0x01, 1, size[1], size[0], ~size[1], ~size[0]) + rows +
           big_endian(b << 16 | a);
}
std::string const signature = "\x89PNG\r\n\x1a\n";
std::string png(std::string const& head, std::string const& rows) {
    return signature + head + chunk("IDAT", stored(rows)) + chunk("IEND", "");
}
// Two rows of one pixel, each after its filter.
std::string const small_png = png(header_chunk(1, 2), raw(0, 1, 2, 3, 0, 250, 5, 6));

std::string segment(int marker, std::string const& body) {
    return raw(0xff, marker) + big_endian(static_cast<std::uint32_t>(body.size() + 2), 2) + body;
}
std::string frame(std::uint32_t height, std::uint32_t width, int components = 3, int marker = 0xc0,
                  int precision = 8) {
    return segment(marker, raw(precision) + big_endian(height, 2) + big_endian(width, 2) +
                               raw(components) + std::string(3, '\1'));
}
std::string const scan = segment(0xda, "abc");
// What a decoder would refuse later: the walk alone is tested.
std::string const small_jpeg = raw(0xff, 0xd8) + segment(0xe0, "JFIF") + frame(2, 3) + scan +
                               raw(1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xff, 0xd9);

template <typename Check>
std::string refusal(Check const& check, std::string const& file) {
    try {
        (void)check(bytes_of(file), "a.img");
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}
std::string jpeg_refusal(std::string const& file) {
    return refusal([](auto bytes, char const* path) { return qtk::check_jpeg(bytes, path); }, file);
}
std::string png_refusal(std::string const& file) {
    return refusal([](auto bytes, char const* path) { return qtk::check_png(bytes, path); }, file);
}
std::string decode_refusal(std::string const& file) {
    return refusal([](auto bytes, char const* path) { return qtk::decode_jpeg_png(bytes, path); },
                   file);
}
bool has(std::string const& text, char const* part) {
    CAPTURE(text);
    return text.starts_with("a.img: ") && text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the CRC is that of the published check value") {
    CHECK(qtk::detail::png_crc(bytes_of("123456789")) == 0xcbf43926u);
}

TEST_CASE("the head of a PNG says its size, its channels and how much it unpacks to") {
    auto const rgb = qtk::check_png(bytes_of(small_png), "a.png");
    CHECK(rgb.head.height == 2);
    CHECK(rgb.head.width == 1);
    CHECK(rgb.head.channels == 3);
    CHECK(rgb.unpacked_bytes == 8);
    auto const head = [](int depth, int colour) {
        return qtk::check_png(bytes_of(png(header_chunk(9, 3, depth, colour), "x")), "a.png");
    };
    CHECK(head(1, 0).unpacked_bytes == 3 * 3);
    CHECK(head(1, 0).head.channels == 1);
    CHECK(head(16, 6).unpacked_bytes == 3 * 73);
    CHECK(head(4, 3).head.channels == 3);
    CHECK(head(8, 4).head.channels == 1);
}

TEST_CASE("every cut of a PNG, and every damaged byte of it, is refused") {
    for (std::size_t size = 0; size < small_png.size(); ++size) {
        CAPTURE(size);
        CHECK(png_refusal(small_png.substr(0, size)) != "accepted");
        std::string damaged = small_png;
        damaged[size] = static_cast<char>(damaged[size] ^ 0x10);
        CHECK(png_refusal(damaged) != "accepted");
    }
    CHECK(png_refusal(small_png) == "accepted");
}

TEST_CASE("a PNG whose chunks make no sense is refused") {
    std::string const end = chunk("IEND", ""), data = chunk("IDAT", "x");
    CHECK(has(png_refusal("GIF89a..."), "the signature is missing"));
    CHECK(has(png_refusal(signature + data + end), "byte 8: expected the chunk IHDR"));
    CHECK(has(png_refusal(signature + header_chunk(1, 1) + header_chunk(1, 1)),
              "byte 33: expected the chunk IHDR at the start, and there alone"));
    CHECK(has(png_refusal(signature + header_chunk(1, 1) + end), "no pixels"));
    CHECK(has(png_refusal(signature + chunk("IHDR", "short") + end), "needs 4 bytes"));
    struct kind {
        int depth, colour, interlace;
    };
    for (auto const& [depth, colour, interlace] :
         {kind{3, 2, 0}, kind{8, 1, 0}, kind{8, 7, 0}, kind{8, 2, 2}})
        CHECK(has(png_refusal(png(header_chunk(1, 1, depth, colour, interlace), "x")),
                  "colour type"));
}

TEST_CASE("sizes beyond the limits are refused before anything is unpacked") {
    CHECK(has(png_refusal(png(header_chunk(0, 1), "x")), "an image of 1 x 0 pixels"));
    CHECK(has(png_refusal(png(header_chunk(0xffffffff, 0xffffffff), "x")),
              "an image of 4294967295 x 4294967295"));
    CHECK(has(png_refusal(png(header_chunk(32768, 32768), "x")), "at most 67108864 in all"));
    CHECK(has(jpeg_refusal(raw(0xff, 0xd8) + frame(65535, 65535) + scan),
              "an image of 65535 x 65535"));
    CHECK(has(jpeg_refusal(raw(0xff, 0xd8) + frame(0, 5) + scan), "an image of 0 x 5"));
    qtk::io_limits few;
    few.image_file_bytes = 16;
    CHECK_THROWS_WITH_AS((void)qtk::decode_jpeg_png(bytes_of(small_png), "a.png", few),
                         doctest::Contains("more than the limit of 16"), qtk::io_error);
}

TEST_CASE("a size that the data cannot fill is refused before room is made for it") {
    CHECK(has(png_refusal(png(header_chunk(4096, 4096), "x")), "too short for the 4096 x 4096"));
    std::string const start = raw(0xff, 0xd8), end = scan + raw(1, 0xff, 0xd9);
    CHECK(has(jpeg_refusal(start + frame(4096, 4096) + end), "too short for the 4096 x 4096"));
    // Exactly as much as two bits of DEFLATE (in 12 bytes), or a bit of a JPEG's block, may stand for.
    std::string const small = start + frame(1, 1) + end;
    auto const most = static_cast<std::uint32_t>(2048 * small.size() + 2047);
    CHECK(jpeg_refusal(start + frame(1, 32767) + end) == "accepted");
    CHECK(jpeg_refusal(start + frame(2, most / 2) + end) == "accepted");
    CHECK(has(jpeg_refusal(start + frame(4, (most + 1) / 4) + end), "too short"));
    CHECK(png_refusal(png(header_chunk(1, 6707, 8, 0), "x")) == "accepted");
    CHECK(has(png_refusal(png(header_chunk(1, 6708, 8, 0), "x")), "too short"));
}

TEST_CASE("the walk through a JPEG ends at its end marker, over stuffed bytes and restarts") {
    auto const head = qtk::check_jpeg(bytes_of(small_jpeg), "a.jpg");
    CHECK(head.height == 2);
    CHECK(head.width == 3);
    CHECK(head.channels == 3);
    // A progressive file has tables and scans after the first scan.
    std::string const progressive = raw(0xff, 0xd8) + frame(4, 5, 1, 0xc2) + scan +
                                    raw(7, 0xff, 0) + segment(0xc4, "t") + scan +
                                    raw(9, 0xff, 0xd9);
    CHECK(qtk::check_jpeg(bytes_of(progressive), "a.jpg").channels == 1);
    CHECK(jpeg_refusal(small_jpeg + "trailing bytes") == "accepted");
}

TEST_CASE("every cut of a JPEG is refused") {
    for (std::size_t size = 0; size < small_jpeg.size(); ++size) {
        CAPTURE(size);
        CHECK(has(jpeg_refusal(small_jpeg.substr(0, size)), "byte "));
    }
}

TEST_CASE("a JPEG that is not one frame of 8 bits is refused") {
    std::string const start = raw(0xff, 0xd8), end = raw(0xff, 0xd9);
    CHECK(has(jpeg_refusal("BM......"), "this is no JPEG file"));
    CHECK(has(jpeg_refusal(start + "x" + end), "expected a JPEG marker"));
    CHECK(has(jpeg_refusal(start + end), "no pixels"));
    CHECK(has(jpeg_refusal(start + frame(2, 2) + end), "no pixels"));
    CHECK(has(jpeg_refusal(start + scan + end), "before its frame"));
    CHECK(has(jpeg_refusal(start + frame(2, 2) + frame(2, 2)), "a second frame"));
    CHECK(has(jpeg_refusal(start + frame(2, 2, 3, 0xc3)), "only baseline and progressive"));
    CHECK(has(jpeg_refusal(start + frame(2, 2, 3, 0xc9)), "only baseline and progressive"));
    CHECK(has(jpeg_refusal(start + frame(2, 2, 2)), "expected 1, 3 or 4 components, found 2"));
    CHECK(has(jpeg_refusal(start + frame(2, 2, 3, 0xc0, 12)), "8 bits"));
    CHECK(has(jpeg_refusal(start + raw(0xff, 0xe0, 0, 1)), "shorter than its length"));
    CHECK(has(jpeg_refusal(start + raw(0xff, 0xd8)), "is not expected"));
    CHECK(has(jpeg_refusal(start + raw(0xff, 0xe0, 0xff, 0xff) + "x"), "only 1 are left"));
}

#if QTK_HAS_STB

namespace {

void add(void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<char const*>(data),
                                          static_cast<std::size_t>(size));
}
std::vector<std::uint8_t> smooth(int width, int height, int channels) {
    std::vector<std::uint8_t> made;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < channels; ++c)
                made.push_back(static_cast<std::uint8_t>(40 + 3 * x + 2 * y + 20 * c));
    return made;
}

}  // namespace

TEST_CASE("a PNG by hand is decoded to its pixels") {
    qtk::image const expected{2, 1, 3, {1, 2, 3, 250, 5, 6}};
    CHECK(qtk::decode_jpeg_png(bytes_of(small_png), "a.png") == expected);
    auto const two_bits =
        qtk::decode_jpeg_png(bytes_of(png(header_chunk(4, 1, 2, 0), raw(0, 0x1b))), "a.png");
    CHECK(two_bits.bytes == std::vector<std::uint8_t>{0, 85, 170, 255});
    // Filter 1 adds the pixel to the left; interlaced, one pixel is in the first pass alone.
    CHECK(qtk::decode_jpeg_png(bytes_of(png(header_chunk(2, 1, 8, 0), raw(1, 10, 5))), "a").bytes ==
          std::vector<std::uint8_t>{10, 15});
    CHECK(qtk::decode_jpeg_png(bytes_of(png(header_chunk(1, 1, 8, 0, 1), raw(0, 77))), "a").bytes ==
          std::vector<std::uint8_t>{77});
}

TEST_CASE("PNG keeps pixels, of every kind; alpha is dropped") {
    for (int const channels : {1, 2, 3, 4}) {
        CAPTURE(channels);
        auto const pixels = smooth(13, 9, channels);
        std::string file;
        REQUIRE(stbi_write_png_to_func(add, &file, 13, 9, channels, pixels.data(), 0) != 0);
        auto const whole = qtk::decode_jpeg_png(bytes_of(file), "a.png");
        CHECK(whole.height == 9);
        CHECK(whole.width == 13);
        CHECK(whole.channels == (channels < 3 ? 1 : 3));
        for (std::size_t i = 0; i < 9 * 13; ++i)
            for (std::size_t c = 0; c < whole.channels; ++c)
                CHECK(whole.bytes[i * whole.channels + c] ==
                      pixels[i * static_cast<std::size_t>(channels) + c]);
    }
}

TEST_CASE("a PNG that unpacks to more or less than its size is refused") {
    CHECK(has(decode_refusal(png(header_chunk(1, 1), raw(0, 1, 2, 3, 0, 4, 5, 6))),
              "do not unpack to the 4 bytes"));
    CHECK(has(decode_refusal(png(header_chunk(1, 3), raw(0, 1, 2, 3, 0, 4, 5, 6))),
              "do not unpack to the 12 bytes"));
    CHECK(has(decode_refusal(signature + header_chunk(1, 1) + chunk("IDAT", "no zlib") +
                             chunk("IEND", "")),
              "do not unpack"));
    CHECK(has(decode_refusal(png(header_chunk(1, 1, 8, 3), raw(0, 1))), "stb_image cannot decode"));
}

TEST_CASE("JPEG at full quality is near the pixels, and a cut one is refused") {
    for (int const channels : {1, 3}) {
        auto const pixels = smooth(19, 11, channels);
        std::string file;
        REQUIRE(stbi_write_jpg_to_func(add, &file, 19, 11, channels, pixels.data(), 100) != 0);
        auto const read = qtk::decode_jpeg_png(bytes_of(file), "a.jpg");
        CHECK(read.width == 19);
        CHECK(read.height == 11);
        // Quality 100 divides by one; both transforms and the colours round a few times.
        if (read.channels == static_cast<std::size_t>(channels))
            for (std::size_t i = 0; i < pixels.size(); ++i)
                CHECK(std::abs(int{read.bytes[i]} - int{pixels[i]}) <= 4);
        for (std::size_t size = 0; size < file.size(); size += 7)
            CHECK(decode_refusal(file.substr(0, size)) != "accepted");
    }
    CHECK(has(decode_refusal(small_jpeg), "stb_image cannot decode the file"));
}

#else

TEST_CASE("without stb_image a sound file is refused with a hint, a broken one for its fault") {
    CHECK(has(decode_refusal(small_png), "install libstb-dev"));
    CHECK(has(decode_refusal(small_jpeg), "install libstb-dev"));
    CHECK(has(decode_refusal(small_png.substr(0, 20)), "cut short"));
}

#endif

TEST_CASE("other kinds of files are no JPEG or PNG") {
    CHECK(has(decode_refusal("GIF89a"), "neither signature"));
    CHECK(has(decode_refusal(""), "neither signature"));
}
