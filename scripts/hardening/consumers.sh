#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tries every way in which another project can use qtk: one line each with mode, compiler, standard, options, outcome and
# seconds. Leaves with 1 if one failed; its log lies in build/hardening/consumers/log.
#
#   scripts/hardening/consumers.sh [PART...]
#
# PART: tree modes matrix places cmake odr kernels cuda conan vcpkg release wrong; default: all of them.
# QTK_OTHER_PREFIXES: folders with other versions of xtensor and xsimd, separated by colons, each tried in the matrix.
set -euo pipefail
cd "$(dirname "$0")/../.."
checkout=$PWD
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
need_compiler
need '<xtensor/xtensor.hpp>' libxtensor-dev '<xsimd/xsimd.hpp>' libxsimd-dev clang++-16 clang-16 clang++-19 clang-19 git git

work="$checkout/build/hardening/consumers"
log="$work/log"
rm -rf "$work"
mkdir -p "$log"
expected='4.50 bits per weight, back 0.25'
failures=0 rows=0 untried=0

# line MODE COMPILER STANDARD OPTIONS OUTCOME SECONDS
line() { printf '%-22s %-11s %-4s %-30s %-8s %4s\n' "$@"; }

# try MODE COMPILER STANDARD OPTIONS PATTERN COMMAND...: ok if the command leaves with 0 and prints the pattern; with `!`
# before the pattern, if it fails and prints it (line breaks count as spaces).
try() {
    local mode=$1 compiler=$2 standard=$3 options=$4 pattern=$5 start=$SECONDS status=0 outcome=FAILED
    shift 5
    rows=$((rows + 1))
    local out="$log/$rows.txt"
    printf '%s %s %s %s\n%s\n' "$mode" "$compiler" "$standard" "$options" "$*" >"$out"
    "$@" >>"$out" 2>&1 || status=$?
    local text
    text=$(tr -s ' \n' '  ' <"$out")
    if [ "${pattern#!}" != "$pattern" ]; then
        if [ "$status" -ne 0 ] && [[ $text == *"${pattern#!}"* ]]; then outcome=refused; fi
    elif [ "$status" -eq 0 ] && [[ $text == *"$pattern"* ]]; then
        outcome=ok
    fi
    line "$mode" "$compiler" "$standard" "$options" "$outcome" "$((SECONDS - start))"
    if [ "$outcome" = FAILED ]; then
        failures=$((failures + 1))
        echo "  log: $out"
    fi
}

# not_tried MODE COMPILER STANDARD OPTIONS WHY
not_tried() {
    untried=$((untried + 1))
    line "$1" "$2" "$3" "$4" "-" "-"
    echo "  not tried: $5"
}

# build_with FOLDER COMPILER [CMAKE-ARGUMENT...]: configures and builds tests/consumer/FOLDER, runs the program.
build_with() {
    local folder=$1 compiler=$2 build="$work/build$rows"
    shift 2
    "${cmake:-cmake}" -S "$checkout/tests/consumer/$folder" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" "$@"
    "${cmake:-cmake}" --build "$build"
    "$build/consumer"
}

plain_include() {
    "$1" -std=c++20 "-I$checkout/include" tests/consumer/main.cpp -o "$work/plain_$1"
    "$work/plain_$1"
}

# pkg_config COMPILER PREFIX
pkg_config() { CXX=$1 tests/consumer/pkg_config/build.sh "$2" "$work/pkg_config$rows"; }

prefix="$work/prefix"
install_tree() {
    cmake -S . -B "$work/install" -G Ninja -DQTK_DEVELOPER_MODE=OFF -DQTK_INSTALL=ON
    cmake --install "$work/install" --prefix "$prefix"
}

# A clean copy under git, as a user clones it.
clone_of_this() {
    git ls-files -z | xargs -0 cp --parents -t "$1"
    git -C "$1" init -q
    git -C "$1" add -A
    git -C "$1" -c user.name=qtk -c user.email=qtk@localhost commit -qm 'A copy'
}

part_tree() {
    every_header() {
        diff <(cd "$prefix/include" && find . -type f | sort) <(
            { cd "$checkout/include" && find . -type f && cd "$checkout/cuda/include" && find . -type f; } | sort
        ) && echo complete
    }
    no_path_of_this_machine() { if grep -rIlF -e "$checkout" -e "$work" "$prefix"; then return 1; else echo clean; fi; }
    try 'install tree' - - 'every header' complete every_header
    try 'install tree' - - 'no path of this machine' clean no_path_of_this_machine
    try 'install tree' - - 'licence' licenses/qtk/LICENSE ls "$prefix/share/licenses/qtk/LICENSE"
}

