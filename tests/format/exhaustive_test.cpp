// SPDX-License-Identifier: Apache-2.0
//
// Every pattern there is: 16-bit floats to minifloats and codebooks, fields of every width at every place,
// pairs of nibbles in every packing. What is expected is computed from the definitions, bit by bit.
#include <qtk/format/awq_packing.hpp>
#include <qtk/format/bitsandbytes_packing.hpp>
#include <qtk/format/codebook.hpp>
#include <qtk/format/compressed_tensors_packing.hpp>
#include <qtk/format/gptq_packing.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/minifloat.hpp>
#include <qtk/format/pack.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace {

using bytes = std::vector<std::uint8_t>;

/// All finite values of 16 bits, as half and as bfloat16, in rising order.
std::vector<float> sixteen_bit_values() {
    std::vector<float> all;
    for (std::uint32_t pattern = 0; pattern < 65536; ++pattern)
        for (float const x : {qtk::f16_to_float(static_cast<std::uint16_t>(pattern)),
                              qtk::bf16_to_float(static_cast<std::uint16_t>(pattern))})
            if (std::isfinite(x)) all.push_back(x);
    std::ranges::sort(all);
    return all;
}

/// Walks through the values and the levels together: value x belongs to the level whose middle with the
/// next one it has not passed. `takes_upper(k)`: does the middle of k and k + 1 belong to k + 1?
template <typename Encode, typename Upper>
int differences(std::vector<float> const& values, std::vector<double> const& level,
                Encode const& encoded, Upper const& takes_upper) {
    int wrong = 0;
    std::size_t k = 0;
    for (float const value : values) {
        double const x = static_cast<double>(value);
        for (; k + 1 < level.size(); ++k) {
            double const middle = (level[k] + level[k + 1]) / 2.0;
            if (x < middle || (x == middle && !takes_upper(k))) break;
        }
        wrong += static_cast<double>(encoded(value)) != level[k];
    }
    return wrong;
}

/// Bit by bit: the fields of a stream whose first field begins at bit `bits * first`.
bytes read_slowly(bytes const& stream, std::size_t first, std::size_t n, int bits) {
    bytes fields(n);
    auto const b = static_cast<std::size_t>(bits);
    for (std::size_t i = 0; i < n * b; ++i) {
        std::size_t const at = first * b + i;
        auto const bit = static_cast<unsigned>(stream[at / 8] >> (at % 8) & 1);
        fields[i / b] = static_cast<std::uint8_t>(fields[i / b] | bit << (i % b));
    }
    return fields;
}

}  // namespace

TEST_CASE("every 16-bit float becomes the nearest minifloat, midpoints the even one") {
    auto const values = sixteen_bit_values();
    for (qtk::format const& f : {qtk::e2m1, qtk::e3m2, qtk::e4m3, qtk::e5m2}) {
        CAPTURE(qtk::name_of(f));
        // Rising magnitudes from the definition; the parity of a field is that of its mantissa.
        std::vector<double> half;
        double const most = f == qtk::e4m3 ? 448.0 : f == qtk::e5m2 ? 57344.0 : 1e9;
        int const bias = (1 << (f.exponent - 1)) - 1, steps = 1 << f.mantissa();
        for (int e = 0; e < 1 << f.exponent; ++e)
            for (int m = 0; m < steps; ++m) {
                double const fraction = static_cast<double>(m) / steps + (e > 0 ? 1.0 : 0.0);
                double const value = std::ldexp(fraction, std::max(e, 1) - bias);
                if (value <= most) half.push_back(value);
            }
        std::vector<double> level;
        for (std::size_t i = half.size() - 1; i > 0; --i) level.push_back(-half[i]);
        level.insert(level.end(), half.begin(), half.end());
        std::size_t const zero = half.size() - 1;
        auto const is_even = [zero](std::size_t k) {
            return (k > zero ? k - zero : zero - k) % 2 == 0;
        };
        CHECK(
            differences(
                values, level,
                [&](float x) { return qtk::minifloat_to_float(f, qtk::float_to_minifloat(f, x)); },
                [&](std::size_t k) { return is_even(k + 1); }) == 0);
        int lost_signs = 0;
        for (float const x : values)
            lost_signs += (qtk::float_to_minifloat(f, x) >> (f.bits - 1) != 0) != std::signbit(x);
        CHECK(lost_signs == 0);
    }
}

TEST_CASE("every 16-bit float becomes the nearest level of a codebook") {
    auto const values = sixteen_bit_values();
    auto const check = [&]<qtk::format F>(std::array<float, 16> const& table) {
        std::vector<double> level;
        for (float const x : table) level.push_back(static_cast<double>(x));
        std::ranges::sort(level);
        level.erase(std::unique(level.begin(), level.end()), level.end());  // both zeros of fp4
        // nf4 midpoints go down; those of fp4 to the smaller magnitude.
        auto const upper = [&](std::size_t k) { return F == qtk::fp4 && level[k + 1] <= 0.0; };
        CHECK(differences(
                  values, level, [&](float x) { return table[qtk::float_to_codebook<F>(x)]; },
                  upper) == 0);
    };
    check.template operator()<qtk::nf4>(qtk::nf4_levels);
    check.template operator()<qtk::fp4>(qtk::fp4_levels);
}

