// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/repack.hpp>
#include <qtk/format/awq_packing.hpp>
#include <qtk/format/gptq_packing.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <cstring>
#include <functional>
#include <vector>

namespace {
using namespace qtk::cuda;
using bytes = std::vector<std::uint8_t>;

template <typename T>
bytes bytes_of(std::vector<T> const& values) {
    bytes b(values.size() * sizeof(T));
    std::memcpy(b.data(), values.data(), b.size());
    return b;
}

/// A weight as a file holds it.
struct stored_tensors {
    bytes codes, scales, zeros;
    friend bool operator==(stored_tensors const&, stored_tensors const&) = default;
};
using make_stored =
    std::function<stored_weight(weight_layout const&, std::uint8_t*, std::uint8_t*, std::uint8_t*)>;

/// Stored tensors become what pack gives on the host, and come back as they were.
void check_both_ways(qtk::any_qmatrix const& q, stored_tensors const& file,
                     make_stored const& describe) {
    INFO(qtk::to_string(q.scheme()) << " " << q.rows() << "x" << q.cols());
    host_weight const expected = pack(q);
    auto codes = on_device(file.codes), scales = on_device(file.scales),
         zeros = on_device(file.zeros);
    auto const pointer = [](device_vector<std::uint8_t>& v) {
        return v.empty() ? nullptr : v.data();
    };
    device_vector<std::uint32_t> words(expected.words.size(), 99);
    device_vector<std::uint8_t> packed_scales(expected.scales.size(), 99),
        packed_zeros(expected.zeros.size(), 99);
    weight_result const to{reinterpret_cast<uint4*>(words.data()), packed_scales.data(),
                           pointer(packed_zeros), expected.layout,
                           q.scheme().scale == qtk::scale_type::f16 ? number::f16 : number::f32};
    launch_repack(describe(to.layout, codes.data(), scales.data(), pointer(zeros)), to, {});
    wait_for_device();
    CHECK(std::vector<std::uint32_t>(words.begin(), words.end()) == expected.words);
    CHECK(bytes(packed_scales.begin(), packed_scales.end()) == expected.scales);
    CHECK(bytes(packed_zeros.begin(), packed_zeros.end()) == expected.zeros);

    device_vector<std::uint8_t> codes_back(codes.size(), 99), scales_back(scales.size(), 99),
        zeros_back(zeros.size(), 99);
    launch_restore(to.operand(),
                   describe(to.layout, codes_back.data(), scales_back.data(), pointer(zeros_back)),
                   {});
    wait_for_device();
    CHECK(stored_tensors{{codes_back.begin(), codes_back.end()},
                         {scales_back.begin(), scales_back.end()},
                         {zeros_back.begin(), zeros_back.end()}} == file);
}

TEST_CASE("canonical codes and packed words are made of each other on the device") {
    for_each_scheme([]<qtk::scheme S>() {
        for (auto const& [rows, cols] :
             {std::pair<std::size_t, std::size_t>{1, 1}, {16, 64}, {35, 201}}) {
            auto const weight = random_floats(rows * cols, 3);
            auto const q =
                qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
            stored_tensors const file{{q.codes().begin(), q.codes().end()},
                                      {q.scales().begin(), q.scales().end()},
                                      {q.zeros().begin(), q.zeros().end()}};
            check_both_ways(
                q, file,
                [&](weight_layout const& w, std::uint8_t* codes, std::uint8_t* scales,
                    std::uint8_t* zeros) { return canonical_weight(S, w, codes, scales, zeros); });
        }
    });
}

/// Codes [out, in], zeros [out, groups], scales [groups][out] of a matrix.
struct checkpoint_parts {
    qtk::row_major<std::uint8_t> codes, zeros;
    std::vector<std::uint16_t> scales;

