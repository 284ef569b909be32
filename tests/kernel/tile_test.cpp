// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/amx/tile.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#if QTK_HAS_X86 && defined(__linux__)

#include <sys/wait.h>
#include <unistd.h>

#include <cfenv>

namespace {

using qtk::amx::tile_config;
using qtk::amx::tile_session;

// Shapes of one product: c [m][n], a [m][4 k bytes], b [k][n groups of 4 bytes].
struct sizes {
    int m = 16, n = 16, k = 16;
};
constexpr std::array<sizes, 7> shapes{
    {{16, 16, 16}, {1, 16, 16}, {16, 1, 16}, {16, 16, 1}, {1, 1, 1}, {7, 11, 5}, {13, 9, 15}}};

enum class factors { s8, u8s8, s8u8, u8, bf16 };

QTK_AMX_REGION

// The tile numbers are constants of the instruction: every one of the eight is used as each operand
// by some `First`.
template <int First>
void multiply(factors kind, sizes const& s, void* c, void const* a, void const* b) {
    constexpr int C = First, A = (First + 3) % 8, B = (First + 5) % 8;
    tile_session const session(
        tile_config{}.shape(C, s.m, 4 * s.n).shape(A, s.m, 4 * s.k).shape(B, s.k, 4 * s.n));
    QTK_TILE_LOAD(C, c, 64);
    QTK_TILE_LOAD(A, a, 64);
    QTK_TILE_LOAD_ONCE(B, b, 64);
    switch (kind) {
        case factors::s8:
            QTK_TILE_DOT_S8(C, A, B);
            break;
        case factors::u8s8:
            QTK_TILE_DOT_U8S8(C, A, B);
            break;
        case factors::s8u8:
            QTK_TILE_DOT_S8U8(C, A, B);
            break;
        case factors::u8:
            QTK_TILE_DOT_U8(C, A, B);
            break;
        case factors::bf16:
            QTK_TILE_DOT_BF16(C, A, B);
            break;
    }
    QTK_TILE_STORE(C, c, 64);
}

template <int Tile>
void copy(int rows, int bytes, unsigned char const* from, std::ptrdiff_t from_stride,
          unsigned char* to, std::ptrdiff_t to_stride) {
    tile_session const session(tile_config{}.shape(Tile, rows, bytes));
    QTK_TILE_LOAD(Tile, from, from_stride);
    QTK_TILE_STORE(Tile, to, to_stride);
}

void load_then_zero(unsigned char const* from, unsigned char* zeroed, unsigned char* kept) {
    tile_session const session;
    QTK_TILE_LOAD(6, from, 64);
    QTK_TILE_LOAD(7, from, 64);
    QTK_TILE_ZERO(6);
    QTK_TILE_STORE(6, zeroed, 64);
    QTK_TILE_STORE(7, kept, 64);
}

void load_then_reshape(unsigned char const* from, unsigned char* to) {
    tile_session session;
    QTK_TILE_LOAD(2, from, 64);
    session.reshape(tile_config{}.shape(2, 3, 8));
    QTK_TILE_STORE(2, to, 64);
}

// Without a word about memory the compiler drops the store of `first`, and takes `to` for zero.
int value_through_a_tile(int first) {
    int from = 0, to = 0;
    tile_session const session(tile_config{}.shape(1, 1, 4));
    from = first;
    QTK_TILE_LOAD(1, &from, 64);
    from = -1;
    QTK_TILE_STORE(1, &to, 64);
    return to;
}

QTK_REGION_END

struct operands {
    alignas(64) std::array<unsigned char, 1024> c, a, b;
    explicit operands(std::uint64_t seed) {
        qtk::splitmix64 random(seed);
        for (auto* tile : {&c, &a, &b})
            for (unsigned char& byte : *tile) byte = static_cast<unsigned char>(random());
    }
};

template <int First>
void multiply_from(int first, factors kind, sizes const& s, operands& x) {
    if (first == First) return multiply<First>(kind, s, x.c.data(), x.a.data(), x.b.data());
    if constexpr (First < 7) multiply_from<First + 1>(first, kind, s, x);
}

bool has_signed_a(factors kind) {
    return kind == factors::s8 || kind == factors::s8u8;
}
bool has_signed_b(factors kind) {
    return kind == factors::s8 || kind == factors::u8s8;
}

std::int64_t value_of(unsigned char byte, bool is_signed) {
    return is_signed ? std::int64_t{static_cast<signed char>(byte)} : std::int64_t{byte};
}

// c += a b the way the head of tile.hpp says it; beyond m rows of n results c stays.
operands plain_product(factors kind, sizes const& s, operands const& before) {
    operands x = before;
    for (int m = 0; m < s.m; ++m)
        for (int n = 0; n < s.n; ++n) {
            auto const at = static_cast<std::size_t>(64 * m + 4 * n);
            std::int32_t start = 0;
            std::memcpy(&start, x.c.data() + at, 4);
            std::int64_t sum = start;
            for (int k = 0; k < 4 * s.k; ++k)
                sum += value_of(x.a[static_cast<std::size_t>(64 * m + k)], has_signed_a(kind)) *
                       value_of(x.b[static_cast<std::size_t>(64 * (k / 4) + 4 * n + k % 4)],
                                has_signed_b(kind));
            auto const wrapped = static_cast<std::int32_t>(sum);
            std::memcpy(x.c.data() + at, &wrapped, 4);
        }
    return x;
}

float bfloat16_of(std::array<unsigned char, 1024> const& tile, int row, int column) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, tile.data() + 64 * row + 2 * column, 2);
    float const value = std::bit_cast<float>(std::uint32_t{bits} << 16);
    return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}
