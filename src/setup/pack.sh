#!/bin/sh
# SPDX-License-Identifier: MIT
# pack.sh DIRECTORY: makes vnet-bpf-VERSION.tgz there, as npm pack does, with the versions of all that it depends on
# (published.ts). From the root of the repository, with everything built. npm would take npm-shrinkwrap.json for its own in
# a checkout, so it never lies there.
set -eu
. "$(dirname "$0")/say.sh"

destination=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
NODE_EXTRA_CA_CERTS=${VNET_BPF_CERTIFICATES-${NODE_EXTRA_CA_CERTS-}} npm pack --silent --no-update-notifier --pack-destination "$work" </dev/null >"$work/name" ||
	fail "npm pack" "failed" "make build, then npm pack shows why"
name=$(cat "$work/name")
tar -xzf "$work/$name" -C "$work"
node dist/setup/published.js "$work/package"
mkdir -p "$destination"
# The time that npm gives every file.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime='1985-10-26 08:15:00 UTC' -czf "$destination/$name" -C "$work" package
