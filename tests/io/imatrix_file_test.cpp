// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/imatrix_file.hpp>

#include <doctest/doctest.h>

#include "../support/scratch.hpp"
#include <bit>
#include <limits>
#include <string>
#include <vector>

namespace {

/// The bytes of a .dat file, field by field.
struct dat {
    std::string bytes;
    dat& number(std::int32_t v) {
        bytes.append(4, '\0');
        qtk::store_little_endian(v, reinterpret_cast<std::byte*>(bytes.data() + bytes.size() - 4));
        return *this;
    }
    dat& real(float v) { return number(std::bit_cast<std::int32_t>(v)); }
    dat& text(std::string const& v) {
        number(static_cast<std::int32_t>(v.size()));
        bytes += v;
        return *this;
    }
};

dat two_entries() {
    dat file;
    file.number(2);
    file.text("blk.0.attn_q.weight").number(4).number(2).real(4.0f).real(1.0f);
    file.text("blk.0.ffn_down.weight").number(2).number(3).real(0.0f).real(2.0f).real(6.0f);
    return file;
}

std::string fault_of(std::filesystem::path const& path) {
    try {
        static_cast<void>(qtk::imatrix_file::open(path));
    } catch (qtk::io_error const& e) {
        std::string const text = e.what();
        return text.substr(text.find(path.filename().string()) + path.filename().string().size());
    }
    return "none";
}

}  // namespace

TEST_CASE("a .dat file is read, with and without its end") {
    test::scratch_folder const folder;
    for (int end = 0; end < 3; ++end) {
        dat file = two_entries();
        if (end > 0) file.number(7);
        if (end > 1) file.text("wiki.txt");
        test::write_file(folder / "m.dat", file.bytes);
        auto const read = qtk::imatrix_file::open(folder / "m.dat");
        CHECK(read.entries().size() == 2);
        auto const q = read.importance("blk.0.attn_q.weight", 2);
        CHECK(std::vector<float>(q.begin(), q.end()) == std::vector<float>{1.0f, 0.25f});
        CHECK(read.find("blk.0.ffn_down.weight")->importance ==
              std::vector<float>{0.0f, 1.0f, 3.0f});
        CHECK(read.importance("blk.0.attn_k.weight", 2).empty());
        CHECK(read.chunk_count == (end > 0 ? 7u : 0u));
        CHECK(read.datasets ==
              (end > 1 ? std::vector<std::string>{"wiki.txt"} : std::vector<std::string>{}));
    }
}

TEST_CASE("what is written as GGUF comes back, experts included") {
    test::scratch_folder const folder;
    qtk::imatrix_file file;
    file.datasets = {"a.txt", "b.txt"};
    file.chunk_count = 10;
    file.chunk_size = 512;
    file.add("blk.0.attn_q.weight", {2, {64.0f}, {1.0f, 0.25f}});
    file.add("blk.1.ffn_up_exps.weight", {2, {4.0f, 0.0f, 8.0f}, {1, 2, 0, 0, 3, 4}});
    file.write(folder / "m.gguf");
    auto const read = qtk::imatrix_file::open(folder / "m.gguf");
    CHECK(read.datasets == file.datasets);
    CHECK(read.chunk_count == 10);
    CHECK(read.chunk_size == 512);
    REQUIRE(read.entries().size() == 2);
    for (auto const& [name, entry] : file.entries()) {
        REQUIRE(read.find(name) != nullptr);
        CHECK(read.find(name)->columns == entry.columns);
        CHECK(read.find(name)->counts == entry.counts);
        CHECK(read.find(name)->importance == entry.importance);
    }
    CHECK(read.find("blk.1.ffn_up_exps.weight")->of(2)[1] == 4.0f);
    auto const raw = qtk::gguf_file::open(folder / "m.gguf");
    CHECK(raw.floats(raw.at("blk.0.attn_q.weight.in_sum2")) == std::vector<float>{64.0f, 16.0f});
    read.write(folder / "again.gguf");
    CHECK(test::read_file(folder / "again.gguf") == test::read_file(folder / "m.gguf"));
}

