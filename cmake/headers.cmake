# SPDX-License-Identifier: Apache-2.0
#
# Every public header, sorted, one a line, relative to include/. The CTest `floors` compares this
# list with the folder.
set(QTK_HEADERS
    qtk/core/abi.hpp
    qtk/core/checked.hpp
    qtk/core/contract.hpp
    qtk/core/error.hpp
    qtk/version.hpp)
