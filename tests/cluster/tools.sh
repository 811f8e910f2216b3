#!/usr/bin/env bash
# Makes a Kubernetes control plane of Go modules, once, and keeps it: DIR/bin/{kube-apiserver,kube-controller-manager,kube-scheduler}, and the
# custom resource definitions of prometheus-operator in DIR/crds. Needs Go; on 2 cores the first build takes half an hour and 4 GB.
# What could not be had is printed; exit 1 then.
set -euo pipefail
KUBERNETES=1.37.2
PROMETHEUS_OPERATOR=0.95.2
CONTROLLER_TOOLS=0.23.0

dir=${1:?usage: tools.sh DIR}
mkdir -p "$dir/bin" "$dir/log"
dir=$(cd "$dir" && pwd)
command -v go >/dev/null || { echo "needed, and not to be had: go"; exit 1; }
export GOTOOLCHAIN=local GOFLAGS="-p=2 -buildvcs=false" CGO_ENABLED=0 GOWORK=off
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Kubernetes takes 30 and more of its modules from its own tree. They are published as well, under the version 0.MINOR.PATCH; a module
# that says so can build what `go install` refuses.
control_plane() {
  local published="v0.${KUBERNETES#*.}" modfile package=k8s.io/component-base/version minor=${KUBERNETES#*.}
  mkdir "$work/kubernetes" && cd "$work/kubernetes" || return
  go mod init kubernetes-build &&
    modfile=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p') &&
    sed -n 's/^[[:space:]]*\(k8s\.io\/[^ ]*\) => \.\/staging.*/\1/p' "$modfile" |
    while read -r name; do go mod edit -replace="$name=$name@$published" || return; done &&
    go get "k8s.io/kubernetes/cmd/kube-apiserver@v$KUBERNETES" k8s.io/kubernetes/cmd/kube-{controller-manager,scheduler} &&
    nice -n 19 go build -trimpath -o "$work/bin/" \
      -ldflags "-s -w -X $package.gitVersion=v$KUBERNETES -X $package.gitMajor=1 -X $package.gitMinor=${minor%.*}" \
      k8s.io/kubernetes/cmd/kube-{apiserver,controller-manager,scheduler} &&
    mv "$work"/bin/* "$dir/bin/"
}

# The definitions come from the types that prometheus-operator publishes as a Go module, as its own build makes them.
definitions() {
  local types=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring
  mkdir "$work/definitions" && cd "$work/definitions" || return
  go mod init definitions-build &&
    go get -tool "sigs.k8s.io/controller-tools/cmd/controller-gen@v$CONTROLLER_TOOLS" &&
    go get "$types@v$PROMETHEUS_OPERATOR" "$types/v1@v$PROMETHEUS_OPERATOR" &&
    nice -n 19 go tool controller-gen crd paths="$types/v1" "output:crd:dir=$work/crds" &&
    mv "$work/crds" "$dir/crds"
}

for part in control_plane:bin/kube-scheduler definitions:crds; do
  [ -e "$dir/${part#*:}" ] || ("${part%:*}") >"$dir/log/${part%:*}" 2>&1 || {
    tail -n 20 "$dir/log/${part%:*}"
    echo "needed, and not to be had: ${part%:*} (see $dir/log/${part%:*})"
    exit 1
  }
done