part_modes() {
    local copy="$work/copy" compiler
    mkdir -p "$copy"
    clone_of_this "$copy"
    for compiler in g++ clang++-16 clang++-19; do
        try 'find_package' $compiler 20 - "$expected" build_with find_package $compiler "-DCMAKE_PREFIX_PATH=$prefix"
        try 'add_subdirectory' $compiler 20 - "$expected" build_with add_subdirectory $compiler "-DQTK_SOURCE=$checkout"
        try 'FetchContent' $compiler 20 'SOURCE_DIR' "$expected" build_with fetch_content $compiler "-DQTK_SOURCE=$checkout"
        try 'FetchContent' $compiler 20 'git' "$expected" build_with fetch_content $compiler \
            "-DQTK_REPOSITORY=file://$copy" -DQTK_TAG=HEAD
        try 'pkg-config' $compiler 20 - "$expected" pkg_config $compiler "$prefix"
        try 'plain -I' $compiler 20 - "$expected" plain_include $compiler
    done
    try 'add_subdirectory' g++ 20 'xtensor simd openmp' "$expected" build_with add_subdirectory g++ \
        "-DQTK_SOURCE=$checkout" '-DCOMPONENTS=xtensor;simd;openmp' -DSOURCE=front_door.cpp
    try 'add_subdirectory' g++ 20 'twice in one build' "$expected" build_with two_projects g++ "-DQTK_SOURCE=$checkout"
    untouched() { git -C "$copy" status --porcelain && [ -z "$(git -C "$copy" status --porcelain)" ] && echo untouched; }
    try 'add_subdirectory' g++ 20 'of a clean copy' "$expected" build_with add_subdirectory g++ "-DQTK_SOURCE=$copy"
    try 'source tree' - - 'nothing written into it' untouched untouched
}

# Compilers x standards x components, the front door compiled.
part_matrix() {
    local compiler standard components other
    for compiler in g++ clang++-16 clang++-19; do
        for standard in 20 23; do
            for components in - simd xtensor openmp 'simd;xtensor;openmp'; do
                one_of_the_matrix "$compiler" "$standard" "$components" "$prefix"
            done
            try 'find_package' $compiler $standard 'QTK_NO_XSIMD' "$expected" build_with find_package $compiler \
                "-DCMAKE_PREFIX_PATH=$prefix" -DSOURCE=front_door.cpp "-DSTANDARD=$standard" -DCMAKE_CXX_FLAGS=-DQTK_NO_XSIMD
        done
    done
    local others=()
    IFS=: read -ra others <<<"${QTK_OTHER_PREFIXES:-}"
    for other in "${others[@]}"; do
        for compiler in g++ clang++-16 clang++-19; do
            try 'find_package' $compiler 20 "simd xtensor, $(basename "$other")" "$expected" build_with find_package $compiler \
                "-DCMAKE_PREFIX_PATH=$prefix;$other" '-DCOMPONENTS=simd;xtensor' -DSOURCE=front_door.cpp
        done
    done
}
one_of_the_matrix() {
    local compiler=$1 standard=$2 components=${3#-}
    if [[ $components == *openmp* ]] && ! echo 'int main() {}' |
        "$compiler" -fopenmp -include omp.h -x c++ - -o "$work/openmp" 2>/dev/null; then
        not_tried find_package "$compiler" "$standard" "${3//;/ }" "this compiler has no OpenMP here"
        return
    fi
    try 'find_package' "$compiler" "$standard" "${3//;/ }" "$expected" build_with find_package "$compiler" \
        "-DCMAKE_PREFIX_PATH=$prefix" "-DCOMPONENTS=$components" -DSOURCE=front_door.cpp "-DSTANDARD=$standard"
}

part_places() {
    local moved="$work/moved/elsewhere" spaces="$work/a folder with spaces/prefix"
    mkdir -p "$(dirname "$moved")" "$(dirname "$spaces")"
    cp -r "$prefix" "$moved"
    cp -r "$prefix" "$spaces"
    local name folder
    for name in moved spaces; do
        folder=${!name}
        try 'find_package' g++ 20 "$name" "$expected" build_with find_package g++ "-DCMAKE_PREFIX_PATH=$folder"
        try 'pkg-config' g++ 20 "$name" "$expected" pkg_config g++ "$folder"
    done
}

part_cmake() {
    local version cmake
    for version in 3.23.3 3.31.10 4; do
        local venv="$work/cmake$version"
        if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
            "cmake==$version.*"; } >"$log/cmake$version.txt" 2>&1 &&
            ! "$venv/bin/pip" install --quiet --disable-pip-version-check "cmake==$version" >>"$log/cmake$version.txt" 2>&1; then
            not_tried 'find_package' g++ 20 "CMake $version" 'PyPI is not to be had'
            continue
        fi
        cmake="$venv/bin/cmake"
        version=$("$cmake" --version | sed -n 's/^cmake version //p')
        try 'find_package' g++ 20 "CMake $version, simd xtensor" "$expected" build_with find_package g++ \
            "-DCMAKE_PREFIX_PATH=$prefix" '-DCOMPONENTS=simd;xtensor'
        try 'add_subdirectory' g++ 20 "CMake $version" "$expected" build_with add_subdirectory g++ "-DQTK_SOURCE=$checkout"
        try 'FetchContent' g++ 20 "CMake $version" "$expected" build_with fetch_content g++ "-DQTK_SOURCE=$checkout"
        try 'two projects' g++ 20 "CMake $version" "$expected" build_with two_projects g++ "-DQTK_SOURCE=$checkout"
    done
}