void set_bfloat16(std::array<unsigned char, 1024>& tile, int row, int column, float value) {
    auto const bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
    std::memcpy(tile.data() + 64 * row + 2 * column, &bits, 2);
}
float float_of(std::array<unsigned char, 1024> const& tile, int row, int column) {
    float value = 0;
    std::memcpy(&value, tile.data() + 64 * row + 4 * column, 4);
    return value;
}
void set_float(std::array<unsigned char, 1024>& tile, int row, int column, float value) {
    std::memcpy(tile.data() + 64 * row + 4 * column, &value, 4);
}

// Values of a few binary places around 1, never subnormal on the way.
operands small_floats(std::uint64_t seed) {
    operands x(seed);
    qtk::splitmix64 random(seed + 1);
    auto const next = [&] { return static_cast<float>(random() >> 40) / 8388608.0f - 1.0f; };
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 32; ++column) {
            set_bfloat16(x.a, row, column, next());
            set_bfloat16(x.b, row, column, next());
            if (column < 16) set_float(x.c, row, column, next());
        }
    return x;
}

// In the order of the SDM: even and odd products apart, in fused steps.
float plain_result(operands const& x, sizes const& s, int m, int n) {
    float even = 0.0f, odd = 0.0f;
    for (int k = 0; k < s.k; ++k) {
        even = std::fma(bfloat16_of(x.a, m, 2 * k), bfloat16_of(x.b, k, 2 * n), even);
        odd = std::fma(bfloat16_of(x.a, m, 2 * k + 1), bfloat16_of(x.b, k, 2 * n + 1), odd);
    }
    return float_of(x.c, m, n) + (even + odd);
}

