#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a release of a commit: the tarball, its SHA-256, an SBOM (SPDX 2.3, JSON) and conandata.yml for Conan Center's recipe.
# The same commit gives the same bytes: every time in them is the commit's.
#
#   scripts/packaging/release.sh [COMMIT [FOLDER [ADDRESS]]]      default: HEAD build/release file://FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
commit=$(git rev-parse --verify "${1:-HEAD}^{commit}")
folder=${2:-build/release}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
address=${3:-file://$folder}
SOURCE_DATE_EPOCH=$(git show -s --format=%ct "$commit")

version=$(git show "$commit:include/qtk/version.hpp" | sed -n 's/^#define QTK_VERSION_STRING "\(.*\)"$/\1/p')
name="qtk-$version"
# What could differ between two machines is fixed: rights, and gzip's own header. Files have the commit's time.
git -c tar.umask=0022 archive --format=tar --prefix="$name/" "$commit" |
    gzip -n -9 >"$folder/$name.tar.gz"
(cd "$folder" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
sum=$(cut -d' ' -f1 "$folder/$name.tar.gz.sha256")

cat >"$folder/conandata.yml" <<YAML
sources:
  "$version":
    url: "$address/$name.tar.gz"
    sha256: "$sum"
YAML
python3 scripts/packaging/sbom.py "$folder/$name.tar.gz" --version "$version" --epoch "$SOURCE_DATE_EPOCH" \
    --address "$address" >"$folder/$name.spdx.json"
cat "$folder/$name.tar.gz.sha256"
