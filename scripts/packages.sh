# Packages that building, running and testing need, by purpose (Debian 12 names). Sourced by quickstart and check.
# shellcheck shell=bash

PACKAGES_BUILD="gcc libc6-dev cmake ninja-build pkg-config git libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libseccomp-dev libncurses-dev libcmocka-dev python3 ca-certificates"
PACKAGES_RUN="curl"
PACKAGES_ZOOKEEPER="zookeeper"
PACKAGES_ETCD="etcd-server"
PACKAGES_BALANCER="haproxy"
PACKAGES_OBSERVE="prometheus"
PACKAGES_PROOF="frama-c-base why3 z3"
PACKAGES_CHECK="$PACKAGES_RUN $PACKAGES_ZOOKEEPER $PACKAGES_ETCD $PACKAGES_BALANCER $PACKAGES_OBSERVE etcd-client clang clang-tidy clang-format libclang-rt-14-dev cppcheck valgrind spin faketime chrony openssl socat stunnel4 nftables iproute2 procps redis-server redis-tools gcovr jsonnet shellcheck chromium g++ podman runc buildah debootstrap netavark aardvark-dns iptables python3-venv"

# The languages of clients/, where the machine has none from elsewhere.
command -v go >/dev/null || PACKAGES_CHECK="$PACKAGES_CHECK golang-go"
command -v mvn >/dev/null || PACKAGES_CHECK="$PACKAGES_CHECK default-jdk-headless maven"
# Rust 1.85: Debian 13's, and what Debian 12 has beside its older one.
command -v cargo >/dev/null || PACKAGES_CHECK="$PACKAGES_CHECK $(apt-cache show rustc-web >/dev/null 2>&1 && echo cargo-web rustc-web || echo cargo rustc)"

# Node.js comes with npm from some sources and without from Debian's; either will do.
command -v npm >/dev/null || PACKAGES_CHECK="$PACKAGES_CHECK nodejs npm"

# install_packages NAME... : installs what is missing; asks only when not root.
install_packages() {
  local missing=() name sudo=()
  for name in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "These packages are missing, and neither root nor sudo is here: ${missing[*]}" >&2; return 1; }
    read -r -p "Install with sudo apt-get: ${missing[*]} ? [y/N] " answer </dev/tty || answer=n
    case $answer in y | Y | yes) sudo=(sudo) ;; *) echo "Not installed; install them and run this again." >&2; return 1 ;; esac
  fi
  echo "Installing: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! "${sudo[@]}" apt-get update -qq >"$log" 2>&1 ||
    ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    echo "apt-get failed; see above." >&2
    return 1
  fi
  rm -f "$log"
}