// What a child process that runs `work` says on standard error, and how it ends.
struct ending {
    int status = 0;
    std::string said;
};
ending end_of(void (*work)()) {
    int ends[2] = {};
    REQUIRE(pipe(ends) == 0);
    pid_t const child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        for (int const number : {SIGABRT, SIGILL, SIGSEGV}) {
            // Under the emulation only the handler from before is doctest's.
            if (number == SIGILL && qtk_test::amx_emulation::is_emulated())
                qtk_test::amx_detail::handler_before.sa_handler = SIG_DFL;
            else
                signal(number, SIG_DFL);
        }
        dup2(ends[1], STDERR_FILENO);
        work();
        _exit(0);
    }
    close(ends[1]);
    ending result;
    char piece[256];
    for (ssize_t n = 0; (n = read(ends[0], piece, sizeof piece)) > 0;)
        result.said.append(piece, static_cast<std::size_t>(n));
    close(ends[0]);
    REQUIRE(waitpid(child, &result.status, 0) == child);
    return result;
}

}  // namespace

static_assert(tile_config{}.shape(3, 5, 20).rows[3] == 5 &&
              tile_config{}.shape(3, 5, 20).bytes[3] == 20 && tile_config{}.bytes[7] == 64 &&
              tile_config{}.bytes[8] == 0 && tile_config{}.rows[8] == 0);

TEST_CASE("a tile that is loaded and stored again is the same, whatever its shape") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    std::uint64_t const before = tiles.count();
    operands const x(1);
    for (int rows : {1, 2, 15, 16})
        for (int bytes : {4, 12, 60, 64}) {
            CAPTURE(rows);
            CAPTURE(bytes);
            std::array<unsigned char, 1024> to{}, expected{};
            copy<0>(rows, bytes, x.a.data(), 64, to.data(), 64);
            for (int row = 0; row < rows; ++row)
                std::memcpy(expected.data() + 64 * row, x.a.data() + 64 * row,
                            static_cast<std::size_t>(bytes));
            CHECK(to == expected);
            copy<7>(rows, bytes, x.b.data(), 64, to.data(), 64);
            for (int row = 0; row < rows; ++row)
                std::memcpy(expected.data() + 64 * row, x.b.data() + 64 * row,
                            static_cast<std::size_t>(bytes));
            CHECK(to == expected);
        }
    CHECK(tiles.count() - before == (tiles.is_native() ? 0 : 4 * 4 * 2 * 4));
}

TEST_CASE("strides may be narrow, wide, zero and negative, and bases odd") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    std::vector<unsigned char> memory(40000);
    qtk::splitmix64 random(2);
    for (unsigned char& byte : memory) byte = static_cast<unsigned char>(random());
    unsigned char const* const middle = memory.data() + 20001;
    for (std::ptrdiff_t const stride : {64, 24, 7, 0, 1000, 1001, -64, -1000, -5}) {
        CAPTURE(stride);
        std::array<unsigned char, 1024> to{};
        copy<4>(16, 24, middle, stride, to.data(), 64);
        for (int row = 0; row < 16; ++row)
            REQUIRE(std::memcmp(to.data() + 64 * row, middle + row * stride, 24) == 0);
    }
    std::array<unsigned char, 1024> upside_down{};
    copy<5>(16, 64, middle, 64, upside_down.data() + 960, -64);
    for (int row = 0; row < 16; ++row)
        REQUIRE(std::memcmp(upside_down.data() + 960 - 64 * row, middle + 64 * row, 64) == 0);
}

TEST_CASE("a zeroed tile holds zeros, its neighbour what it held, a reshaped one zeros") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    operands x(3);
    load_then_zero(x.a.data(), x.b.data(), x.c.data());
    CHECK(x.b == std::array<unsigned char, 1024>{});
    CHECK(x.c == x.a);
    std::array<unsigned char, 1024> expected = x.a;
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t i = 0; i < 8; ++i) expected[64 * row + i] = 0;
    load_then_reshape(x.a.data(), x.c.data());
    CHECK(x.c == expected);
}

TEST_CASE("the compiler keeps its own loads and stores on their side of a tile access") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    CHECK(value_through_a_tile(10) == 10);
}

