// SPDX-License-Identifier: Apache-2.0
//
// What a writer wrote, the reader gives back: safetensors and GGUF in memory, quantized matrices and .npy
// through files, mapped and read.
#include <qtk/core/random.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/io/gguf_writer.hpp>
#include <qtk/io/npy.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/io/safetensors.hpp>
#include <qtk/io/safetensors_writer.hpp>

#include <doctest/doctest.h>

#include "property.hpp"
#include "scratch.hpp"
#include <cstring>
#include <map>
#include <set>

namespace {

std::vector<std::byte> random_bytes(std::size_t n) {
    qtk::splitmix64 random(*rc::gen::arbitrary<std::uint64_t>());
    std::vector<std::byte> all(n);
    for (std::byte& b : all) b = static_cast<std::byte>(random() & 255u);
    return all;
}

/// A name of letters, of what JSON escapes, and of characters of two to four bytes.
std::string any_name() {
    static std::string const letters[] = {"a",    "Z", ".", "/", "\"",     "\\",     "\n",
                                          "\x01", " ", "0", "_", "\u00e9", "\u20ac", "\U0001f40d"};
    std::string name;
    for (int i = *rc::gen::inRange(1, 12); i > 0; --i) name += test::one_of(letters);
    return name;
}
std::vector<std::uint64_t> any_shape(std::size_t most_axes, std::uint64_t least) {
    std::vector<std::uint64_t> shape(
        *rc::gen::inRange<std::size_t>(least > 0 ? 1 : 0, most_axes + 1));
    for (auto& side : shape) side = *rc::gen::inRange<std::uint64_t>(least, 6);
    return shape;
}
std::size_t product_of(std::vector<std::uint64_t> const& shape) {
    std::size_t n = 1;
    for (auto const side : shape) n *= static_cast<std::size_t>(side);
    return n;
}

struct tensor {
    qtk::dtype type;
    std::vector<std::uint64_t> shape;
    std::vector<std::byte> bytes;
};
std::map<std::string, tensor> any_tensors() {
    std::map<std::string, tensor> all;
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
        auto const& entry = test::one_of(qtk::known_dtypes);
        auto shape = any_shape(4, 0);
        if (entry.bits == 4) shape.push_back(2);
        std::size_t const bytes = product_of(shape) * entry.bits / 8;
        all.insert_or_assign(any_name(), tensor{entry.type, shape, random_bytes(bytes)});
    }
    return all;
}
std::map<std::string, std::string> any_metadata() {
    std::map<std::string, std::string> all;
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) all[any_name()] = any_name();
    return all;
}
qtk::safetensors_writer writer_of(std::map<std::string, tensor> const& tensors,
                                  std::map<std::string, std::string> const& metadata) {
    qtk::safetensors_writer writer;
    for (auto const& [name, t] : tensors) writer.add(name, t.type, t.shape, t.bytes);
    for (auto const& [key, value] : metadata) writer.set_metadata(key, value);
    return writer;
}

/// Codes, scales and zeros of any kind.
qtk::any_qmatrix any_matrix() {
    qtk::scheme s{.element = test::one_of(qtk::known_formats).value,
                  .scale = static_cast<qtk::scale_type>(*rc::gen::inRange(0, 5))};
    if (s.element.is_integer() && *rc::gen::arbitrary<bool>()) s.zero = qtk::origin::floating;
    s.grain = *rc::gen::element(qtk::granularity{}, qtk::granularity{1, 0}, qtk::granularity{1, 5},
                                qtk::granularity{1, 16}, qtk::granularity{3, 7});
    auto const rows = *rc::gen::inRange<std::size_t>(0, 12);
    auto const cols = *rc::gen::inRange<std::size_t>(0, 70);
    qtk::any_qmatrix const empty(s, rows, cols);
    auto const part = [](std::span<std::uint8_t const> like) {
        std::vector<std::uint8_t> filled(like.size());
        auto const random = random_bytes(like.size());
        if (!filled.empty()) std::memcpy(filled.data(), random.data(), filled.size());
        return filled;
    };
    float const tensor_scale =
        s.scale == qtk::scale_type::e4m3 ? std::fabs(test::float_between(-30, 30)) : 1.0f;
    return qtk::any_qmatrix(s, rows, cols, part(empty.codes()), part(empty.scales()),
                            part(empty.zeros()), tensor_scale);
}

}  // namespace

TEST_CASE("a safetensors file has the tensors and the metadata that were put into it") {
    test::property(
        "read(write(tensors)) == tensors, and the bytes are those of the same content", [] {
            auto const tensors = any_tensors();
            auto const metadata = any_metadata();
            auto const writer = writer_of(tensors, metadata);
            std::vector<std::byte> file = writer.start();
            RC_ASSERT(file.size() % 64 == 0u);
            for (auto const& place : writer.places()) {
                RC_ASSERT(place.offset == file.size());
                auto const& bytes = tensors.at(place.name).bytes;
                file.insert(file.end(), bytes.begin(), bytes.end());
            }
            RC_ASSERT(file.size() == writer.size_bytes());
            RC_ASSERT(writer_of(tensors, metadata).start() == writer.start());
            auto const header = qtk::parse_safetensors_header(file, "a.safetensors");
            RC_ASSERT(header.metadata == metadata);
            RC_ASSERT(header.tensors.size() == tensors.size());
            for (auto const& info : header.tensors) {
                tensor const& t = tensors.at(info.name);
                RC_ASSERT(info.type == t.type);
                RC_ASSERT(info.shape == t.shape);
                RC_ASSERT(info.end - info.begin == t.bytes.size());
                RC_ASSERT(std::equal(
                    t.bytes.begin(), t.bytes.end(),
                    file.begin() + static_cast<std::ptrdiff_t>(header.data_offset + info.begin)));
            }
        });
}

