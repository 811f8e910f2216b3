#!/usr/bin/env bash
# usage: run.sh BIN_DIR TOOLS_DIR [--golden]: installs the tools once, then tests the chart. Exit 77: no tools to be had.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export SF_BIN=$1 SF_TOOLS=$2
shift 2
"$here/tools.sh" "$SF_TOOLS" || exit 77
SF_TOOLS=$(cd "$SF_TOOLS" && pwd)
exec "$SF_TOOLS/venv/bin/python" -B "$here/chart_test.py" "$@"
