# SPDX-License-Identifier: Apache-2.0
#
# Every header compiles alone, and twice in one program: two files include them all, so that a function that forgot its
# `inline` is defined twice.
set(qtk_headers_of_house ${QTK_HEADERS} ${QTK_CUDA_HEADERS})
# LibTorch may be missing, and takes a minute to compile: the headers' own tests include them first.
list(FILTER qtk_headers_of_house EXCLUDE REGEX "^qtk/torch/")
set(qtk_libraries_of_house qtk_developer)
foreach(component xtensor models)
  if(TARGET qtk::${component})
    list(APPEND qtk_libraries_of_house qtk::${component})
  endif()
endforeach()
add_subdirectory(alone)

list(TRANSFORM qtk_headers_of_house REPLACE "(.+)" "#include <\\1>\n" OUTPUT_VARIABLE all_includes)
string(JOIN "" all_includes ${all_includes})
file(CONFIGURE OUTPUT all_headers.cpp CONTENT "${all_includes}int main() {}\n" @ONLY)
file(CONFIGURE OUTPUT all_headers_again.cpp CONTENT "${all_includes}" @ONLY)

add_executable(qtk_test_headers "${CMAKE_CURRENT_BINARY_DIR}/all_headers.cpp"
                                "${CMAKE_CURRENT_BINARY_DIR}/all_headers_again.cpp")
add_dependencies(qtk_test_headers qtk_headers_alone)
target_link_libraries(qtk_test_headers PRIVATE ${qtk_libraries_of_house})
target_compile_definitions(qtk_test_headers PRIVATE QTK_CUDA_EMULATE=1)
target_compile_options(qtk_test_headers PRIVATE -O0) # nothing here is worth optimizing

add_test(NAME "headers: each compiles alone and twice in one program" COMMAND qtk_test_headers)
