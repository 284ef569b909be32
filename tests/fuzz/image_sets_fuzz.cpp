// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as PGM, PPM, idx or CIFAR, by the first byte: a refusal, or as many values as the file claims.
#include <qtk/io/cifar.hpp>
#include <qtk/io/idx.hpp>
#include <qtk/io/netpbm.hpp>

#include "fuzz_target.hpp"

namespace {

/// CIFAR has nothing but whole records: what is missing of the last is filled with zeros.
qtk::labelled_images cifar(std::size_t kind, std::span<std::uint8_t const> bytes) {
    std::size_t const record = kind == 0 ? 3073 : 3074;
    std::vector<std::byte> file((bytes.size() / record + 1) * record);
    std::ranges::copy(std::as_bytes(bytes), file.begin());
    if (kind == 0) return qtk::parse_cifar10(file, "fuzz");
    return qtk::parse_cifar100(file, "fuzz",
                               kind == 1 ? qtk::cifar100_label::coarse : qtk::cifar100_label::fine);
}

}  // namespace

QTK_FUZZ_TARGET(image_sets) {
    fuzz::cursor in(data, size);
    std::size_t const kind = in.below(6);
    auto const file = std::as_bytes(in.rest());
    try {
        if (kind < 3) {
            auto const found = cifar(kind, in.rest());
            fuzz::require(found.labels.size() == found.count &&
                          found.bytes.size() == found.count * found.image_bytes());
            for (auto const label : found.labels) fuzz::require(label < 100);
        } else if (kind < 5) {
            auto const found = qtk::parse_idx(file, "fuzz", kind == 3 ? 1 : 3);
            std::size_t values = 1;
            for (auto const side : found.shape) values *= side;
            fuzz::require(values == found.values.size());
        } else {
            auto const found = qtk::decode_netpbm(file, "fuzz");
            fuzz::require(found.bytes.size() == found.height * found.width * found.channels &&
                          found.bytes.size() < file.size());
        }
    } catch (qtk::io_error const&) {
    }
    return 0;
}