TEST_CASE("an importance of another shape than the weight's is refused") {
    qtk::imatrix_file file;
    file.add("a", {2, {1.0f}, {1.0f, 2.0f}});
    CHECK_THROWS_WITH_AS((void)file.importance("a", 3),
                         "imatrix: \"a\" has 3 columns, but the importance is that of 1 matrices "
                         "with 2",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(file.add("a", {1, {1.0f}, {1.0f}}),
                         "imatrix: the name \"a\" is empty or taken", qtk::value_error);
    CHECK_THROWS_WITH_AS(file.add("b", {2, {1.0f}, {1.0f}}),
                         "imatrix: \"b\": expected a value for every column of every matrix",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(file.add("b", {1, {1.0f}, {-1.0f}}),
                         "imatrix: \"b\": a mean square is negative or no number",
                         qtk::value_error);
    CHECK_THROWS_AS(file.add("b", {1, {std::numeric_limits<float>::infinity()}, {1.0f}}),
                    qtk::value_error);
}

TEST_CASE("a .dat file that is cut, or holds what cannot be, is one clear error") {
    test::scratch_folder const folder;
    auto const path = folder / "m.dat";
    auto const fault = [&](std::string const& bytes) {
        test::write_file(path, bytes);
        return fault_of(path);
    };
    std::string const whole = two_entries().number(7).text("wiki.txt").bytes;
    std::size_t const entries = two_entries().bytes.size();
    for (std::size_t size = 0; size < whole.size(); ++size)
        if (size != entries && size != entries + 4) CHECK(fault(whole.substr(0, size)) != "none");
    CHECK(fault(whole) == "none");
    CHECK(fault(whole + "x").find("1 bytes are left over") != std::string::npos);
    CHECK(fault(dat{}.number(0).bytes).find("the number of entries is 0, expected 1 to") !=
          std::string::npos);
    CHECK(fault(dat{}.number(-5).bytes).find("is -5") != std::string::npos);
    CHECK(fault(dat{}.number(1).number(1 << 30).bytes).find("the length of a name is 1073741824") !=
          std::string::npos);
    CHECK(fault(dat{}.number(1).text("a").number(0).number(1).real(1.0f).bytes)
              .find("the number of calls is 0") != std::string::npos);
    CHECK(fault(dat{}.number(1).text("a").number(1).number(1 << 30).real(1.0f).bytes)
              .find("the number of values is 1073741824, expected 1 to 1") != std::string::npos);
    CHECK(fault(dat{}.number(1).text("a").number(1).number(1).real(-1.0f).bytes)
              .find("a mean square is negative or no number") != std::string::npos);
    dat twice;
    twice.number(2);
    for (int i = 0; i < 2; ++i) twice.text("a").number(1).number(1).real(1.0f);
    CHECK(fault(twice.bytes).find("the name \"a\" is empty or taken") != std::string::npos);
}

TEST_CASE("a GGUF file that is something else is refused") {
    test::scratch_folder const folder;
    auto const path = folder / "m.gguf";
    std::vector<float> const values{1.0f, 2.0f};
    auto const fault = [&](auto const& fill) {
        qtk::gguf_writer writer;
        fill(writer);
        writer.write(path);
        return fault_of(path);
    };
    auto const bytes = std::as_bytes(std::span(values));
    CHECK(fault([&](qtk::gguf_writer& w) {
              w.set("general.type", "model");
          }).find("general.type is \"model\", expected \"imatrix\"") != std::string::npos);
    CHECK(fault([&](qtk::gguf_writer& w) {
              w.add("a", qtk::gguf_type::f32, {2}, bytes);
          }).find("there is no tensor *.in_sum2") != std::string::npos);
    CHECK(fault([&](qtk::gguf_writer& w) {
              w.add("a.in_sum2", qtk::gguf_type::f32, {2}, bytes);
          }).find("the tensor \"a.counts\" is missing") != std::string::npos);
    CHECK(fault([&](qtk::gguf_writer& w) {
              w.add("a.in_sum2", qtk::gguf_type::f32, {2}, bytes);
              w.add("a.counts", qtk::gguf_type::f32, {2}, bytes);
          }).find("expected a value for every column of every matrix") != std::string::npos);
}
