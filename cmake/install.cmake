# SPDX-License-Identifier: Apache-2.0
#
# Headers, CMake package, pkg-config file and licence. Nothing here depends on the machine or on an option,
# so one install tree serves every architecture.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/qtk")

install(TARGETS qtk EXPORT qtkTargets FILE_SET HEADERS)
install(EXPORT qtkTargets NAMESPACE qtk:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/qtkConfig.cmake.in "${PROJECT_BINARY_DIR}/qtkConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/qtkConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/qtkConfig.cmake" "${PROJECT_BINARY_DIR}/qtkConfigVersion.cmake"
              cmake/qtkComponents.cmake DESTINATION "${package_dir}")

configure_file(cmake/qtk.pc.in "${PROJECT_BINARY_DIR}/qtk.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/qtk.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")

# Not CMAKE_INSTALL_DOCDIR: that one is named after the project that asked for the folders first.
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/qtk")