    explicit checkpoint_parts(qtk::any_qmatrix const& q)
        : codes{.rows = q.rows(), .cols = q.cols()},
          zeros{.rows = q.rows(), .cols = q.grid().across} {
        for (std::size_t n = 0; n < q.rows(); ++n) {
            for (std::size_t k = 0; k < q.cols(); ++k) codes(n, k) = q.field(n, k);
            for (std::size_t g = 0; g < q.grid().across; ++g)
                zeros(n, g) = static_cast<std::uint8_t>(q.params(n, g).zero);
        }
        for (std::size_t g = 0; g < q.grid().across; ++g)
            for (std::size_t n = 0; n < q.rows(); ++n)
                scales.push_back(qtk::float_to_f16(q.params(n, g).scale));
    }
};

template <qtk::scheme S>
qtk::any_qmatrix asymmetric(std::size_t rows, std::size_t cols) {
    auto weight = random_floats(rows * cols, 5);
    for (std::size_t i = 0; i < weight.size(); i += 3) weight[i] += 1.0f;
    return qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
}
constexpr qtk::scheme u4_g32{.element = qtk::u4,
                             .grain = qtk::per_group(32),
                             .zero = qtk::origin::floating,
                             .scale = qtk::scale_type::f16};
constexpr qtk::scheme u8_g64{.element = qtk::u8,
                             .grain = qtk::per_group(64),
                             .zero = qtk::origin::floating,
                             .scale = qtk::scale_type::f16};

/// Only positive weights: zero points of 0, which v1 stores as all ones.
qtk::any_qmatrix positive(std::size_t rows, std::size_t cols) {
    auto weight = random_floats(rows * cols, 5);
    for (float& v : weight) v = std::fabs(v);
    return qtk::quantize<u4_g32>(qtk::matrix_view<float const>(weight.data(), rows, cols));
}

TEST_CASE("GPTQ tensors and packed words are made of each other on the device") {
    for (auto const& q :
         {asymmetric<u4_g32>(40, 200), positive(16, 64), asymmetric<u8_g64>(20, 136)})
        for (auto const version : {qtk::gptq_version::v1, qtk::gptq_version::v2}) {
            checkpoint_parts const parts(q);
            int const bits = q.scheme().element.bits;
            stored_tensors const file{
                bytes_of(qtk::pack_gptq_weight(parts.codes.view(), bits).values),
                bytes_of(parts.scales),
                bytes_of(qtk::pack_gptq_zeros(parts.zeros.view(), bits, version).values)};
            check_both_ways(q, file,
                            [&](weight_layout const& w, std::uint8_t* codes, std::uint8_t* scales,
                                std::uint8_t* zeros) {
                                return gptq_weight(w, version == qtk::gptq_version::v1, codes,
                                                   scales, zeros);
                            });
        }
}

TEST_CASE("AWQ tensors and packed words are made of each other on the device") {
    for (auto const& q : {asymmetric<u4_g32>(40, 201), positive(16, 64)}) {
        checkpoint_parts const parts(q);
        stored_tensors const file{bytes_of(qtk::pack_awq(parts.codes.view()).values),
                                  bytes_of(parts.scales),
                                  bytes_of(qtk::pack_awq(parts.zeros.view()).values)};
        check_both_ways(q, file, awq_weight);
    }
}

TEST_CASE("on the host checkpoint tensors go through a qmatrix without loss") {
    auto const q = asymmetric<u4_g32>(40, 200);
    checkpoint_parts const parts(q);
    auto const qweight = qtk::pack_gptq_weight(parts.codes.view(), 4);
    auto const qzeros = qtk::pack_gptq_zeros(parts.zeros.view(), 4, qtk::gptq_version::v1);
    auto const fields = qtk::unpack_gptq_weight(qweight.view(), 4);
    auto const zeros = qtk::unpack_gptq_zeros(qzeros.view(), 4, qtk::gptq_version::v1);
    qtk::any_qmatrix read(u4_g32, 40, 200);
    std::vector<qtk::tile_params> params;
    for (std::size_t n = 0; n < 40; ++n) {
        read.set_row(n, fields.view().row(n));
        for (std::size_t g = 0; g < read.grid().across; ++g)
            params.push_back({qtk::f16_to_float(parts.scales[g * 40 + n]), zeros(n, g)});
    }
    read.set_params(params);
    CHECK(read == q);
    auto const back = unpack(pack(read));
    checkpoint_parts const again(back);
    CHECK(qtk::pack_gptq_weight(again.codes.view(), 4) == qweight);
    CHECK(qtk::pack_gptq_zeros(again.zeros.view(), 4, qtk::gptq_version::v1) == qzeros);
    CHECK(qtk::pack_awq(again.codes.view()) == qtk::pack_awq(parts.codes.view()));
    CHECK(again.scales == parts.scales);
}

TEST_CASE("every byte's fields lie where they are looked for") {
    for (stored_fields const& f : {stored_fields{stored_order::rows, 3, 5, 4, false},
                                   stored_fields{stored_order::rows, 3, 5, 4, true},
                                   stored_fields{stored_order::gptq, 16, 24, 4, false},
                                   stored_fields{stored_order::gptq_zeros, 16, 3, 8, false},
                                   stored_fields{stored_order::awq, 16, 5, 4, false}}) {
        std::size_t seen = 0;
        for (std::size_t n = 0; n < f.rows; ++n)
            for (std::size_t k = 0; k < f.cols; ++k) {
                auto const p = f.at(n, k);
                CHECK(p.byte < f.bytes());
                auto const [row, col] = f.of(p);
                CHECK((row == n && col == k));
                ++seen;
            }
        CHECK(seen == f.rows * f.cols);
    }
}

TEST_CASE("what does not fit is refused") {
    weight_layout const w{20, 64, 32, 4};
    qtk::scheme const s{.element = qtk::i4, .grain = qtk::per_group(32)};
    CHECK_THROWS_AS(static_cast<void>(gptq_weight(w, true, nullptr, nullptr, nullptr)),
                    qtk::shape_error);
    CHECK_THROWS_AS(static_cast<void>(awq_weight(w, nullptr, nullptr, nullptr)), qtk::shape_error);
    alignas(16) static std::uint32_t memory[8] = {};
    weight_result const to{reinterpret_cast<uint4*>(memory), memory, nullptr, w};
    auto stored = canonical_weight(s, {20, 32, 32, 4}, nullptr, nullptr, nullptr);
    CHECK_THROWS_AS(launch_repack(stored, to, {}), qtk::shape_error);
    std::uint8_t zero = 0;
    stored = canonical_weight(s, w, nullptr, nullptr, &zero);
    CHECK_THROWS_AS(launch_repack(stored, to, {}), qtk::value_error);
    CHECK_THROWS_AS(launch_restore(to.operand(), stored, {}), qtk::value_error);
}
}  // namespace
