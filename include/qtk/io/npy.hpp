// SPDX-License-Identifier: Apache-2.0
//
// What is in this array of NumPy's? A .npy file of one of the plain types, little endian and
// row-major, checked as a whole when it is opened: the header is read by its own small grammar
// (it is a Python literal), and shape times item size is exactly what follows it.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/format/half.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/utf8.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// What a .npy header says.
struct npy_header {
    std::string type;  ///< NumPy's spelling: "<f4" is float, "|u1" is a byte.
    std::vector<std::uint64_t> shape;
    std::uint64_t data_offset = 0;  ///< Where the values start in the file.
};

namespace detail {

/// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, keys in any order.
class npy_dictionary {
  public:
    npy_dictionary(std::string_view text, std::string const& path, std::uint64_t origin,
                   io_limits const& limits)
        : text_(text), path_(path), origin_(origin), limits_(limits) {}

    npy_header read() {
        expect('{');
        while (!accept('}')) {
            std::string_view const key = quotation();
            expect(':');
            if (key == "descr" && !type_)
                type_ = quotation();
            else if (key == "fortran_order" && !is_fortran_)
                is_fortran_ = boolean();
            else if (key == "shape" && !shape_)
                shape_ = tuple();
            else
                refuse("the key " + qtk::quoted(key) + " is unknown or appears twice");
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        if (!rest().empty()) refuse("only spaces may follow the dictionary");
        if (!type_ || !is_fortran_ || !shape_) refuse("descr, fortran_order or shape is missing");
        if (*is_fortran_)
            refuse("the array lies column by column; hint: save numpy.ascontiguousarray of it");
        return {std::string(*type_), *std::move(shape_), 0};
    }

  private:
    [[noreturn]] void refuse(std::string const& what) const {
        throw io_error(path_, "the header of a .npy file: " + what, origin_ + at_);
    }
    std::string_view rest() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
        return text_.substr(at_);
    }
    bool accept(char c) {
        if (!rest().starts_with(c)) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!accept(c)) refuse(std::string("expected ") + c);
    }
    std::string_view quotation() {
        std::string_view const from = rest();
        char const mark = from.empty() ? ' ' : from.front();
        std::size_t const end =
            mark == '\'' || mark == '"' ? from.find(mark, 1) : std::string_view::npos;
        if (end == std::string_view::npos)
            refuse("expected a string; structured types are not supported");
        at_ += end + 1;
        return from.substr(1, end - 1);
    }
    bool boolean() {
        for (std::string_view const word : {"True", "False"})
            if (rest().starts_with(word)) {
                at_ += word.size();
                return word == "True";
            }
        refuse("expected True or False");
    }
    std::vector<std::uint64_t> tuple() {
        std::vector<std::uint64_t> extents;
        expect('(');
        while (!accept(')')) {
            if (extents.size() == limits_.tensor_rank)
                refuse("more than " + std::to_string(limits_.tensor_rank) + " axes");
            std::string_view const from = rest();
            std::uint64_t extent = 0;
            auto const [end, fault] =
                std::from_chars(from.data(), from.data() + from.size(), extent);
            if (fault != std::errc{}) refuse("expected a length from 0 to 2^64 - 1");
            at_ += static_cast<std::size_t>(end - from.data());
            extents.push_back(extent);
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
        return extents;
    }

    std::string_view text_;
    std::string const& path_;
    std::uint64_t origin_;
    io_limits const& limits_;
    std::size_t at_ = 0;
    std::optional<std::string_view> type_;
    std::optional<bool> is_fortran_;
    std::optional<std::vector<std::uint64_t>> shape_;
};

/// Bytes of one value of a plain little-endian type; 0 for every other type.
[[nodiscard]] constexpr std::uint64_t npy_item_bytes(std::string_view type) noexcept {
    for (std::string_view const known :
         {"|b1", "|i1", "|u1", "<i2", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"})
        if (type == known) return static_cast<std::uint64_t>(type[2] - '0');
    return 0;
}

}  // namespace detail

/// Checks the bytes of a whole .npy file. Throws io_error naming `path` and the byte.
[[nodiscard]] inline npy_header parse_npy_header(std::span<std::byte const> file,
                                                 std::string const& path,
                                                 io_limits const& limits = {}) {
    constexpr std::uint64_t most_header = 64 * 1024;
    auto const text_of = [](std::span<std::byte const> bytes) {
        return std::string_view(reinterpret_cast<char const*>(bytes.data()), bytes.size());
    };
    byte_reader reader(file, path);
    if (text_of(reader.take_bytes(6, "the signature of a .npy file")) != "\x93NUMPY")
        throw io_error(path, "this is no .npy file: the signature is missing", 0);
    auto const major = reader.take<std::uint8_t>("the version");
    auto const minor = reader.take<std::uint8_t>("the version");
    if (major < 1 || major > 3 || minor != 0)
        throw io_error(path,
                       "expected version 1.0, 2.0 or 3.0, found " + std::to_string(major) + "." +
                           std::to_string(minor),
                       6);
    std::uint64_t const length = major == 1 ? reader.take<std::uint16_t>("the header's length")
                                            : reader.take<std::uint32_t>("the header's length");
    if (length > most_header)
        throw io_error(path,
                       "a header of " + std::to_string(length) + " bytes, more than the limit of " +
                           std::to_string(most_header),
                       8);
    std::uint64_t const origin = reader.offset();
    std::string_view const text = text_of(reader.take_bytes(length, "the header"));
    npy_header header = detail::npy_dictionary(text, path, origin, limits).read();
    header.data_offset = reader.offset();

    std::uint64_t bytes = detail::npy_item_bytes(header.type);
    if (bytes == 0)
        throw io_error(path,
                       "the type " + qtk::quoted(header.type) +
                           " is not supported; expected a little-endian number of 1 to 8 bytes",
                       origin);
    try {
        for (std::uint64_t const extent : header.shape) bytes = checked_mul(bytes, extent);
    } catch (value_error const& overflow) {
        throw io_error(path, std::string("the shape is too large: ") + overflow.what(), origin);
    }
    if (bytes != reader.remaining())
        throw io_error(path,
                       "the header promises " + std::to_string(bytes) + " bytes of values, " +
                           std::to_string(reader.remaining()) +
                           " follow; the file is cut short or damaged",
                       header.data_offset);
    return header;
}

/// A .npy file, mapped into memory.
class npy_file {
  public:
    /// Throws system_error if the file cannot be opened, io_error if it breaks a rule.
    [[nodiscard]] static npy_file open(std::filesystem::path const& path,
                                       io_limits const& limits = {}, io_mode mode = io_mode::mmap) {
        return npy_file(mapped_file::open(path, mode), limits);
    }

    [[nodiscard]] npy_header const& header() const noexcept { return header_; }
    /// The values as they lie in the file, row-major; valid while this object lives.
    [[nodiscard]] std::span<std::byte const> bytes() const noexcept {
        return file_.bytes().subspan(static_cast<std::size_t>(header_.data_offset));
    }
    /// The values of a floating-point array, rounded to float. Throws io_error for other types.
    [[nodiscard]] std::vector<float> floats() const {
        std::span<std::byte const> const raw = bytes();
        auto const read = [&]<typename T>(T, auto convert) {
            std::vector<float> values(raw.size() / sizeof(T));
            for (std::size_t i = 0; i < values.size(); ++i)
                values[i] = convert(load_little_endian<T>(raw.data() + i * sizeof(T)));
            return values;
        };
        if (header_.type == "<f4") return read(float{}, [](float x) { return x; });
        if (header_.type == "<f8")
            return read(double{}, [](double x) { return static_cast<float>(x); });
        if (header_.type == "<f2") return read(std::uint16_t{}, f16_to_float);
        throw io_error(file_.path(), "expected floating-point values, found the type " +
                                         qtk::quoted(header_.type));
    }

  private:
    npy_file(mapped_file file, io_limits const& limits)
        : file_(std::move(file)), header_(parse_npy_header(file_.bytes(), file_.path(), limits)) {}

    mapped_file file_;
    npy_header header_;
};

static_assert(detail::npy_item_bytes("<f4") == 4 && detail::npy_item_bytes(">f4") == 0);

}  // namespace qtk
