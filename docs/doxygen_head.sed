# SPDX-License-Identifier: Apache-2.0
#
# For Doxygen (docs/Doxyfile): the comment at the head of a header, which says what question it answers, becomes the text
# of the file's page. What is indented there (formulas, pictures of bytes) keeps its lines. No line is added: warnings
# name the lines of the header.
1,/^#pragma once/{
    s|^// SPDX.*|/// \\file|
    s|^//$|///|
    s|^//   |///         |
    s|^// |/// |
}
