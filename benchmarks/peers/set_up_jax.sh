#!/usr/bin/env bash
# Sets up SO3LR's original JAX code for `so3krates benchmark --peers FOLDER`, in FOLDER/jax.
#
#   benchmarks/peers/set_up_jax.sh FOLDER [SO3LR [MLFF [JAX_MD]]]
#
# The last three are git addresses or local git repositories, ADDRESS@COMMIT, or plain source folders; default: those of
# GitHub that SO3LR names. PYTHON chooses the Python, 3.12.4 or newer (mlff's annotations fail in older ones; default
# python3). The code is not ours: SO3LR's weights are a pickle, which its own code executes.
set -euo pipefail
{ [ $# -ge 1 ] && [ $# -le 4 ]; } || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
so3lr=${2:-https://github.com/general-molecular-simulations/so3lr@5ec39b9}
mlff=${3:-https://github.com/kabylda/mlff@191dcf1}
jax_md=${4:-https://github.com/kabylda/jax-md@main}
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12, 4))' ||
    { echo "$0: $("$python" --version) is too old; set PYTHON to 3.12.4 or newer" >&2; exit 1; }

# get NAME SOURCE: the source's package folder NAME into sources/NAME
get() {
    local target=$folder/sources/$1 source=$2 commit=HEAD clone
    rm -rf "$target"
    mkdir -p "$target"
    if [ -d "$source/$1" ]; then
        cp -r "$source/$1" "$target/"
        echo "$source" > "$target/COMMIT"
        return
    fi
    case $source in *@*) commit=${source##*@} source=${source%@*} ;; esac
    clone=$(mktemp -d)
    if [ -d "$source" ]; then
        rm -r "$clone" && clone=$source
    else
        git clone -q --filter=blob:none --no-checkout "$source" "$clone"
    fi
    # Not all of a repository need be there: large files that nobody reads here may be absent.
    git -C "$clone" archive "$commit" -- "$1" ':(exclude)mlff/sph_ops/u_matrix.pickle' | tar x -C "$target"
    git -C "$clone" rev-parse --short "$commit" > "$target/COMMIT"
}
get so3lr "$so3lr"
get mlff "$mlff"
get jax_md "$jax_md"
# mlff reads this table of another model when it is imported; SO3LR never looks into it, so an empty one will do.
"$python" -c "import pickle, sys; pickle.dump({}, open(sys.argv[1], 'wb'))" "$folder/sources/mlff/mlff/sph_ops/u_matrix.pickle"

"$python" -m venv "$folder/jax"
"$folder/jax/bin/python" -m pip install -q -r "$here/requirements-jax.txt"
packages=$("$folder/jax/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
printf '%s\n' "$folder"/sources/{so3lr,mlff,jax_md} > "$packages/so3lr_sources.pth"
"$folder/jax/bin/python" -W ignore -c "import jax_md, mlff.mdx.potential; print('SO3LR in JAX is ready')"
