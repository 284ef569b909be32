# SPDX-License-Identifier: Apache-2.0
#
# An overlay port that packages the checkout it lies in:
#   vcpkg install "qtk[simd,xtensor]" --overlay-ports=scripts/packaging/vcpkg
# A port of vcpkg's own registry differs in SOURCE_PATH alone: vcpkg_from_github with the release's REF and SHA512.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)
set(VCPKG_BUILD_TYPE release) # headers alone

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}" OPTIONS -DQTK_DEVELOPER_MODE=OFF -DQTK_INSTALL=ON
                                                           -DQTK_WITH_TORCH=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/qtk)
vcpkg_fixup_pkgconfig()
# vcpkg has a place of its own for the licence.
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/licenses" "${CURRENT_PACKAGES_DIR}/share/cmake"
     "${CURRENT_PACKAGES_DIR}/lib")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
