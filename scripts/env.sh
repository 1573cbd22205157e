# Sourced by every script here: finds the tools, makes the locked environment, sets the cache folder.
# Nothing is installed outside this checkout's .venv and the cache folder.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${FAIRLEAD_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/fairlead}"
export FAIRLEAD_CACHE="$CACHE"
# Where the environment forbids it, Python would compile every module anew in each of the hundreds of processes started from here.
unset PYTHONDONTWRITEBYTECODE
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
UV_VERSION=0.13.8
# The system's certificates, as pip and npm use them: some networks have an authority of their own.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" UV_NATIVE_TLS="${UV_NATIVE_TLS:-true}"
say() { if [ -t 2 ]; then printf '\033[2m·\033[0m %s\n' "$*" >&2; else printf '· %s\n' "$*" >&2; fi; }
die() { printf 'fairlead: %s\n' "$*" >&2; exit 2; }

find_python() {
  local c
  for c in "${FAIRLEAD_PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$c" ] && command -v "$c" >/dev/null 2>&1 || continue
    if "$c" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))' 2>/dev/null; then
      command -v "$c"; return
    fi
  done
  die "Python 3.11, 3.12 or 3.13 is needed and none was found on PATH. Install one, or set FAIRLEAD_PYTHON to it."
}

require_tools() {
  command -v git >/dev/null 2>&1 || die "git is needed and is not on PATH. Install it with your package manager."
  command -v node >/dev/null 2>&1 || die "node >= 20 is needed and is not on PATH. Install Node.js 20 or newer."
  command -v npm >/dev/null 2>&1 || die "npm is needed and is not on PATH (it comes with Node.js)."
  local major; major="$(node -p 'process.versions.node.split(".")[0]')"
  [ "$major" -ge 20 ] || die "node >= 20 is needed; $(command -v node) is $(node --version)."
}

# uv_env FOLDER LOCKFILE [editable project folder …]: a virtual environment holding exactly what LOCKFILE says.
uv_env() {
  local venv="$1" lock="$2" project python want; shift 2
  python="$(find_python)"
  want="$(cat "$lock" "$ROOT/pyproject.toml" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1)-$("$python" -c 'import sys; print(sys.version_info[:3])')"
  if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.fairlead-lock" 2>/dev/null)" = "$want" ]; then return; fi
  local uv; uv="$(command -v uv 2>/dev/null || true)"
  if [ -z "$uv" ]; then
    uv="$CACHE/uv-$UV_VERSION/bin/uv"
    if [ ! -x "$uv" ]; then
      say "installing uv $UV_VERSION into $CACHE"
      "$python" -m venv "$CACHE/uv-$UV_VERSION" || die "python's venv module is missing (on Debian: python3-venv)."
      "$CACHE/uv-$UV_VERSION/bin/pip" install --quiet --disable-pip-version-check "uv==$UV_VERSION" \
        || die "uv could not be installed from PyPI. Is the network up?"
    fi
  fi
  say "making the Python environment $(basename "$venv") from $(basename "$(dirname "$lock")")/$(basename "$lock")"
  local log="$CACHE/setup.log"
  mkdir -p "$CACHE"
  { "$uv" venv --quiet --allow-existing --python "$python" "$venv" \
    && "$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock"; } 2>"$log" \
    || { cat "$log" >&2; die "the locked Python environment could not be made; the reason is above."; }
  for project in "$@"; do
    "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable "$project" 2>"$log" \
      || { cat "$log" >&2; die "$(basename "$project") could not be installed into $venv; the reason is above."; }
  done
  printf '%s' "$want" >"$venv/.fairlead-lock"
}

setup() {
  require_tools
  uv_env "$ROOT/.venv" "$ROOT/requirements.lock" "$ROOT"
  export PATH="$ROOT/.venv/bin:$PATH"
  PY="$ROOT/.venv/bin/python"
}
