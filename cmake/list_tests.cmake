# SPDX-License-Identifier: Apache-2.0
#
# Writes one add_test() for each test case of a doctest executable. Test cases are picked by their
# place in the list, not by name: a name is a sentence, and commas, brackets and asterisks mean
# something to doctest's filter, which runs nothing and reports success when none matches.
execute_process(
  COMMAND "${EXECUTABLE}" --list-test-cases --no-colors
  OUTPUT_VARIABLE output
  ERROR_VARIABLE errors
  RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${EXECUTABLE} cannot list its test cases (${status}):\n${output}${errors}")
endif()

set(script "")
set(index 0)
# Cut line by line: a CMake list would trip over brackets and semicolons.
while(NOT output STREQUAL "")
  string(FIND "${output}" "\n" end)
  string(SUBSTRING "${output}" 0 ${end} line)
  if(end EQUAL -1)
    set(output "")
  else()
    math(EXPR next "${end} + 1")
    string(SUBSTRING "${output}" ${next} -1 output)
  endif()
  if(line STREQUAL "" OR line MATCHES "^\\[doctest\\]" OR line MATCHES "^====")
    continue()
  endif()
  math(EXPR index "${index} + 1")
  set(name "[==[${ROOM}: ${line}]==]")
  string(APPEND script "add_test(${name} [==[${EXECUTABLE}]==] --first=${index} --last=${index})\n"
         "set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION \"test cases: +0 \")\n")
endwhile()
if(index EQUAL 0)
  message(FATAL_ERROR "${EXECUTABLE} has no test case")
endif()
file(WRITE "${OUTPUT}" "${script}")
