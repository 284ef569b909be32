# SPDX-License-Identifier: Apache-2.0
#
# Every public header, sorted, one a line, relative to include/. The CTest `floors` compares this
# list with the folder.
set(QTK_HEADERS
    qtk/core/abi.hpp
    qtk/core/checked.hpp
    qtk/core/contract.hpp
    qtk/core/error.hpp
    qtk/energy/joules.hpp
    qtk/energy/meter.hpp
    qtk/energy/model.hpp
    qtk/energy/published.hpp
    qtk/energy/table.hpp
    qtk/energy/work.hpp
    qtk/io/bpe_merges.hpp
    qtk/io/byte_alphabet.hpp
    qtk/io/byte_level_bpe.hpp
    qtk/io/pretokenizer.hpp
    qtk/io/sha256.hpp
    qtk/stats/bootstrap.hpp
    qtk/stats/distortion.hpp
    qtk/stats/rank_test.hpp
    qtk/stats/student.hpp
    qtk/stats/summary.hpp
    qtk/version.hpp)
