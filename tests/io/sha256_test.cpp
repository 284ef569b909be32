// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/sha256.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {
std::string digest(std::string_view bytes) {
    qtk::sha256 d;
    d.update(bytes);
    return d.hex();
}
}  // namespace

TEST_CASE("nothing has a digest") {
    CHECK(qtk::sha256{}.hex() ==
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("the digests of FIPS 180-4 come out") {
    CHECK(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(digest(std::string(1'000'000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a digest does not depend on how the bytes were handed over") {
    std::string const text(300, 'q');
    for (std::size_t const step : {1u, 7u, 63u, 64u, 65u, 299u}) {
        qtk::sha256 d;
        for (std::size_t i = 0; i < text.size(); i += step)
            d.update(std::string_view(text).substr(i, step));
        CHECK(d.hex() == digest(text));
    }
}

TEST_CASE("asking for the digest leaves the running state alone") {
    qtk::sha256 d;
    d.update("ab");
    CHECK(d.hex() == digest("ab"));
    d.update("c");
    CHECK(d.hex() == digest("abc"));
}
