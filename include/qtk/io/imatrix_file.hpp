// SPDX-License-Identifier: Apache-2.0
//
// Which columns of which weight matter, by the calibration of another program? The files of llama.cpp's
// `imatrix`: for every weight the sum of x_j^2 over the rows that it was multiplied with, and their
// count. Read in both forms, written in the newer one:
//
//   GGUF    tensors NAME.in_sum2 [columns, matrices] and NAME.counts [1, matrices], f32; keys
//           imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size
//   .dat    i32 entries; each i32 length, name, i32 calls, i32 values, f32 values: mean x_j^2 times calls;
//           then, if at all, i32 last call, i32 length, name of the text
//
// Names are GGUF's (blk.0.attn_q.weight); gguf_name() of model/gguf_reader.hpp makes them from Hugging
// Face's. A mixture of experts has several matrices under one name. A .dat file does not say how many rows
// were seen: its counts are calls.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/io/gguf_writer.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// Of one weight [out, columns], or of several matrices of that shape.
struct imatrix_entry {
    std::size_t columns = 0;
    std::vector<float> counts;      ///< rows seen by each matrix, at least one matrix
    std::vector<float> importance;  ///< mean x_j^2, [matrices, columns]; 0 where no row was seen

    [[nodiscard]] std::span<float const> of(std::size_t matrix) const {
        return std::span(importance).subspan(matrix * columns, columns);
    }
};

class imatrix_file {
  public:
    std::vector<std::string> datasets;
    std::uint32_t chunk_count = 0, chunk_size = 0;  ///< 0: not known

    imatrix_file() = default;

    /// Throws system_error if the file cannot be opened, io_error if it is no importance matrix, or holds
    /// values that no mean of squares can have.
    [[nodiscard]] static imatrix_file open(std::filesystem::path const& path,
                                           io_limits const& limits = {}) {
        imatrix_file file;
        mapped_file const mapped = mapped_file::open(path, io_mode::mmap);
        if (mapped.text().starts_with(std::string_view("GGUF")))
            file.read_gguf(gguf_file::open(path, limits));
        else
            file.read_dat(mapped, limits);
        return file;
    }

    /// By name.
    [[nodiscard]] std::map<std::string, imatrix_entry, std::less<>> const& entries()
        const noexcept {
        return entries_;
    }
    /// Null if the weight was not seen.
    [[nodiscard]] imatrix_entry const* find(std::string_view name) const {
        auto const at = entries_.find(name);
        return at == entries_.end() ? nullptr : &at->second;
    }
    /// mean x_j^2 of a weight with one matrix; empty if it was not seen. Throws value_error if the file
    /// has another number of columns or matrices.
    [[nodiscard]] std::span<float const> importance(std::string_view name,
                                                    std::size_t columns) const {
        imatrix_entry const* const entry = find(name);
        if (entry == nullptr) return {};
        if (entry->columns != columns || entry->counts.size() != 1)
            throw value_error("imatrix: " + qtk::quoted(name) + " has " + std::to_string(columns) +
                              " columns, but the importance is that of " +
                              std::to_string(entry->counts.size()) + " matrices with " +
                              std::to_string(entry->columns));
        return entry->of(0);
    }

    /// Throws value_error for a name that is empty or taken, for sizes that do not fit, and for values
    /// that are negative or no numbers.
    void add(std::string name, imatrix_entry entry) {
        if (char const* const fault = fault_of(entry))
            throw value_error("imatrix: " + qtk::quoted(name) + ": " + fault);
        if (name.empty() || entries_.contains(name))
            throw value_error("imatrix: the name " + qtk::quoted(name) + " is empty or taken");
        entries_.emplace(std::move(name), std::move(entry));
    }

    /// Writes the GGUF form, whole or not at all. Throws system_error.
    void write(std::filesystem::path const& path) const {
        gguf_writer writer;
        writer.set("general.type", "imatrix");
        writer.set_array("imatrix.datasets", datasets);
        writer.set("imatrix.chunk_count", chunk_count);
        writer.set("imatrix.chunk_size", chunk_size);
        std::vector<std::vector<float>> sums;
        sums.reserve(entries_.size());
        for (auto const& [name, entry] : entries_) {
            std::vector<float>& sum = sums.emplace_back(entry.importance);
            for (std::size_t i = 0; i < sum.size(); ++i) sum[i] *= entry.counts[i / entry.columns];
            std::uint64_t const matrices = entry.counts.size();
            writer.add(name + std::string(sum_ending), gguf_type::f32, {entry.columns, matrices},
                       std::as_bytes(std::span(sum)));
            writer.add(name + std::string(count_ending), gguf_type::f32, {1, matrices},
                       std::as_bytes(std::span(entry.counts)));
        }
        writer.write(path);
    }

  private:
    static constexpr std::string_view sum_ending = ".in_sum2", count_ending = ".counts";