TEST_CASE("every half becomes the bfloat16 that arithmetic gives, and the other way round") {
    // By arithmetic: as many units of the last place of x as are whole, half to even, in double.
    auto const rounded = [](double x, int mantissa, int smallest, double most) {
        if (x == 0.0) return x;
        int const exponent = std::max(std::ilogb(x), smallest);
        double const unit = std::ldexp(1.0, exponent - mantissa);
        double const y = std::nearbyint(x / unit) * unit;
        return std::fabs(y) > most ? std::copysign(HUGE_VAL, x) : y;
    };
    int wrong = 0;
    for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
        auto const bits = static_cast<std::uint16_t>(pattern);
        float const half = qtk::f16_to_float(bits), brain = qtk::bf16_to_float(bits);
        if (std::isfinite(half))
            wrong += static_cast<double>(qtk::bf16_to_float(qtk::float_to_bf16(half))) !=
                     rounded(static_cast<double>(half), 7, -126, 0x1.fep127);
        if (std::isfinite(brain))
            wrong += static_cast<double>(qtk::f16_to_float(qtk::float_to_f16(brain))) !=
                     rounded(static_cast<double>(brain), 10, -14, 65504.0);
    }
    CHECK(wrong == 0);
}

TEST_CASE("fields rise with their levels in every format") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        auto const level = qtk::levels_of(f);
        if (f.is_integer() || f == qtk::nf4) {
            for (int i = 1; i < f.patterns(); ++i)
                CHECK(level[static_cast<std::size_t>(i)] > level[static_cast<std::size_t>(i - 1)]);
        } else if (f.kind == qtk::numeral::minifloat) {
            auto const sign = static_cast<std::size_t>(f.patterns() / 2);
            for (int i = 1; i <= qtk::minifloat_top(f); ++i) {
                auto const at = static_cast<std::size_t>(i);
                CHECK(level[at] > level[at - 1]);
                CHECK(level[sign + at] < level[sign + at - 1]);
            }
        }
    }
}

TEST_CASE("fields of every width are read at every start, and written there") {
    // 8 * 33 fields fill whole bytes; every byte value stands somewhere.
    std::uint32_t word = 1;
    for (int bits = 1; bits <= 8; ++bits) {
        CAPTURE(bits);
        bytes stream(static_cast<std::size_t>(bits) * 33);
        for (auto& byte : stream)
            byte = static_cast<std::uint8_t>((word = word * 1664525u + 1013904223u) >> 24);
        std::size_t const all = 8 * 33;
        bytes const slow = read_slowly(stream, 0, all, bits);
        int wrong = 0;
        for (std::size_t i = 0; i < all; ++i)
            wrong += qtk::field_at(stream.data(), i, bits) != slow[i];
        for (std::size_t first = 0; first < all; first += 8)
            for (std::size_t n = 0; n <= std::min<std::size_t>(all - first, 41); ++n) {
                std::size_t const from = first / 8 * static_cast<std::size_t>(bits);
                std::size_t const size = qtk::packed_bytes(n, bits);
                bytes fields(n + 1, 0xcd);
                qtk::unpack_fields({stream.data() + from, size}, bits, {fields.data(), n});
                wrong += !std::equal(fields.begin(), fields.end() - 1,
                                     slow.begin() + static_cast<std::ptrdiff_t>(first));
                wrong += fields[n] != 0xcd;
                bytes packed(size + 1, 0xcd);
                qtk::pack_fields({fields.data(), n}, bits, packed);
                bytes const again = read_slowly(packed, 0, n, bits);
                wrong +=
                    !std::equal(again.begin(), again.end(), fields.begin()) || packed[size] != 0xcd;
                // The rest of the last byte is zero.
                if (size > 0 && n * static_cast<std::size_t>(bits) % 8 != 0)
                    wrong += packed[size - 1] >> (n * static_cast<std::size_t>(bits) % 8) != 0;
            }
        CHECK(wrong == 0);
    }
}

