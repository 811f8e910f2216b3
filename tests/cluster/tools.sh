#!/usr/bin/env bash
# Makes a Kubernetes control plane of Go modules, once, and keeps it: DIR/bin/{kube-apiserver,kube-controller-manager,kube-scheduler}. Needs Go;
# on 2 cores the first build takes half an hour and 4 GB.
# What could not be had is printed; exit 1 then.
set -euo pipefail
KUBERNETES=1.37.2

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
    go get k8s.io/kubernetes/cmd/kube-{apiserver,controller-manager,scheduler}@v"$KUBERNETES" &&
    nice -n 19 go build -trimpath -o "$work/bin/" \
      -ldflags "-s -w -X $package.gitVersion=v$KUBERNETES -X $package.gitMajor=1 -X $package.gitMinor=${minor%.*}" \
      k8s.io/kubernetes/cmd/kube-{apiserver,controller-manager,scheduler} &&
    mv "$work"/bin/* "$dir/bin/"
}

[ -e "$dir/bin/kube-scheduler" ] || (control_plane) >"$dir/log/control_plane" 2>&1 || {
  tail -n 20 "$dir/log/control_plane"
  echo "needed, and not to be had: the control plane (see $dir/log/control_plane)"
  exit 1
}
