#!/usr/bin/env bash
# Builds and runs the fuzz targets with libFuzzer and AddressSanitizer.
#
#     fuzz/run.sh [SECONDS] [TARGET...]     default: 60 seconds for each target; 0 only builds
#
# Needs g++ (libFuzzer is C++) and the stable toolchain: neither cargo-fuzz nor a nightly. What a run finds
# of its own goes to fuzz/corpus-local/, a crash to fuzz/artifacts/; both are kept out of git. A crash
# becomes a seed in fuzz/corpus/TARGET/ together with its fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: fuzz/run.sh [SECONDS] [TARGET...]" >&2; exit 2; }
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json_body blob authorization signature policy decision identity sts)

command -v g++ >/dev/null || { echo "fuzz/run.sh: g++ is missing" >&2; exit 1; }

host=$(rustc -vV | sed -n 's/^host: //p')
# Sanitizers are nightly flags; RUSTC_BOOTSTRAP lets stable take them. With --target the flags reach the
# program alone, and no build script or macro.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address --cfg fuzzing"
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$PWD/target}
cargo build --locked --release --target "$host" "${targets[@]/#/--bin=}"

# To libFuzzer no time at all means no end.
[ "$seconds" -gt 0 ] || exit 0

# The longest input of each: a request body of some kilobytes, the longest blob and one byte, the longest
# header and one byte, a request longer than the longest path, a policy, an identity file and a policy
# with a request of some kilobytes, a form or token of some kilobytes.
declare -A longest=([json_body]=8192 [blob]=6146 [authorization]=4097 [signature]=9000 [policy]=8192 [decision]=8192 [identity]=8192 [sts]=4096)

for target in "${targets[@]}"; do
    echo "== $target: $seconds s"
    mkdir -p "corpus-local/$target" artifacts
    # The seeds stand second: new inputs go to the first directory.
    "$CARGO_TARGET_DIR/$host/release/$target" \
        -max_total_time="$seconds" -max_len="${longest[$target]:-4096}" -rss_limit_mb=2048 -timeout=10 \
        -artifact_prefix="artifacts/$target-" -print_final_stats=1 -print_funcs=0 -reduce_inputs=0 \
        "corpus-local/$target" "corpus/$target"
done
