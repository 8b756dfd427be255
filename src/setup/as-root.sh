#!/bin/sh
# SPDX-License-Identifier: MIT
# as-root.sh COMMAND...: runs it as root, through sudo if need be.
set -eu
. "$(dirname "$0")/say.sh"
as_root "$@"
