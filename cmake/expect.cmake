# SPDX-License-Identifier: Apache-2.0
#
# Runs PROGRAM (with ARGUMENTS), which must succeed and print OUTPUT (a regular expression). CTest's own
# PASS_REGULAR_EXPRESSION would forget the exit status.
execute_process(
  COMMAND "${PROGRAM}" ${ARGUMENTS}
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output
  RESULT_VARIABLE status)
message("${output}")
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${status}")
endif()
if(NOT output MATCHES "${OUTPUT}")
  message(FATAL_ERROR "${PROGRAM} did not print `${OUTPUT}`")
endif()