TEST_CASE("every pair of nibbles lies in every packing where its picture says") {
    // One row or column of sixteen fields, 5 and 10 in turn, two of them replaced by the pair.
    struct packing {
        char const* name;
        std::function<std::vector<std::uint32_t>(bytes const&)> pack;
        std::function<bytes(std::vector<std::uint32_t> const&)> unpack;
        std::function<std::size_t(std::size_t)>
            bit;  // of field i in its words, one after the other
    };
    using words = std::vector<std::uint32_t>;
    auto const row = [](bytes const& f) {
        return qtk::matrix_view<std::uint8_t const>(f.data(), 1, f.size());
    };
    auto const column = [](bytes const& f) {
        return qtk::matrix_view<std::uint8_t const>(f.data(), f.size(), 1);
    };
    auto const of_bytes = [](bytes const& b) { return words(b.begin(), b.end()); };
    auto const to_bytes = [](words const& w) { return bytes(w.begin(), w.end()); };
    constexpr std::array<std::size_t, 8> awq_place{0, 4, 1, 5, 2, 6, 3, 7};
    auto const in_order = [](std::size_t i) { return 4 * i; };
    using qtk::gptq_version;
    using qtk::word_fill;
    std::vector<packing> const packings{
        {"canonical",
         [&](bytes const& f) {
             bytes to(8);
             qtk::pack_fields(f, 4, to);
             return of_bytes(to);
         },
         [&](words const& w) {
             bytes to(16);
             qtk::unpack_fields(to_bytes(w), 4, to);
             return to;
         },
         [](std::size_t i) { return i / 2 * 32 + i % 2 * 4; }},
        {"GPTQ weight", [&](bytes const& f) { return qtk::pack_gptq_weight(row(f), 4).values; },
         [](words const& w) {
             return qtk::unpack_gptq_weight({w.data(), w.size(), 1}, 4).values;
         },
         in_order},
        {"GPTQ zeros, version 2",
         [&](bytes const& f) {
             return qtk::pack_gptq_zeros(column(f), 4, gptq_version::v2).values;
         },
         [](words const& w) {
             return qtk::unpack_gptq_zeros({w.data(), 1, w.size()}, 4, gptq_version::v2).values;
         },
         in_order},
        {"AWQ", [&](bytes const& f) { return qtk::pack_awq(column(f)).values; },
         [](words const& w) {
             return qtk::unpack_awq({w.data(), 1, w.size()}).values;
         },
         [&](std::size_t i) { return i / 8 * 32 + 4 * awq_place[i % 8]; }},
        {"bitsandbytes", [&](bytes const& f) { return of_bytes(qtk::pack_bitsandbytes(f)); },
         [&](words const& w) { return qtk::unpack_bitsandbytes(to_bytes(w), 16); },
         [](std::size_t i) { return i / 2 * 32 + (i % 2 == 0 ? 4 : 0); }},
        {"compressed-tensors weight",
         [&](bytes const& f) { return qtk::pack_compressed_weight(row(f), 4).values; },
         [](words const& w) {
             return qtk::unpack_compressed_weight({w.data(), 1, w.size()}, 4, 16).values;
         },
         in_order},
        {"compressed-tensors zeros, whole words",
         [&](bytes const& f) {
             return qtk::pack_compressed_zeros(column(f), 4, word_fill::whole).values;
         },
         [](words const& w) {
             return qtk::unpack_compressed_zeros({w.data(), w.size(), 1}, 4, 16, word_fill::whole)
                 .values;
         },
         in_order}};
    for (packing const& p : packings) {
        CAPTURE(p.name);
        int wrong = 0;
        for (std::size_t at = 0; at + 1 < 16; ++at)
            for (unsigned pair = 0; pair < 256; ++pair) {
                bytes fields(16);
                for (std::size_t i = 0; i < 16; ++i) fields[i] = i % 2 == 0 ? 5 : 10;
                fields[at] = static_cast<std::uint8_t>(pair & 15);
                fields[at + 1] = static_cast<std::uint8_t>(pair >> 4);
                words const packed = p.pack(fields);
                words expected(packed.size());
                for (std::size_t i = 0; i < 16; ++i)
                    expected[p.bit(i) / 32] |= std::uint32_t{fields[i]} << p.bit(i) % 32;
                wrong += packed != expected || p.unpack(packed) != fields;
            }
        CHECK(wrong == 0);
    }
}

TEST_CASE("every zero point of GPTQ version 1 is stored as one less, in its own field") {
    for (int const bits : {2, 3, 4, 8}) {
        CAPTURE(bits);
        int const patterns = 1 << bits;
        int wrong = 0;
        for (int zero = 0; zero < patterns; ++zero)
            for (int beside = 0; beside < patterns; ++beside) {
                bytes zeros(32, static_cast<std::uint8_t>(beside));
                zeros[13] = static_cast<std::uint8_t>(zero);
                auto const words =
                    qtk::pack_gptq_zeros({zeros.data(), 32, 1}, bits, qtk::gptq_version::v1);
                bytes stream;
                for (std::uint32_t const word : words.values)
                    for (int k = 0; k < 4; ++k)
                        stream.push_back(static_cast<std::uint8_t>(word >> (8 * k)));
                bytes const stored = read_slowly(stream, 0, 32, bits);
                for (std::size_t i = 0; i < 32; ++i)
                    wrong += stored[i] != (zeros[i] + patterns - 1) % patterns;
                wrong += qtk::unpack_gptq_zeros(words.view(), bits, qtk::gptq_version::v1).values !=
                         zeros;
            }
        CHECK(wrong == 0);
    }
}
