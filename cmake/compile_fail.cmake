# SPDX-License-Identifier: Apache-2.0
#
# Passes when SOURCE does not compile and the compiler's output matches MESSAGE. The compiler is
# called directly: going through the build tool would cost more than the compilation.
execute_process(
  COMMAND "${COMPILER}" -std=c++20 -fsyntax-only -fdiagnostics-color=never "-I${INCLUDE}" "${SOURCE}"
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output
  RESULT_VARIABLE status)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but it must not")
endif()
if(NOT output MATCHES "${MESSAGE}")
  message(FATAL_ERROR "${SOURCE} is refused without saying `${MESSAGE}`:\n${output}")
endif()
