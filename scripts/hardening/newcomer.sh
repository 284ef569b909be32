#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first hour of someone who has nothing but Debian 12: a root file system made by debootstrap, with git alone, in which a clone of
# this checkout's last commit follows README.md. Needs root and Debian's mirror.
#
#   scripts/hardening/newcomer.sh            README's first command and its ten lines
#   scripts/hardening/newcomer.sh --whole    the second command (scripts/test.sh), too: an hour
#
# DEBIAN_MIRROR names another mirror. Behind a proxy with a certificate of its own, SSL_CERT_FILE is taken along for pip.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

is_whole=no
case "${1:-}" in
    "") ;;
    --whole) is_whole=yes ;;
    *) echo "error: \"$1\" is no option; see the first lines of $0" >&2 && exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "error: a root file system is made by root; run it with sudo" >&2 && exit 2; }
need debootstrap debootstrap

place=$PWD/build/hardening/newcomer
root=$place/root
rm -rf --one-file-system "$root"
mkdir -p "$place"
say "a Debian 12 with git and nothing else"
debootstrap --variant=minbase --include=ca-certificates,git bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" \
    >"$place/debootstrap.log" || { tail -n 5 "$place/debootstrap.log" >&2 && exit 1; }
cp /etc/resolv.conf "$root/etc/resolv.conf"
if [ -f "${SSL_CERT_FILE:-}" ]; then cp "$SSL_CERT_FILE" "$root/etc/ssl/certs/ca-certificates.crt"; fi
git clone --quiet --bare . "$root/root/qtk.git"

# What README says, taken from README.
cat >"$root/root/hour.sh" <<'HOUR'
set -euo pipefail
export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
cd /root
git clone --quiet qtk.git qtk
cd qtk
commands=$(awk '/^```sh/ { inside = 1; next } /^```/ && inside { exit } inside { sub(/ *#.*/, ""); print }' README.md)
first=$(sed -n 1p <<<"$commands")
second=$(sed -n 2p <<<"$commands")
began=$SECONDS
echo "== \$ $first"
$first
echo "== $first: $((SECONDS - began)) s"

awk '/^```cpp/ { inside = 1; next } /^```/ && inside { exit } inside' README.md >ten.cpp
sentence=$(tr '\n' ' ' <README.md | grep -oE '`g\+\+ [^`]*ten\.cpp[^`]*` prints `[^`]*`')
command=$(cut -d'`' -f2 <<<"$sentence")
promise=$(cut -d'`' -f4 <<<"$sentence")
echo "== \$ $command"
found=$(bash -c "$command")
echo "$found"
if [ "$found" != "$promise" ]; then
    echo "error: the ten lines print \"$found\", README promises \"$promise\"" >&2
    exit 1
fi
if [ "$1" = yes ]; then
    began=$SECONDS
    echo "== \$ $second"
    $second
    echo "== $second: $((SECONDS - began)) s"
fi
HOUR

say "the first hour"
# A name space of its own for mounts: they are gone when it ends, in whichever way.
unshare --mount --fork bash -euo pipefail -c '
    mount --types proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --rbind /sys "$1/sys"
    exec chroot "$1" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin bash /root/hour.sh "$2"
' newcomer "$root" "$is_whole"
say "the newcomer came through"
