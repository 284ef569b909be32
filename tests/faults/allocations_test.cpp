// SPDX-License-Identifier: Apache-2.0
//
// What if there is no memory for the n-th object? For every n, and for everything from the n-th on: std::bad_alloc and
// nothing else comes out, every object is given back, and no file is left that was not there.
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/calibration/quantize_model.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/cifar.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/io/gguf_writer.hpp>
#include <qtk/io/idx.hpp>
#include <qtk/io/image_folder.hpp>
#include <qtk/io/imatrix_file.hpp>
#include <qtk/io/npy.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/io/quantized_folder.hpp>
#include <qtk/io/tokenizer.hpp>
#include <qtk/io/write_journal.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/load.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include "random_layer.hpp"
#include "scratch.hpp"
#include "tiny_gguf.hpp"
#include "tiny_model.hpp"
#include <atomic>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <set>
#include <string>
#include <vector>

namespace {

/// 0: nothing fails. Else the number of the object that finds no memory; objects are counted meanwhile.
std::atomic<long> fail_at{0};
std::atomic<bool> fails_on{false};  // and every later one too
std::atomic<long> made{0}, alive{0};

void* allocate(std::size_t size, std::size_t alignment) {
    if (fail_at > 0) {
        long const n = ++made;
        if (n == fail_at || (fails_on && n > fail_at)) throw std::bad_alloc();
    }
    void* memory = nullptr;
    if (::posix_memalign(&memory, std::max(alignment, sizeof(void*)),
                         std::max<std::size_t>(size, 1)) != 0)
        throw std::bad_alloc();
    ++alive;
    return memory;
}
void give_back(void* memory) noexcept {
    if (memory == nullptr) return;
    --alive;
    std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
    return allocate(size, alignof(std::max_align_t));
}
void* operator new[](std::size_t size) {
    return allocate(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t to) {
    return allocate(size, static_cast<std::size_t>(to));
}
void* operator new[](std::size_t size, std::align_val_t to) {
    return allocate(size, static_cast<std::size_t>(to));
}
// std::stable_sort and its like ask so, and do without.
void* operator new(std::size_t size, std::nothrow_t const&) noexcept {
    void* const memory = std::malloc(size);
    if (memory != nullptr) ++alive;
    return memory;
}
void operator delete(void* memory, std::nothrow_t const&) noexcept {
    give_back(memory);
}
void operator delete(void* memory) noexcept {
    give_back(memory);
}
void operator delete[](void* memory) noexcept {
    give_back(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    give_back(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    give_back(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    give_back(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
    give_back(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    give_back(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
    give_back(memory);
}

namespace {

namespace fs = std::filesystem;

[[nodiscard]] std::set<fs::path> content(fs::path const& folder) {
    std::set<fs::path> files;
    for (auto const& entry : fs::recursive_directory_iterator(folder)) files.insert(entry.path());
    return files;
}

/// How a run without memory ended.
enum ending : int { whole, thrown, leaked, other_error, terminated };

/// The work in a process of its own, where object `n` finds no memory, or none from there on.
template <typename Work>
[[nodiscard]] ending ending_of(Work const& work, long n, bool all) {
    ::pid_t const child = ::fork();
    if (child == 0) {
        std::set_terminate([] {
            qtk::remove_unfinished_files();
            ::_exit(terminated);
        });
        long const held = alive;
        made = 0, fails_on = all, fail_at = n;
        ending how = whole;
        try {
            work();
        } catch (std::bad_alloc const&) {
            how = thrown;
        } catch (...) {
            how = other_error;
        }
        fail_at = 0;
        if (how == thrown && alive != held) how = leaked;
        // What is swallowed is no success.
        if (how == whole && made >= n) how = other_error;
        ::_exit(how);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? static_cast<ending>(WEXITSTATUS(status)) : terminated;
}

/// The destructor of a nlohmann::json of arrays and objects makes a vector: without memory for it the process ends,
/// which programs turn into their line and exit code (end_cleanly_on_uncaught).
enum class json_documents { none, some };

/// Does the work again and again, each time with the next object that finds no memory, until none of them is missed.
/// `undo` puts the folder back to what it was before the work.
template <typename Work, typename Undo>
void without_memory(test::scratch_folder const& place, json_documents documents, Work const& work,
                    Undo const& undo) {
    work();  // what is made once and kept
    undo();
    auto const before = content(place.path());
    for (bool const all : {false, true}) {
        long n = 1, ended = 0;
        for (ending how = thrown; how != whole; ++n) {
            how = ending_of(work, n, all);
            if (how == whole) break;
            CAPTURE(n);
            CAPTURE(all);
            if (how == terminated && documents == json_documents::some) {
                ++ended;
                undo();
                continue;
            }
            REQUIRE(how == thrown);
            REQUIRE(content(place.path()) == before);
        }
        undo();
        long const objects = n - 1;
        MESSAGE(objects, all ? " objects, all later ones too, " : " objects, ", ended,
                " of them those of JSON that goes");
        CHECK(objects > 0);
        if (!all) CHECK(2 * ended < objects);
    }
}
template <typename Work>
void without_memory(test::scratch_folder const& place, json_documents documents, Work const& work) {
    without_memory(place, documents, work, [] {});
}

[[nodiscard]] qtk::matrix values(std::size_t rows, std::size_t cols) {
    qtk::matrix m(rows, cols);
    auto const some = qtk::gaussian_vector(rows * cols, 7);
    std::ranges::copy(some, m.data());
    return m;
}

}  // namespace

TEST_CASE("safetensors: reading a folder, writing a file, quantized matrices") {
    test::scratch_folder const place;
    fs::create_directory(place / "model");
    qtk_test::tiny_llama().write(place / "model");
    without_memory(place, json_documents::none, [&] {
        auto const file = qtk::checkpoint::open(place / "model");
        for (auto const& shard : file.shards())
            for (auto const& tensor : shard.tensors()) static_cast<void>(shard.floats(tensor));
    });
    test::write_file(place / "model/model.safetensors.index.json",
                     R"({"weight_map": {"model.norm.weight": "model.safetensors"}})");
    without_memory(place, json_documents::some,
                   [&] { static_cast<void>(qtk::checkpoint::open(place / "model")); });
    test::write_file(place / "out", "old");
    auto const m = values(8, 32);
    without_memory(
        place, json_documents::none,
        [&] {
            qtk::any_qmatrix const q = qtk::quantize_any(m, qtk::parse_scheme("i4/g8/asym/f16"),
                                                         qtk::minmax_range{}, {.name = "w"});
            qtk::safetensors_writer writer;
            qtk::add_qmatrix(writer, "w", q);
            writer.write(place / "out");
            auto const file = qtk::safetensors_file::open(place / "out");
            static_cast<void>(qtk::dequantize(qtk::read_qmatrix(file, "w")));
        },
        [&] { test::write_file(place / "out", "old"); });
}

TEST_CASE("GGUF: writing and reading") {
    test::scratch_folder const place;
    qtk_test::gguf_model model;
    model.add(qtk_test::tiny_llama());
    without_memory(
        place, json_documents::none, [&] { model.file.write(place / "m.gguf"); },
        [&] { fs::remove(place / "m.gguf"); });
    model.file.write(place / "m.gguf");
    without_memory(place, json_documents::none,
                   [&] { static_cast<void>(qtk::gguf_file::open(place / "m.gguf")); });
    without_memory(place, json_documents::none, [&] {
        static_cast<void>(qtk::load_decoder(
            std::make_shared<qtk::gguf_file const>(qtk::gguf_file::open(place / "m.gguf"))));
    });
}

TEST_CASE("a network is loaded and its layers are quantized") {
    test::scratch_folder const place;
    for (auto const& [name, model] :
         {std::pair("llama", qtk_test::tiny_llama()), std::pair("gpt2", qtk_test::tiny_gpt2()),
          std::pair("opt", qtk_test::tiny_opt())}) {
        fs::create_directory(place / name);
        model.write(place / name);
        without_memory(place, json_documents::some,
                       [&] { static_cast<void>(qtk::load_decoder(place / name)); });
    }
    std::vector<std::vector<std::int32_t>> const windows{{1, 2, 3, 4}};
    for (char const* const method : {"rtn", "gptq"})
        without_memory(place, json_documents::some, [&] {
            qtk::decoder network = qtk::load_decoder(place / "llama");
            static_cast<void>(qtk::quantize_model(
                network,
                [&](std::string const&) {
                    return qtk::layer_plan{
                        qtk::parse_scheme("i4/g8"), qtk::parse_method(method), {}};
                },
                windows));
        });
}

TEST_CASE("tokenizers") {
    test::scratch_folder const place;
    std::string const json = R"({
        "added_tokens": [{"id": 3, "content": "<s>", "special": true, "normalized": false}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": null, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";
    without_memory(place, json_documents::some, [&] {
        auto const tokenizer = qtk::tokenizer::from_json(json, "tokenizer.json");
        static_cast<void>(tokenizer.decode(tokenizer.encode("ab<s>abba")));
    });
}

TEST_CASE("arrays and images") {
    test::scratch_folder const place;
    std::string const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n";
    test::write_file(place / "a.npy", std::string("\x93NUMPY\x01\0", 8) +
                                          static_cast<char>(header.size()) + '\0' + header +
                                          std::string(24, 'x'));
    without_memory(place, json_documents::none,
                   [&] { static_cast<void>(qtk::npy_file::open(place / "a.npy").floats()); });
    fs::create_directories(place / "images/cat");
    fs::create_directories(place / "images/dog");
    test::write_file(place / "images/cat/a.pgm", "P5 1 1 255\nx");
    test::write_file(place / "images/dog/b.ppm", "P6 1 1 255\nxyz");
    without_memory(place, json_documents::none,
                   [&] { static_cast<void>(qtk::list_image_folder(place / "images")); });
    without_memory(place, json_documents::none,
                   [&] { static_cast<void>(qtk::read_image(place / "images/dog/b.ppm")); });
    test::write_file(place / "images.idx",
                     std::string("\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02", 16) + "abcd");
    test::write_file(place / "labels.idx", std::string("\0\0\x08\x01\0\0\0\x01\x05", 9));
    without_memory(place, json_documents::none, [&] {
        static_cast<void>(qtk::read_idx(place / "images.idx", place / "labels.idx"));
    });
    test::write_file(place / "batch.bin", std::string(3073, '\1'));
    without_memory(place, json_documents::none,
                   [&] { static_cast<void>(qtk::read_cifar10(place / "batch.bin")); });
}

TEST_CASE("a folder of a published layout") {
    test::scratch_folder const place;
    fs::create_directory(place / "source");
    qtk_test::tiny_llama().write(place / "source");
    test::write_file(place / "source/tokenizer.json", "tokens");
    qtk::scheme const four = qtk::parse_scheme("i4/g8/asym/f16");
    qtk::ordered_qmatrix const codes{test::random_layer(four, 16, 8), {}};
    std::string const layer = "model.layers.0.self_attn.q_proj";
    without_memory(
        place, json_documents::some,
        [&] {
            qtk::quantized_folder_writer writer(
                place / "source", place / "target",
                qtk::quantization_config_for(qtk::weight_layout::gptq, four));
            writer.plan_layer(layer, {16, 8});
            writer.start();
            writer.write_layer(layer, codes);
            writer.finish();
            auto const file = qtk::checkpoint::open(place / "target");
            auto const config = qtk::read_quantization_config(place / "target");
            static_cast<void>(qtk::read_layer(file, layer, *config));
        },
        [&] { fs::remove_all(place / "target"); });
}

TEST_CASE("a journal") {
    test::scratch_folder const place;
    std::vector<qtk::journal_entry> const entries{{"a", 0, 3, 1}};
    without_memory(
        place, json_documents::some,
        [&] {
            qtk::write_journal journal(place / "out", qtk::journal_run{"digest", 3, false});
            static_cast<void>(qtk::read_journal(place / "out"));
        },
        [&] { fs::remove(qtk::journal_path(place / "out")); });
}