part_odr() {
    local compiler
    for compiler in g++ clang++-16 clang++-19; do
        try 'two -m in one program' $compiler 20 'kernels and front door' 'E3runE: 2' \
            env CXX=$compiler tests/consumer/odr.sh "$checkout/include" "$work/odr_$compiler"
    done
}

# Every kernel, optimized, with no -m flag.
part_kernels() {
    local compiler
    for compiler in g++ clang++-16 clang++-19; do
        try 'plain -O2' $compiler 20 'kernels of every machine' 'scalar 128' \
            env CXX=$compiler tests/consumer/plain_o2/run.sh "$checkout/include" "$work/plain_o2_$compiler"
    done
}

part_cuda() {
    need_conan
    need_nvcc
    if ! is_there nvcc; then
        not_tried 'find_package' nvcc 20 cuda 'no nvcc'
        return
    fi
    local host version
    version="nvcc $(nvcc --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')"
    device_code() {
        nvcc -std=c++20 -gencode "arch=compute_75,code=[compute_75,sm_75]" -diag-suppress 445 -ccbin "$1" \
            "-I$prefix/include" -c tests/consumer/cuda/device.cu -o "$work/device_$1.o" && echo compiled
    }
    for host in g++ clang++-16 clang++-19; do
        try 'plain -I, .cu' $host 20 "$version, sm_75" compiled device_code $host
    done
    try 'find_package, .cu' g++ 20 "$version, cuda" "$expected" build_with cuda g++ "-DCMAKE_PREFIX_PATH=$prefix" \
        "-DCMAKE_CUDA_COMPILER=$(command -v nvcc)"
}

part_conan() {
    need_conan
    local copy="$work/conan" home="$work/conan-home" conan="$checkout/.venv/bin/conan" version
    mkdir -p "$copy"
    clone_of_this "$copy"
    rm "$copy/.conanrc" # its home would be one for all of the profiles
    export CONAN_HOME="$home"
    version="Conan $("$conan" --version | sed 's/.* //')"
    create() { (cd "$copy" && "$conan" create . "$@"); }
    try 'conan config install' - - "$version" 'Copying file' "$conan" config install scripts/conan
    try 'conan create' g++ 20 'platform_requires, offline' "$expected" create --no-remote
    try 'conan create' g++ 20 'neither option, offline' "$expected" create --no-remote \
        -o '&:with_xtensor=False' -o '&:with_xsimd=False'
    # The oldest that the recipe takes; it does not read where the recipe's test package lies.
    python3 -m venv "$work/conan2.2" &&
        "$work/conan2.2/bin/pip" install --quiet --disable-pip-version-check conan==2.2.0 >"$log/conan2.2.txt" 2>&1 || true
    if [ -x "$work/conan2.2/bin/conan" ]; then
        oldest() {
            export CONAN_HOME="$work/conan2.2-home"
            cd "$copy"
            "$work/conan2.2/bin/conan" config install scripts/conan
            "$work/conan2.2/bin/conan" create . --no-remote -tf tests/consumer/conan
        }
        one_shell() { ("$@"); }
        try 'conan create' g++ 20 'Conan 2.2.0, offline' "$expected" one_shell oldest
    else
        not_tried 'conan create' g++ 20 'Conan 2.2.0, offline' 'PyPI is not to be had'
    fi
    try 'conan create' clang++-19 23 'platform_requires, offline' "$expected" create --no-remote -s compiler=clang \
        -s compiler.version=19 -s compiler.cppstd=23 -c 'tools.build:compiler_executables={"cpp": "clang++-19", "c": "clang-19"}'
    try 'conan remote add' - - 'an index of wrappers' '' "$conan" remote add --force qtk-debian scripts/packaging/debian-index
    try 'conan create' g++ 20 'replace_requires, offline' "$expected" create -pr debian12-wrappers -r qtk-debian \
        --build=missing
    conan_center() {
        "$checkout/scripts/packaging/release.sh" HEAD "$work/conan-release"
        cp "$work/conan-release/conandata.yml" "$copy/scripts/packaging/conan-center/all/"
        (cd "$copy/scripts/packaging/conan-center/all" && "$conan" create . "$@")
    }
    try 'conan create' g++ 20 "Conan Center's, no options" "$expected" conan_center --version "$(version_of_this)" --no-remote \
        -o '&:with_xtensor=False' -o '&:with_xsimd=False'
    unset CONAN_HOME
}
version_of_this() { sed -n 's/^#define QTK_VERSION_STRING "\(.*\)"$/\1/p' include/qtk/version.hpp; }