    [[nodiscard]] static char const* fault_of(imatrix_entry const& entry) {
        if (entry.columns == 0 || entry.counts.empty() ||
            entry.importance.size() != checked_mul(entry.columns, entry.counts.size()))
            return "expected a value for every column of every matrix";
        auto const is_bad = [](float v) { return !(v >= 0.0f) || is_nonfinite(v); };
        if (std::ranges::any_of(entry.counts, is_bad)) return "a count is negative or no number";
        if (std::ranges::any_of(entry.importance, is_bad))
            return "a mean square is negative or no number";
        return nullptr;
    }

    void add_from(std::string const& path, std::string name, imatrix_entry entry) {
        try {
            add(std::move(name), std::move(entry));
        } catch (value_error const& e) {
            throw io_error(path, e.what());
        }
    }

    void read_gguf(gguf_file const& file) {
        gguf_metadata const& keys = file.metadata();
        if (auto const type = keys.get_or<std::string>("general.type", "imatrix");
            type != "imatrix")
            throw io_error(file.path(), "general.type is " + qtk::quoted(type) +
                                            ", expected \"imatrix\". Hint: a model holds no "
                                            "importance; make one with llama.cpp's imatrix");
        if (keys.find("imatrix.datasets") != nullptr)
            datasets = keys.get<std::vector<std::string>>("imatrix.datasets");
        chunk_count = keys.get_or<std::uint32_t>("imatrix.chunk_count", 0);
        chunk_size = keys.get_or<std::uint32_t>("imatrix.chunk_size", 0);
        for (gguf_tensor const& tensor : file.tensors()) {
            std::string const whole(tensor.name);
            if (!whole.ends_with(sum_ending)) continue;
            std::string name = whole.substr(0, whole.size() - sum_ending.size());
            imatrix_entry entry{.columns = static_cast<std::size_t>(tensor.dims[0]),
                                .counts = file.floats(file.at(name + std::string(count_ending))),
                                .importance = file.floats(tensor)};
            if (entry.columns != 0 &&
                entry.importance.size() == checked_mul(entry.columns, entry.counts.size()))
                for (std::size_t i = 0; i < entry.importance.size(); ++i) {
                    float const count = entry.counts[i / entry.columns];
                    entry.importance[i] = count != 0.0f ? entry.importance[i] / count : 0.0f;
                }
            add_from(file.path(), std::move(name), std::move(entry));
        }
        require_any(file.path());
    }

    void read_dat(mapped_file const& file, io_limits const& limits) {
        byte_reader from(file.bytes(), file.path());
        auto const size_of = [&](char const* what, std::uint64_t least, std::uint64_t most) {
            std::uint64_t const at = from.offset();
            auto const n = static_cast<std::int64_t>(from.take<std::int32_t>(what));
            if (n < static_cast<std::int64_t>(least) || static_cast<std::uint64_t>(n) > most)
                throw io_error(file.path(),
                               std::string(what) + " is " + std::to_string(n) + ", expected " +
                                   std::to_string(least) + " to " + std::to_string(most) +
                                   ". Hint: is this an importance matrix?",
                               at);
            return static_cast<std::size_t>(n);
        };
        auto const text_of = [&](std::size_t length, char const* what) {
            auto const raw = from.take_bytes(length, what);
            return std::string(reinterpret_cast<char const*>(raw.data()), raw.size());
        };
        constexpr std::uint64_t any = 0x7fffffff;
        std::size_t const count = size_of("the number of entries", 1, limits.tensors);
        for (std::size_t i = 0; i < count; ++i) {
            std::string name =
                text_of(size_of("the length of a name", 1, limits.tensor_name_bytes), "a name");
            auto const calls = static_cast<float>(size_of("the number of calls", 1, any));
            imatrix_entry entry{
                .columns = size_of("the number of values", 1,
                                   std::max<std::size_t>(from.remaining() / sizeof(float), 1) - 1),
                .counts = {calls},
                .importance = {}};
            entry.importance.resize(entry.columns);
            for (float& v : entry.importance) v = from.take<float>("a value") / calls;
            add_from(file.path(), std::move(name), std::move(entry));
        }
        if (from.remaining() == 0) return;
        chunk_count = static_cast<std::uint32_t>(size_of("the last call", 0, any));
        if (from.remaining() == 0) return;
        datasets = {text_of(size_of("the length of the text's name", 0, from.remaining()),
                            "the name of the text")};
        if (from.remaining() != 0)
            throw io_error(file.path(), std::to_string(from.remaining()) + " bytes are left over",
                           from.offset());
    }

    void require_any(std::string const& path) const {
        if (entries_.empty())
            throw io_error(path, "there is no tensor *.in_sum2: this is no importance matrix");
    }

    std::map<std::string, imatrix_entry, std::less<>> entries_;
};

}  // namespace qtk