TEST_CASE("a GGUF file has the keys and the tensors that were put into it") {
    test::property("read(write(keys, tensors)) gives the same, as values and as bytes", [] {
        qtk::gguf_writer writer;
        std::uint32_t const alignment = 8u << *rc::gen::inRange(0, 6);
        if (*rc::gen::arbitrary<bool>()) writer.set("general.alignment", alignment);
        auto const number = *rc::gen::arbitrary<std::int64_t>();
        auto const text = any_name();
        auto const floats = *rc::gen::container<std::vector<float>>(rc::gen::arbitrary<float>());
        auto const words =
            *rc::gen::container<std::vector<std::uint16_t>>(rc::gen::arbitrary<std::uint16_t>());
        std::vector<std::string> names(*rc::gen::inRange<std::size_t>(0, 5));
        for (auto& name : names) name = any_name();
        bool const flag = *rc::gen::arbitrary<bool>();
        writer.set("number", number);
        writer.set("small", static_cast<std::int8_t>(number));
        writer.set("text", text);
        writer.set("flag", flag);
        writer.set_array("floats", floats);
        writer.set_array("words", words);
        writer.set_array("names", names);

        constexpr qtk::gguf_type types[] = {
            qtk::gguf_type::f32,  qtk::gguf_type::f16,   qtk::gguf_type::q4_0, qtk::gguf_type::q8_0,
            qtk::gguf_type::q6_K, qtk::gguf_type::mxfp4, qtk::gguf_type::i32,  qtk::gguf_type::i8};
        std::map<std::string, std::pair<std::vector<std::uint64_t>, std::vector<std::byte>>>
            tensors;
        std::vector<std::pair<std::string, qtk::gguf_type>> order;
        for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
            std::string const name = any_name();
            if (tensors.contains(name)) continue;
            qtk::gguf_type const type = test::one_of(types);
            auto dims = any_shape(4, 1);
            std::size_t values = 0, size = 0;
            for (auto const& entry : qtk::known_gguf_types)
                if (entry.type == type) values = entry.values, size = entry.bytes;
            dims[0] *= values;
            auto bytes = random_bytes(product_of(dims) / values * size);
            tensors[name] = {dims, std::move(bytes)};
            order.emplace_back(name, type);
        }
        for (auto const& [name, type] : order)
            writer.add(name, type, tensors[name].first, tensors[name].second);

        std::vector<std::byte> file = writer.header();
        for (auto const& place : writer.places()) {
            file.resize(static_cast<std::size_t>(place.offset));
            auto const& bytes = tensors[place.name].second;
            RC_ASSERT(place.bytes == bytes.size());
            file.insert(file.end(), bytes.begin(), bytes.end());
        }
        RC_ASSERT(file.size() <= writer.size_bytes());
        file.resize(static_cast<std::size_t>(writer.size_bytes()));

        auto const header = qtk::parse_gguf_header(file, "a.gguf");
        auto const& keys = header.metadata;
        RC_ASSERT(keys.get<std::int64_t>("number") == number);
        RC_ASSERT(keys.get<std::int8_t>("small") == static_cast<std::int8_t>(number));
        RC_ASSERT(keys.get<std::string>("text") == text);
        RC_ASSERT(keys.get<bool>("flag") == flag);
        RC_ASSERT(keys.get<std::vector<float>>("floats") == floats);
        RC_ASSERT(keys.get<std::vector<std::uint16_t>>("words") == words);
        RC_ASSERT(keys.get<std::vector<std::string>>("names") == names);
        RC_ASSERT(header.tensors.size() == order.size());
        for (std::size_t i = 0; i < order.size(); ++i) {
            auto const& t = header.tensors[i];
            auto const& [dims, bytes] = tensors[order[i].first];
            RC_ASSERT(t.name == order[i].first);
            RC_ASSERT(t.type == order[i].second);
            RC_ASSERT(std::equal(dims.begin(), dims.end(), t.dims.begin()));
            RC_ASSERT(t.rank == dims.size());
            RC_ASSERT(std::equal(
                bytes.begin(), bytes.end(),
                file.begin() + static_cast<std::ptrdiff_t>(header.data_offset + t.offset)));
        }
        // Every value that was read can be written again as it is.
        qtk::gguf_writer again;
        for (auto const& [key, value] : keys.entries()) again.set_value(key, value);
        for (auto const& [name, type] : order)
            again.add(name, type, tensors[name].first, tensors[name].second);
        RC_ASSERT(again.header() == writer.header());
    });
}

