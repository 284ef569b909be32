// SPDX-License-Identifier: Apache-2.0
//
// Which qtk is this? The one place that states the version; CMake, Conan and pkg-config read it
// from here.
#pragma once

#define QTK_VERSION_MAJOR 0
#define QTK_VERSION_MINOR 1
#define QTK_VERSION_PATCH 0
#define QTK_VERSION_STRING "0.1.0"
