# The loop of seconds; CI runs `.ci/run`. `just --list` shows the recipes.

# Checks the format, the lints, the shape of the source and the unit tests
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo nextest run --locked -E 'kind(lib) | test(/^suite::tidy::/)'

# Runs the tests whose names hold a text
test pattern:
    cargo nextest run --locked {{pattern}}

# Rewrites the JSON Schema of the pipeline file
schema:
    cargo run --locked -- schema > pipelines/pipeline.schema.json

# Rewrites the reference of the pipeline file
reference:
    cargo run --locked -- schema --markdown > docs/reference.md

# Takes what the tests now print for right (needs `cargo install cargo-insta`)
snapshots:
    cargo insta test --accept --test-runner nextest

# Records what other programs compute (needs the packages that the scripts name)
records:
    for script in tests/record_*.py; do python3 "$script" || exit 1; done
    python3 tests/sklearn_metrics.py > tests/data/sklearn_metrics.json
