#!/usr/bin/env bash
# usage: run.sh BIN_DIR TOOLS_DIR chart_test.py [--golden] | compose_test.py
# Installs the tools once, then runs that test. Exit 77: no tools to be had.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export SF_BIN=$1 SF_TOOLS=$2
script=$here/$3
shift 3
"$here/tools.sh" "$SF_TOOLS" || exit 77
SF_TOOLS=$(cd "$SF_TOOLS" && pwd)
exec "$SF_TOOLS/venv/bin/python" -B "$script" "$@"
