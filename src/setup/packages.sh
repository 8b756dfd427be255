#!/bin/sh
# SPDX-License-Identifier: MIT
# packages.sh PACKAGE...: installs those Debian packages that are missing; prints nothing if none is.
# PACKAGE? is installed if the distribution has it, and done without if not.
set -eu
. "$(dirname "$0")/say.sh"

command -v dpkg-query >/dev/null || fail "packages" "this is neither Debian nor Ubuntu" \
	"install what stands for $* here, then run make with SETUP=no"

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >"$log" 2>&1
}

# The package lists are absent on fresh images and out of date on old ones: both show as a failure.
install_with_lists() {
	install "$@" && return
	echo "setup: apt-get update"
	as_root apt-get update </dev/null >"$log" 2>&1 || return 1
	install "$@"
}

missing=
wished=
for package in "$@"; do
	name=${package%\?}
	installed "$name" && continue
	if [ "$name" = "$package" ]; then
		missing="$missing $name"
	elif ! command -v "$name" >/dev/null; then # another package may bring the program
		wished="$wished $name"
	fi
done

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		fail "packages" "these are missing, and there is no sudo to install them:$missing" "as root: apt-get install$missing"
	fi
	echo "setup: apt-get install$missing"
	# shellcheck disable=SC2086 # a list of names
	if ! install_with_lists $missing; then
		tail -n 5 "$log" >&2
		fail "packages" "apt-get could not install:$missing" "as root: apt-get update && apt-get install$missing"
	fi
fi

for name in $wished; do
	if ! apt-cache show "$name" >/dev/null 2>&1; then continue; fi
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then continue; fi
	echo "setup: apt-get install $name"
	install_with_lists "$name" || echo "setup: could not install $name; going on without it"
done
