#!/bin/sh
# SPDX-License-Identifier: MIT
# promtool.sh DIRECTORY: puts promtool there, unless the machine has it. It is in Debian's package of the Prometheus
# server, which would start a daemon when it is installed: so only this one program is taken out of it. Without it one
# test skips, and says so.
set -eu
. "$(dirname "$0")/say.sh"

directory=$1
if command -v promtool >/dev/null || [ -x "$directory/promtool" ]; then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt-get downloads as a user of its own.
chmod 755 "$work"

download() { (cd "$work" && apt-get download prometheus </dev/null >log 2>&1); }

echo "setup: promtool"
if ! download; then
	(as_root apt-get update </dev/null >"$work/log" 2>&1) || true
	download || { echo "setup: could not download promtool; going on without it"; exit 0; }
fi
dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool
mkdir -p "$directory"
mv "$work/usr/bin/promtool" "$directory/promtool"