TEST_CASE(
    "quantized matrices and tensors come back from one file, mapped or read, whole or in parts") {
    // Files are put on the disk for good, which takes its time: fewer cases with more in each.
    test::property(
        "read(write(q)) == q",
        [] {
            test::scratch_folder const folder;
            std::vector<qtk::any_qmatrix> matrices;
            for (int i = *rc::gen::inRange(1, 30); i > 0; --i) matrices.push_back(any_matrix());
            qtk::safetensors_writer writer;
            for (std::size_t i = 0; i < matrices.size(); ++i)
                qtk::add_qmatrix(writer, std::to_string(i), matrices[i]);
            auto const other = random_bytes(33);
            writer.add("beside", qtk::dtype::u8, {33}, other);
            writer.write(folder / "q");
            RC_ASSERT(std::filesystem::file_size(folder / "q") == writer.size_bytes());
            for (auto const mode : {qtk::io_mode::mmap, qtk::io_mode::read}) {
                auto const file = qtk::safetensors_file::open(folder / "q", {}, mode);
                auto const beside = file.bytes(file.at("beside"));
                RC_ASSERT(std::ranges::equal(beside, other));
                for (std::size_t i = 0; i < matrices.size(); ++i) {
                    qtk::any_qmatrix const& q = matrices[i];
                    // Bits behind the last field of the zeros are not kept by part().
                    auto const stored = qtk::find_qmatrix(file, std::to_string(i));
                    RC_ASSERT(stored.scheme == q.scheme());
                    auto const same = [](std::span<std::byte const> a,
                                         std::span<std::uint8_t const> b) {
                        return std::ranges::equal(a, std::as_bytes(b));
                    };
                    RC_ASSERT(same(stored.codes, q.codes()));
                    RC_ASSERT(same(stored.scales, q.scales()));
                    RC_ASSERT(same(stored.zeros, q.zeros()));
                    RC_ASSERT(stored.tensor_scale == q.tensor_scale());
                    std::size_t const tile = q.grid().rows;
                    for (std::size_t first = 0; first < q.rows(); first += tile) {
                        auto const part = stored.part(first, std::min(tile, q.rows() - first));
                        for (std::size_t r = 0; r < part.rows(); ++r) {
                            RC_ASSERT(
                                std::ranges::equal(part.row_codes(r), q.row_codes(first + r)));
                            for (std::size_t c = 0; c < q.cols(); ++c) {
                                RC_ASSERT(std::bit_cast<std::uint32_t>(part.scale(r, c)) ==
                                          std::bit_cast<std::uint32_t>(q.scale(first + r, c)));
                                RC_ASSERT(part.zero_point(r, c) == q.zero_point(first + r, c));
                            }
                        }
                    }
                }
            }
        },
        100);
}

TEST_CASE(
    "an .npy file has the shape and the values that its bytes say, however its header is spelled") {
    test::property("every order of keys, quotes and spaces; every type", [] {
        static std::string const types[] = {"|b1", "|i1", "|u1", "<i2", "<u2", "<f2",
                                            "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"};
        std::string const& type = test::one_of(types);
        auto const shape = any_shape(5, 0);
        auto const payload =
            random_bytes(product_of(shape) * static_cast<std::size_t>(type[2] - '0'));
        auto const space = [] { return std::string(*rc::gen::inRange<std::size_t>(0, 3), ' '); };
        std::string const mark = *rc::gen::arbitrary<bool>() ? "'" : "\"";
        std::string tuple = "(";
        for (std::size_t i = 0; i < shape.size(); ++i)
            tuple += (i > 0 ? "," + space() : "") + std::to_string(shape[i]);
        tuple += shape.size() == 1 ? ",)" : ")";
        std::vector<std::string> entries{mark + "descr" + mark + ":" + space() + mark + type + mark,
                                         mark + "fortran_order" + mark + ":" + space() + "False",
                                         mark + "shape" + mark + ":" + space() + tuple};
        std::rotate(entries.begin(), entries.begin() + *rc::gen::inRange(0, 3), entries.end());
        if (*rc::gen::arbitrary<bool>()) std::swap(entries[0], entries[1]);
        std::string text = "{" + entries[0] + "," + space() + entries[1] + "," + space() +
                           entries[2] + (*rc::gen::arbitrary<bool>() ? ", }" : "}");
        text += space() + "\n";
        int const version = *rc::gen::inRange(1, 4);
        std::string file = "\x93NUMPY";
        file += static_cast<char>(version);
        file += '\0';
        for (int byte = 0; byte < (version == 1 ? 2 : 4); ++byte)
            file += static_cast<char>(text.size() >> (8 * byte) & 0xff);
        file += text;
        std::size_t const start = file.size();
        file.append(reinterpret_cast<char const*>(payload.data()), payload.size());
        auto const header = qtk::parse_npy_header(std::as_bytes(std::span(file)), "a.npy");
        RC_ASSERT(header.type == type);
        RC_ASSERT(header.shape == shape);
        RC_ASSERT(header.data_offset == start);
    });
}
