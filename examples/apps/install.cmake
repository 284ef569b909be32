# SPDX-License-Identifier: Apache-2.0
#
# The programs with their manual pages and completions: `cmake --install BUILD --component programs`. They are no part of
# a plain install, which is the headers. The embedded models stay in the source tree, where the programs look for them.
include(GNUInstallDirs)

foreach(target IN ITEMS qtk quant_fairness quant_energy)
  string(REPLACE "_" "-" name "${target}")
  set(at "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  add_custom_command(
    OUTPUT "${at}.1" "${at}.bash" "${at}.zsh" "${at}.fish"
    COMMAND ${target}_app man > "${at}.1"
    COMMAND ${target}_app completion bash > "${at}.bash"
    COMMAND ${target}_app completion zsh > "${at}.zsh"
    COMMAND ${target}_app completion fish > "${at}.fish"
    VERBATIM)
  add_custom_target(${target}_pages ALL DEPENDS "${at}.1" "${at}.bash" "${at}.zsh" "${at}.fish")

  set(rest COMPONENT programs EXCLUDE_FROM_ALL)
  install(TARGETS ${target}_app RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" ${rest})
  install(FILES "${at}.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" ${rest})
  install(FILES "${at}.bash" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME ${name} ${rest})
  install(FILES "${at}.zsh" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" RENAME _${name} ${rest})
  install(FILES "${at}.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" ${rest})
endforeach()