TEST_CASE("products of bytes are the plain loop's, with every tile in every place") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    std::uint64_t seed = 10;
    for (factors const kind : {factors::s8, factors::u8s8, factors::s8u8, factors::u8})
        for (sizes const& s : shapes)
            for (int first = 0; first < 8; ++first) {
                CAPTURE(static_cast<int>(kind));
                CAPTURE(s.m);
                CAPTURE(s.n);
                CAPTURE(s.k);
                operands x(++seed);
                operands const expected = plain_product(kind, s, x);
                multiply_from<0>(first, kind, s, x);
                CHECK(x.c == expected.c);
            }
}

TEST_CASE("the extremes of bytes and a sum that wraps") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    operands x(0);
    x.a.fill(0x80);
    x.b.fill(0x80);
    for (factors const kind : {factors::s8, factors::u8s8, factors::s8u8, factors::u8}) {
        CAPTURE(static_cast<int>(kind));
        std::int32_t const start = std::numeric_limits<std::int32_t>::max() - 3;
        for (std::size_t i = 0; i < 256; ++i) std::memcpy(x.c.data() + 4 * i, &start, 4);
        multiply<0>(kind, {}, x.c.data(), x.a.data(), x.b.data());
        bool const is_positive = has_signed_a(kind) == has_signed_b(kind);
        std::int32_t found = 0;
        std::memcpy(&found, x.c.data() + 1020, 4);
        CHECK(found == (is_positive ? std::numeric_limits<std::int32_t>::min() + (1 << 20) - 4
                                    : start - (1 << 20)));
    }
}

TEST_CASE("products of bfloat16 are the plain loop's") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    std::uint64_t seed = 500;
    for (sizes const& s : shapes) {
        CAPTURE(s.m);
        CAPTURE(s.n);
        CAPTURE(s.k);
        operands const x = small_floats(++seed);
        operands result = x;
        multiply<2>(factors::bf16, s, result.c.data(), x.a.data(), x.b.data());
        for (int m = 0; m < 16; ++m)
            for (int n = 0; n < 16; ++n) {
                float const found = float_of(result.c, m, n);
                if (m >= s.m || n >= s.n) {
                    REQUIRE(found == float_of(x.c, m, n));
                    continue;
                }
                float const expected = plain_result(x, s, m, n);
                // The manual's order, bit for bit; of a processor only what any order keeps: 2 k + 2
                // roundings of sums that stay below 2 k + 1.
                if (!tiles.is_native()) REQUIRE(found == expected);
                float const terms = static_cast<float>(2 * s.k + 2);
                REQUIRE(std::fabs(found - expected) <=
                        terms * terms * std::numeric_limits<float>::epsilon());
            }
    }
}

TEST_CASE("small integers in bfloat16 multiply exactly, whatever the rounding mode") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    operands x(0);
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 32; ++column) {
            set_bfloat16(x.a, row, column, static_cast<float>(row - column));
            set_bfloat16(x.b, row, column, static_cast<float>(3 * row - column));
            if (column < 16) set_float(x.c, row, column, static_cast<float>(column));
        }
    operands const before = x;
    std::fesetround(FE_UPWARD);
    multiply<1>(factors::bf16, {}, x.c.data(), x.a.data(), x.b.data());
    int const mode = std::fegetround();
    std::fesetround(FE_TONEAREST);
    CHECK(mode == FE_UPWARD);
    for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 16; ++n) REQUIRE(float_of(x.c, m, n) == plain_result(before, {}, m, n));
    // 1 + 2^-30 is 1 to nearest, and the float above 1 where the mode of the thread counts.
    set_float(x.c, 0, 0, 1.0f);
    x.a.fill(0);
    set_bfloat16(x.a, 0, 0, 0x1p-15f);
    set_bfloat16(x.b, 0, 0, 0x1p-15f);
    std::fesetround(FE_UPWARD);
    multiply<1>(factors::bf16, {}, x.c.data(), x.a.data(), x.b.data());
    std::fesetround(FE_TONEAREST);
    CHECK(float_of(x.c, 0, 0) == 1.0f);
}

