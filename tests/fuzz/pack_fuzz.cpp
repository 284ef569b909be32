// SPDX-License-Identifier: Apache-2.0
//
// Any fields of any width: packed and unpacked on every instruction set they are the same bytes and the
// same fields. The first byte is the width, the others are fields and, in a second pass, a stream.
#include <qtk/kernel/pack.hpp>

#include "kernel_input.hpp"

QTK_FUZZ_TARGET(pack) {
    fuzz::cursor in(data, size);
    int const bits = 1 + static_cast<int>(in.below(8));
    std::vector<std::uint8_t> fields(in.rest().begin(), in.rest().end());
    for (std::uint8_t& field : fields) field &= static_cast<std::uint8_t>((1 << bits) - 1);
    std::vector<std::uint8_t> bytes(qtk::packed_bytes(fields.size(), bits));
    qtk::pack_fields(fields, bits, bytes);
    for (std::size_t i = 0; i < fields.size(); ++i)
        fuzz::require(qtk::field_at(bytes.data(), i, bits) == fields[i]);

    // A stream of any bytes, whose last bits may be no field.
    auto const stream = in.bytes(in.rest().size());
    std::vector<std::uint8_t> meaning(stream.size() * 8 / static_cast<std::size_t>(bits));
    qtk::unpack_fields(stream, bits, meaning);

    for (qtk::instruction_set const set : fuzz::usable_sets()) {
        std::vector<std::uint8_t> packed(bytes.size()), unpacked(fields.size()),
            found(meaning.size());
        qtk::pack_fields(set, fields, bits, packed);
        fuzz::require(packed == bytes);
        qtk::unpack_fields(set, packed, bits, unpacked);
        fuzz::require(unpacked == fields);
        qtk::unpack_fields(set, stream, bits, found);
        fuzz::require(found == meaning);
    }
    return 0;
}
