#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the SBOM (SPDX 2.3, JSON) of a release tarball to standard output.

    scripts/packaging/sbom.py TARBALL --version V --epoch SECONDS --address URL

It lists every file with its sums and licence, and the libraries that a consumer may add. None of these is in the tarball,
so they carry the ranges that the headers were written for and no sums.
"""
import argparse
import datetime
import hashlib
import json
import pathlib
import tarfile

# What is not Apache-2.0 (examples/data/README.md says where it comes from).
OTHER_LICENCES = {
    "examples/data/corpus/": "CC0-1.0",
    "examples/data/digits/digits_": "CC-BY-4.0",
}
# name, licence, and what needs it
OPTIONAL = [
    ("xsimd", "BSD-3-Clause", "qtk::simd: the portable path of the kernels"),
    ("xtensor", "BSD-3-Clause", "qtk::xtensor and qtk::models"),
    ("xtl", "BSD-3-Clause", "xtensor"),
    ("nlohmann_json", "MIT", "qtk::models: JSON of models"),
    ("pcre2", "BSD-3-Clause", "qtk::models: the patterns of tokenizers"),
    ("openblas", "BSD-3-Clause", "qtk::models: products of floats, where found"),
    ("stb", "MIT OR Unlicense", "qtk::models: JPEG and PNG, where found"),
    ("libtorch", "BSD-3-Clause", "qtk::torch: training"),
    ("cuda-cudart", "LicenseRef-NVIDIA-CUDA", "qtk::cuda: the runtime of the device"),
    ("CLI11", "BSD-3-Clause", "the programs in examples/apps"),
    ("fmt", "MIT", "the programs in examples/apps"),
    ("doctest", "MIT", "the tests"),
    ("benchmark", "Apache-2.0", "the benches"),
]


def licence_of(path):
    return next((lic for start, lic in OTHER_LICENCES.items() if path.startswith(start)), "Apache-2.0")


def files_of(tarball):
    with tarfile.open(tarball) as archive:
        for member in archive:
            if member.isfile():
                data = archive.extractfile(member).read()
                path = member.name.split("/", 1)[1]
                yield path, hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest()


def package(identifier, name, **fields):
    return {
        "SPDXID": identifier,
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "copyrightText": "NOASSERTION",
        "licenseConcluded": "NOASSERTION",
        **fields,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tarball", type=pathlib.Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--address", required=True)
    arguments = parser.parse_args()

    tarball_sum = hashlib.sha256(arguments.tarball.read_bytes()).hexdigest()
    files = [
        {
            "SPDXID": f"SPDXRef-file-{number}",
            "fileName": f"./{path}",
            "checksums": [
                {"algorithm": "SHA1", "checksumValue": sha1},
                {"algorithm": "SHA256", "checksumValue": sha256},
            ],
            "licenseConcluded": licence_of(path),
            "licenseInfoInFiles": [licence_of(path)],
            "copyrightText": "NOASSERTION",
        }
        for number, (path, sha1, sha256) in enumerate(sorted(files_of(arguments.tarball)))
    ]
    # SPDX 2.3, section 7.9: the sum of the files' sums in sorted order.
    sums = sorted(file["checksums"][0]["checksumValue"] for file in files)
    verification = hashlib.sha1("".join(sums).encode()).hexdigest()
    licences = sorted({file["licenseConcluded"] for file in files})
    qtk = package(
        "SPDXRef-qtk",
        "qtk",
        versionInfo=arguments.version,
        downloadLocation=f"{arguments.address}/{arguments.tarball.name}",
        filesAnalyzed=True,
        packageFileName=arguments.tarball.name,
        packageVerificationCode={"packageVerificationCodeValue": verification},
        checksums=[{"algorithm": "SHA256", "checksumValue": tarball_sum}],
        licenseDeclared="Apache-2.0",
        licenseConcluded=" AND ".join(licences),
        licenseInfoFromFiles=licences,
        hasFiles=[file["SPDXID"] for file in files],
        primaryPackagePurpose="LIBRARY",
    )
    optional = [
        package(f"SPDXRef-{name.replace('_', '-')}", name, licenseDeclared=licence, comment=f"Optional. Needed by {use}.")
        for name, licence, use in OPTIONAL
    ]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-qtk")]
    relations += [(other["SPDXID"], "OPTIONAL_DEPENDENCY_OF", "SPDXRef-qtk") for other in optional]
    created = datetime.datetime.fromtimestamp(arguments.epoch, datetime.timezone.utc)
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"qtk-{arguments.version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/qtk-{arguments.version}-{tarball_sum}",
        "creationInfo": {
            "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: qtk-scripts/packaging/sbom.py"],
        },
        "hasExtractedLicensingInfos": [
            {
                "licenseId": "LicenseRef-NVIDIA-CUDA",
                "name": "NVIDIA CUDA Toolkit End User License Agreement",
                "extractedText": "The licence that comes with the CUDA toolkit; it is no part of this release.",
            }
        ],
        "packages": [qtk, *optional],
        "files": files,
        "relationships": [
            {"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations
        ],
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