TEST_CASE("bfloat16 products take and give zeros for subnormals, and pass on infinity and NaN") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    constexpr float infinity = std::numeric_limits<float>::infinity();
    struct expectation {
        float c, a, b, result;
    };
    for (expectation const& e : {expectation{0.0f, 0x1p-130f, 0x1p100f, 0.0f},  // a is subnormal
                                 expectation{0.0f, 0x1p-100f, 0x1p-40f, 0.0f},  // the product is
                                 expectation{0x1p-127f, 0x1.8p-63f, 0x1p-63f, 0x1.8p-126f},  // c is
                                 expectation{0x1.8p-126f, -0x1p-63f, 0x1p-63f, 0.0f},  // the sum is
                                 expectation{0x1p-126f, 0x1p-63f, 0x1p-63f, 0x1p-125f},
                                 expectation{1.0f, 0x1p100f, 0x1p100f, infinity},
                                 expectation{1.0f, -infinity, 2.0f, -infinity}}) {
        CAPTURE(e.a);
        CAPTURE(e.b);
        operands x(0);
        x.a.fill(0), x.b.fill(0), x.c.fill(0);
        set_float(x.c, 1, 1, e.c);
        set_bfloat16(x.a, 1, 2, e.a);
        set_bfloat16(x.b, 1, 2, e.b);
        multiply<3>(factors::bf16, {}, x.c.data(), x.a.data(), x.b.data());
        CHECK(float_of(x.c, 1, 1) == e.result);
    }
    operands x(0);
    x.a.fill(0), x.b.fill(0), x.c.fill(0);
    set_bfloat16(x.a, 0, 5, infinity);  // times zero
    multiply<3>(factors::bf16, {}, x.c.data(), x.a.data(), x.b.data());
    CHECK(std::isnan(float_of(x.c, 0, 7)));
    CHECK(float_of(x.c, 1, 7) == 0.0f);
}

