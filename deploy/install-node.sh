#!/bin/sh
# Installs pyrunc on a node of Kubernetes and writes it into the configuration of the node's engine.
set -eu

usage() {
    cat <<'USAGE'
usage: install-node.sh [--no-restart] [--systemd-cgroup] [--prefix DIR] containerd|crio FROM
  FROM                a wheel of pyrunc, a checkout, or a directory of wheels: then nothing is downloaded
  --no-restart        the engine is not running here, as in the build of an image
  --systemd-cgroup    the kubelet's cgroup driver is systemd, and containerd's configuration does not say so for runc
  --prefix DIR        where it goes, /opt/pyrunc
As root. To install another version, or after another wish, run it again; to undo: DIR/bin/pyrunc setup ENGINE --remove, rm -r DIR.
USAGE
}

die() { printf 'install-node: %s\n' "$*" >&2; exit 1; }

prefix=/opt/pyrunc
restart=yes
flags=
while :; do
    case ${1:-} in
        --no-restart) restart= ;;
        --systemd-cgroup) flags=--systemd-cgroup ;;
        --prefix) [ $# -gt 1 ] || die "--prefix wants a directory"; prefix=$2; shift ;;
        -h | --help) usage; exit 0 ;;
        *) break ;;
    esac
    shift
done
[ $# -eq 2 ] || { usage >&2; exit 2; }
engine=$1
from=$2
case $engine in containerd | crio) ;; *) die "$engine is neither containerd nor crio" ;; esac
case $prefix in /*) ;; *) die "--prefix $prefix is not absolute: the engine would not find it" ;; esac
[ -e "$from" ] || die "$from does not exist"
[ "$(id -u)" -eq 0 ] || die "be root"
python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    die "python3 must be 3.11 or newer, with venv (python3-venv on Debian)"

# An environment that lacks its interpreter, since the node was upgraded, is made again.
if ! "$prefix/bin/python" -c '' 2>/dev/null; then
    [ ! -e "$prefix" ] || [ -e "$prefix/pyvenv.cfg" ] || die "$prefix is there, and nothing that this script has made"
    python3 -m venv --clear "$prefix"
fi
set -- --quiet --disable-pip-version-check --upgrade
if [ -d "$from" ] && [ ! -e "$from/pyproject.toml" ]; then
    "$prefix/bin/python" -m pip install "$@" --no-index --find-links "$from" pyrunc
else
    "$prefix/bin/python" -m pip install "$@" "$from"
fi

# shellcheck disable=SC2086  # none or one
"$prefix/bin/pyrunc" $flags setup "$engine"
[ -n "$restart" ] || exit 0
"$prefix/bin/pyrunc" doctor || die "$engine was not restarted: do first what pyrunc doctor says"
systemctl restart "$engine"