# vcpkg is no package of Debian or PyPI: where there is one, VCPKG_ROOT says where.
part_vcpkg() {
    if [ ! -x "${VCPKG_ROOT:-}/vcpkg" ]; then
        not_tried 'vcpkg' g++ 20 'overlay port' \
            'no vcpkg. With one: VCPKG_ROOT=FOLDER scripts/hardening/consumers.sh vcpkg'
        return
    fi
    port() {
        "$VCPKG_ROOT/vcpkg" install qtk --overlay-ports=scripts/packaging/vcpkg --x-install-root="$work/vcpkg" \
            --classic --x-buildtrees-root="$work/vcpkg-trees" --x-packages-root="$work/vcpkg-packages"
        build_with find_package g++ "-DCMAKE_TOOLCHAIN_FILE=$VCPKG_ROOT/scripts/buildsystems/vcpkg.cmake" \
            "-D_VCPKG_INSTALLED_DIR=$work/vcpkg" -DVCPKG_MANIFEST_MODE=OFF
    }
    try 'vcpkg' g++ 20 'overlay port' "$expected" port
}

part_release() {
    twice() {
        scripts/packaging/release.sh HEAD "$work/release1" https://example.org
        scripts/packaging/release.sh HEAD "$work/release2" https://example.org
        diff -r "$work/release1" "$work/release2" && echo 'the same bytes'
    }
    try 'release' - - 'made twice' 'the same bytes' twice
    sbom() {
        python3 -m venv "$work/spdx"
        "$work/spdx/bin/pip" install --quiet --disable-pip-version-check spdx-tools
        "$work/spdx/bin/pyspdxtools" -i "$work"/release1/*.spdx.json && echo 'a valid document'
    }
    try 'release' - - 'SPDX 2.3' 'a valid document' sbom
}

# What goes wrong says what to do.
part_wrong() {
    find_with() { cmake -S tests/consumer/find_package -B "$work/build$rows" -G Ninja "-DCMAKE_PREFIX_PATH=$prefix" "$@"; }
    try 'wrong' - - 'unknown component' '!qtk has no component `nothing`, only: simd, xtensor' find_with -DCOMPONENTS=nothing
    try 'wrong' - - 'xtensor is missing' '!qtk::xtensor needs xtensor (Debian: libxtensor-dev)' \
        find_with -DCOMPONENTS=xtensor -DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON
    try 'wrong' - - 'two components are missing' '!qtk::simd needs xsimd (Debian: libxsimd-dev)' \
        find_with '-DCOMPONENTS=simd;xtensor' -DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON -DCMAKE_DISABLE_FIND_PACKAGE_xsimd=ON
    try 'wrong' - - 'another version' '!compatible with requested version "9.9"' find_with -DVERSION=9.9
    local other="$work/other"
    mkdir -p "$other"
    git ls-files -z CMakeLists.txt cmake include cuda/include LICENSE | xargs -0 cp --parents -t "$other"
    sed -i 's/\(QTK_VERSION_STRING "\)[0-9.]*"/\199.0.0"/' "$other/include/qtk/version.hpp"
    try 'wrong' - - 'two versions in one build' '!Hint: let both projects take the same version' \
        cmake -S tests/consumer/two_projects -B "$work/build_two" -G Ninja "-DQTK_SOURCE=$checkout" "-DQTK_OTHER=$other"
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(tree modes matrix places cmake odr kernels cuda conan vcpkg release wrong)
for part in "${parts[@]}"; do
    declare -F "part_$part" >/dev/null || {
        echo "error: no part \`$part\`. Hint: scripts/hardening/consumers.sh without arguments tries all" >&2
        exit 2
    }
done
line mode compiler C++ options outcome s
try 'install' - - 'the tree that follows uses' 'licenses/qtk/LICENSE' install_tree
for part in "${parts[@]}"; do "part_$part"; done
echo "consumers: $rows tried, $failures failed, $untried not tried"
[ "$failures" -eq 0 ]