namespace {

QTK_AMX_REGION

// Every way to write an address: the registers are named, so that the compiler cannot choose others.
// rbp and r13 have no form without displacement, r12 and rsp none without a scale byte.
#define QTK_TEST_ADDRESS(number, moves, address)                                                   \
    case number:                                                                                   \
        __asm__ volatile("mov %%rbp, %%rax\n\t" moves "\n\ttileloadd " address                     \
                         ", %%tmm0\n\tmov %%rax, %%rbp" ::"D"(base),                               \
                         "S"(stride)                                                               \
                         : "rax", "rbx", "rcx", "r8", "r9", "r12", "r13", "r14", "r15", "memory"); \
        break
void load_with(int form, unsigned char const* base, std::ptrdiff_t stride, unsigned char* to) {
    tile_session const session;
    switch (form) {
        QTK_TEST_ADDRESS(0, "", "(%%rdi,%%rsi,1)");
        QTK_TEST_ADDRESS(1, "mov %%rdi, %%rbp", "(%%rbp,%%rsi,1)");
        QTK_TEST_ADDRESS(2, "mov %%rdi, %%r12", "(%%r12,%%rsi,1)");
        QTK_TEST_ADDRESS(3, "mov %%rdi, %%r13", "(%%r13,%%rsi,1)");
        QTK_TEST_ADDRESS(4, "mov %%rsi, %%r12", "(%%rdi,%%r12,1)");
        QTK_TEST_ADDRESS(5, "mov %%rsi, %%rbp", "(%%rdi,%%rbp,1)");
        QTK_TEST_ADDRESS(6, "lea -100(%%rdi), %%r13\n\tmov %%rsi, %%r15", "100(%%r13,%%r15,1)");
        QTK_TEST_ADDRESS(7, "lea 128(%%rdi), %%rbp\n\tmov %%rsi, %%r8", "-128(%%rbp,%%r8,1)");
        QTK_TEST_ADDRESS(8, "lea -70000(%%rdi), %%rbx", "70000(%%rbx,%%rsi,1)");
        QTK_TEST_ADDRESS(9, "lea 70000(%%rdi), %%r9", "-70000(%%r9,%%rsi,1)");
        QTK_TEST_ADDRESS(10, "mov %%rsi, %%rcx\n\tsar $1, %%rcx", "(%%rdi,%%rcx,2)");
        QTK_TEST_ADDRESS(11, "mov %%rsi, %%r13\n\tsar $2, %%r13", "(%%rdi,%%r13,4)");
        QTK_TEST_ADDRESS(12, "mov %%rsi, %%r14\n\tsar $3, %%r14", "8(%%rdi,%%r14,8)");
        QTK_TEST_ADDRESS(13, "", "(%%rdi)");
        QTK_TEST_ADDRESS(14, "mov %%rdi, %%rbp", "64(%%rbp)");
        QTK_TEST_ADDRESS(15, "mov %%rdi, %%r12", "64(%%r12)");
    }
    QTK_TILE_STORE(0, to, 64);
}
#undef QTK_TEST_ADDRESS

alignas(64) constinit tile_config const fixed = tile_config{}.shape(0, 2, 8);
void store_after(int form, unsigned char const* from, unsigned char* to, tile_config& read_back) {
    switch (form) {
        case 0:
            __asm__ volatile("ldtilecfg %0" ::"m"(fixed) : "memory");
            break;
        case 1:
            __asm__ volatile("ldtilecfg 0x40(%%rdi,%%rsi,8)" ::"D"(&fixed), "S"(std::ptrdiff_t{-8})
                             : "memory");
            break;
        case 2:
            __asm__ volatile("mov %%rdi, %%r13\n\tldtilecfg (%%r13)" ::"D"(&fixed)
                             : "r13", "memory");
            break;
        case 3:
            __asm__ volatile("lea -1000(%%rdi), %%r12\n\tldtilecfg 1000(%%r12)" ::"D"(&fixed)
                             : "r12", "memory");
            break;
    }
    QTK_TILE_LOAD(0, from, 64);
    QTK_TILE_STORE(0, to, 64);
    __asm__ volatile("sttilecfg %0" : "=m"(read_back)::"memory");
    qtk::amx::release_tiles();
}

void use_before_configuration() {
    qtk::amx::release_tiles();
    QTK_TILE_ZERO(0);
}
void use_after_session() {
    { tile_session const session; }
    QTK_TILE_ZERO(0);
}
void multiply_shapes_that_differ() {
    tile_session const session(tile_config{}.shape(2, 15, 64));
    QTK_TILE_DOT_S8(0, 1, 2);
}
void multiply_rows_that_differ() {
    tile_session const session(tile_config{}.shape(0, 15, 64));
    QTK_TILE_DOT_BF16(0, 1, 2);
}
void multiply_columns_that_differ() {
    tile_session const session(tile_config{}.shape(0, 16, 60));
    QTK_TILE_DOT_U8S8(0, 1, 2);
}
// The assembler itself refuses this one, hence the bytes: tdpbssd tmm0, tmm0, tmm0.
void multiply_a_tile_with_itself() {
    tile_session const session;
    __asm__ volatile(".byte 0xc4, 0xe2, 0x7b, 0x5e, 0xc0" ::: "memory");
}
void configure_too_many_rows() {
    tile_config config;
    config.rows[3] = 17;
    tile_session const session(config);
}
void configure_a_reserved_byte() {
    tile_config config;
    config.rows[9] = 1;
    tile_session const session(config);
}
void configure_rows_without_bytes() {
    tile_config config;
    config.bytes[3] = 0;
    tile_session const session(config);
}
void use_a_tile_without_rows() {
    tile_config config;
    config.bytes[3] = 0, config.rows[3] = 0;
    tile_session const session(config);
    QTK_TILE_ZERO(3);
}
void run_an_illegal_instruction() {
    __asm__ volatile("ud2");
}

QTK_REGION_END

}  // namespace

