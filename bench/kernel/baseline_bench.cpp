// SPDX-License-Identifier: Apache-2.0
//
// What do others make of Y = X W^T? The plain loop over floats, OpenBLAS on floats, oneDNN on int8
// codes of both (activations are codes already: their quantization is not in its time).
#include <qtk/kernel/dot.hpp>

#include "rates.hpp"
#include "shapes.hpp"

#if defined(QTK_BENCH_OPENBLAS)
#include <cblas.h>
#endif
#if defined(QTK_BENCH_ONEDNN)
#include <oneapi/dnnl/dnnl.hpp>
#endif

#include <cmath>
#include <memory>

namespace {

using namespace qtk_bench;
using qtk::instruction_set;

/// The widest instructions of this machine, which the libraries choose as well.
instruction_set widest() {
    if (qtk::cpu().amx) return instruction_set::amx;
    if (qtk::cpu().avx512) return instruction_set::avx512;
    return qtk::cpu().avx2 ? instruction_set::avx2 : instruction_set::scalar;
}

work float_work(shape const& s, warmth heat, instruction_set isa, int team) {
    return product_work(s, s.n * s.k * sizeof(float), heat, arithmetic::f32, isa, team);
}

/// Product(x, w, y) on float weights that take turns.
template <typename Product>
void run_floats(benchmark::State& state, shape const& s, work const& done, warmth heat,
                Product const& product) {
    product_operands const operands(s);
    auto const weights = normal_weights(s.n, s.k);
    std::span<float const> const values(weights.data, weights.size());
    rotation<huge_buffer> copies(copies_of(values.size_bytes(), heat),
                                 [&] { return in_huge_pages(values); });
    run(state, done, [&] {
        product(operands.input(),
                qtk::matrix_view<float const>(copies.next().as<float>().data(), s.n, s.k),
                operands.output());
    });
}

void float_loop(benchmark::State& state, shape const& s) {
    run_floats(state, s, float_work(s, warmth::hot, instruction_set::scalar, 1), warmth::hot,
               [](auto x, auto w, auto y) {
                   for (std::size_t m = 0; m < x.rows; ++m)
                       for (std::size_t n = 0; n < w.rows; ++n) {
                           float sum = 0.0f;
                           for (std::size_t k = 0; k < x.cols; ++k) sum += x(m, k) * w(n, k);
                           y(m, n) = sum;
                       }
               });
}

#if defined(QTK_BENCH_OPENBLAS)
void openblas(benchmark::State& state, shape const& s, warmth heat) {
    openblas_set_num_threads(threads());
    run_floats(state, s, float_work(s, heat, widest(), threads()), heat,
               [](auto x, auto w, auto y) {
                   auto const m = static_cast<int>(x.rows), n = static_cast<int>(w.rows),
                              k = static_cast<int>(x.cols);
                   if (m == 1)
                       cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1.0f, w.data, k, x.data, 1,
                                   0.0f, y.data, 1);
                   else
                       cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, x.data,
                                   k, w.data, k, 0.0f, y.data, n);
               });
}
#endif

#if defined(QTK_BENCH_ONEDNN)

std::vector<std::int8_t> codes_of(qtk::matrix_view<float const> values) {
    std::vector<std::int8_t> codes(values.size());
    for (std::size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<std::int8_t>(
            std::clamp(std::nearbyint(values.data[i] * 32.0f), -127.0f, 127.0f));
    return codes;
}

/// s8 x s8 with a float scale for each column of Y, to f32; weights in the order that oneDNN asks.
class onednn_product {
  public:
    onednn_product(shape const& s, warmth heat)
        : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_), operands_(s) {
        using dnnl::memory;
        using tag = memory::format_tag;
        auto const m = static_cast<memory::dim>(s.m), n = static_cast<memory::dim>(s.n),
                   k = static_cast<memory::dim>(s.k);
        memory::desc const source({m, k}, memory::data_type::s8, tag::ab),
            weights({k, n}, memory::data_type::s8, tag::any),
            result({m, n}, memory::data_type::f32, tag::ab);
        dnnl::primitive_attr scaled;
        scaled.set_output_scales(1 << 1, std::vector<float>(s.n, 1.0f / 1024));
        dnnl::matmul::primitive_desc const chosen(dnnl::matmul::desc(source, weights, result),
                                                  scaled, engine_);
        matmul_ = dnnl::matmul(chosen);

        std::vector<std::int8_t> const x = codes_of(operands_.input());
        x_ = in_huge_pages(std::span<std::int8_t const>(x));
        std::vector<std::int8_t> w = codes_of(normal_weights(s.n, s.k));
        memory ours({{k, n}, memory::data_type::s8, tag::ba}, engine_, w.data());
        memory::desc const theirs = chosen.weights_desc();
        bytes_ = theirs.get_size();
        for (std::size_t i = 0; i < copies_of(bytes_, heat); ++i) {
            copies_.emplace_back(bytes_);
            memory reordered(theirs, engine_, copies_.back().data());
            dnnl::reorder(ours, reordered).execute(stream_, ours, reordered);
            stream_.wait();
            arguments_.push_back({{DNNL_ARG_SRC, memory(source, engine_, x_.data())},
                                  {DNNL_ARG_WEIGHTS, reordered},
                                  {DNNL_ARG_DST, memory(result, engine_, operands_.y.data())}});
        }
    }
    [[nodiscard]] std::size_t weight_bytes() const noexcept { return bytes_; }
    void operator()() {
        at_ = at_ + 1 < arguments_.size() ? at_ + 1 : 0;
        matmul_.execute(stream_, arguments_[at_]);
        stream_.wait();
    }

  private:
    dnnl::engine engine_;
    dnnl::stream stream_;
    product_operands operands_;
    huge_buffer x_;
    std::vector<huge_buffer> copies_;
    dnnl::matmul matmul_;
    std::vector<std::unordered_map<int, dnnl::memory>> arguments_;
    std::size_t bytes_ = 0, at_ = 0;
};

void onednn(benchmark::State& state, shape const& s, warmth heat) {
    onednn_product product(s, heat);
    run(state,
        product_work(s, product.weight_bytes(), heat, arithmetic::int8, widest(), threads(),
                     sizeof(std::int8_t)),
        product);
}

#endif

void register_products(std::string const& scheme, char const* by, std::size_t most_rows,
                       bool also_cold, void (*product)(benchmark::State&, shape const&, warmth)) {
    for (std::size_t const m : row_counts())
        for (warmth const heat : warmths_of({m, side(), side()})) {
            if (m > most_rows || (heat == warmth::cold && !also_cold)) continue;
            shape const s{m, side(), side()};
            benchmark::RegisterBenchmark(
                bench_name(product_name(s), scheme, by, s.text(), name_of(heat)).c_str(),
                [=](benchmark::State& state) { product(state, s, heat); });
        }
}

int const registered = [] {
    // The loop takes as long for each row, on one thread: a quick run has no time for 512 of them.
    std::size_t const most = threads() > 1 ? 0 : run_extent() == extent::quick ? 16 : 512;
    register_products(
        "f32", "loop", most, false,
        [](benchmark::State& state, shape const& s, warmth) { float_loop(state, s); });
#if defined(QTK_BENCH_OPENBLAS)
    benchmark::AddCustomContext("openblas", openblas_get_config());
    register_products("f32", "openblas", 512, true, openblas);
#endif
#if defined(QTK_BENCH_ONEDNN)
    dnnl_version_t const* const v = dnnl_version();
    benchmark::AddCustomContext(
        "onednn",
        std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch));
    register_products("w8a8", "onednn", 512, true, onednn);
#endif
    return 0;
}();

}  // namespace
