// SPDX-License-Identifier: Apache-2.0
//
// How long does it take to make weights ready? Beside what memory allows: a plain read of the same
// codes, and a copy of them to memory that is as fresh as the stream's. Bytes are canonical codes.
// The matrices of a row lie one after the other in 256 MiB, so that none is in a cache.
#include <qtk/core/random.hpp>
#include <qtk/kernel/prepack.hpp>

#include "rates.hpp"
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr std::size_t rows = 4096, cols = 4096;

/// As many matrices of one scheme as 256 MiB hold.
class matrices {
  public:
    explicit matrices(qtk::scheme const& s)
        : scheme_(s),
          grid_(s.grain, rows, cols),
          size_(rows * qtk::packed_bytes(cols, s.element.bits)),
          count_(qtk_bench::run_extent() == qtk_bench::extent::smoke
                     ? 1
                     : (std::size_t{256} << 20) / size_),
          codes_(count_ * size_),
          scales_(grid_.count() * qtk::scale_bytes(s.scale)),
          zeros_(s.has_zero_point() ? qtk::packed_bytes(grid_.count(), s.element.bits) : 0) {
        qtk::splitmix64 random(1);
        for (std::size_t i = 0; i + 8 <= codes_.size(); i += 8) {
            std::uint64_t const eight = random();
            std::memcpy(codes_.data() + i, &eight, 8);
        }
    }
    [[nodiscard]] std::size_t bytes() const { return size_; }
    [[nodiscard]] std::uint8_t const* codes() { return codes_.data() + next_++ % count_ * size_; }
    [[nodiscard]] qtk::qmatrix_view next() {
        return {scheme_, rows, cols, {codes(), size_}, scales_, zeros_};
    }

  private:
    qtk::scheme scheme_;
    qtk::tile_grid grid_;
    std::size_t size_, count_, next_ = 0;
    std::vector<std::uint8_t> codes_, scales_, zeros_;
};

constexpr std::size_t pieces = 64;

void read(benchmark::State& state, qtk::scheme const& s) {
    matrices all(s);
    for (auto _ : state) {
        std::uint8_t const* const codes = all.codes();
        std::vector<std::uint64_t> sums(pieces);
        qtk::parallel_for(pieces, all.bytes(), [&](std::size_t i) {
            std::size_t const words = all.bytes() / pieces / 8;
            auto const* const from = reinterpret_cast<std::uint64_t const*>(codes) + i * words;
            std::uint64_t a = 0, b = 0, c = 0, d = 0;
            for (std::size_t w = 0; w + 4 <= words; w += 4) {
                a ^= from[w];
                b ^= from[w + 1];
                c ^= from[w + 2];
                d ^= from[w + 3];
            }
            sums[i] = a ^ b ^ c ^ d;
        });
        benchmark::DoNotOptimize(sums.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, all.bytes(), rows * cols, qtk_bench::level::dram);
}

void copy(benchmark::State& state, qtk::scheme const& s) {
    matrices all(s);
    for (auto _ : state) {
        std::uint8_t const* const codes = all.codes();
        qtk::aligned_bytes to(all.bytes());
        qtk::parallel_for(pieces, all.bytes(), [&](std::size_t i) {
            std::size_t const size = all.bytes() / pieces;
            std::memcpy(to.data() + i * size, codes + i * size, size);
        });
        benchmark::DoNotOptimize(to.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, all.bytes(), rows * cols, qtk_bench::level::dram);
}

void prepack(benchmark::State& state, qtk::scheme const& s, qtk::instruction_set isa) {
    matrices all(s);
    for (auto _ : state) {
        qtk::packed_matrix const packed = qtk::detail::prepack_on(isa, all.next());
        benchmark::DoNotOptimize(packed.view().data);
    }
    qtk_bench::set_rates(state, all.bytes(), rows * cols, qtk_bench::level::dram);
}

void unpack(benchmark::State& state, qtk::scheme const& s, qtk::instruction_set isa) {
    matrices all(s);
    qtk::packed_matrix const packed = qtk::prepack(all.next());
    for (auto _ : state) {
        qtk::any_qmatrix const q = qtk::detail::unpack_on(isa, packed);
        benchmark::DoNotOptimize(q.codes().data());
    }
    qtk_bench::set_rates(state, all.bytes(), rows * cols, qtk_bench::level::dram);
}

int const registered = [] {
    auto const add = [](char const* operation, qtk::scheme const& s, std::string_view how,
                        auto const& body) {
        std::string const name =
            qtk_bench::bench_name(operation, qtk::to_string(s), how) + "/4096x4096/dram";
        benchmark::RegisterBenchmark(name.c_str(), body)->UseRealTime();
    };
    using qtk::scale_type;
    for (qtk::scheme const& s :
         {qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128), .scale = scale_type::f16},
          qtk::scheme{.element = qtk::i3, .grain = qtk::per_group(128), .scale = scale_type::f16},
          qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel}}) {
        add("prepack", s, "read", [s](benchmark::State& state) { read(state, s); });
        add("prepack", s, "copy", [s](benchmark::State& state) { copy(state, s); });
        for (qtk::instruction_set const isa :
             {qtk::instruction_set::scalar, qtk::instruction_set::avx2,
              qtk::instruction_set::avx512}) {
            if (!qtk::is_usable(isa)) continue;
            add("prepack", s, qtk::name_of(isa),
                [s, isa](benchmark::State& state) { prepack(state, s, isa); });
            add("unpack", s, qtk::name_of(isa),
                [s, isa](benchmark::State& state) { unpack(state, s, isa); });
        }
    }
    return 0;
}();

}  // namespace