TEST_CASE("every form of address loads what it names") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    std::vector<unsigned char> memory(6000);
    qtk::splitmix64 random(4);
    for (unsigned char& byte : memory) byte = static_cast<unsigned char>(random());
    for (std::ptrdiff_t const distance : {96, -96})
        for (int form = 0; form < 16; ++form) {
            CAPTURE(form);
            unsigned char const* const base = memory.data() + 3000;
            std::array<unsigned char, 1024> to{};
            load_with(form, base, distance, to.data());
            for (int row = 0; row < 16; ++row) {
                std::ptrdiff_t const offset = form == 12   ? 8 + row * distance
                                              : form == 13 ? 0
                                              : form > 13  ? 64
                                                           : row * distance;
                REQUIRE(std::memcmp(to.data() + 64 * row, base + offset, 64) == 0);
            }
        }
}

TEST_CASE("a configuration is found under every form of address, and read back") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    operands const x(5);
    for (int form = 0; form < 4; ++form) {
        CAPTURE(form);
        std::array<unsigned char, 1024> to{}, expected{};
        std::memcpy(expected.data(), x.a.data(), 8);
        std::memcpy(expected.data() + 64, x.a.data() + 64, 8);
        tile_config read_back;
        store_after(form, x.a.data(), to.data(), read_back);
        CHECK(to == expected);
        CHECK(std::memcmp(&read_back, &fixed, 64) == 0);
    }
}

TEST_CASE("threads have tiles of their own") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    std::array<bool, 2> is_right{};
    auto const work = [&](std::size_t number) {
        bool all = true;
        for (std::uint64_t seed = 0; seed < 50; ++seed) {
            sizes const& s = shapes[(seed + number) % shapes.size()];
            operands x(1000 * (number + 1) + seed);
            operands const expected = plain_product(factors::s8, s, x);
            multiply<6>(factors::s8, s, x.c.data(), x.a.data(), x.b.data());
            all = all && x.c == expected.c;
        }
        is_right[number] = all;
    };
    std::thread other(work, 1);
    work(0);
    other.join();
    CHECK(is_right[0]);
    CHECK(is_right[1]);
}

TEST_CASE("usage that the processor refuses ends the process, with a sentence where emulated") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;  // it said why
    struct refusal {
        void (*work)();
        char const* sentence;
    };
    for (refusal const& r : {
             refusal{use_before_configuration, "tilezero comes before any configuration"},
             refusal{use_after_session, "tilezero comes before any configuration, or after"},
             refusal{multiply_shapes_that_differ, "tdpbssd has a first factor with other columns"},
             refusal{multiply_rows_that_differ, "tdpbf16ps has results and a first factor of"},
             refusal{multiply_columns_that_differ, "tdpbusd has results and a second factor of"},
             refusal{multiply_a_tile_with_itself, "tdpbssd names one tile twice"},
             refusal{configure_too_many_rows, "ldtilecfg asks for more than 16 rows"},
             refusal{configure_a_reserved_byte, "ldtilecfg sets a reserved byte"},
             refusal{configure_rows_without_bytes, "ldtilecfg gives a tile rows without bytes"},
             refusal{use_a_tile_without_rows, "tilezero uses a tile to which the configuration"},
         }) {
        CAPTURE(r.sentence);
        ending const end = end_of(r.work);
        CHECK(WIFSIGNALED(end.status));
        if (tiles.is_native()) continue;
        CHECK(WTERMSIG(end.status) == SIGABRT);
        CHECK(end.said.find(std::string("AMX emulation: ") + r.sentence) == 0);
    }
}

TEST_CASE("an illegal instruction that is no tile instruction stays one") {
    qtk_test::amx_emulation const tiles;
    ending const end = end_of(run_an_illegal_instruction);
    CHECK(WIFSIGNALED(end.status));
    CHECK(WTERMSIG(end.status) == SIGILL);
}

#endif
