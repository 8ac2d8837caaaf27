# Builds an image of the server. It needs a PostgreSQL server in DATABASE_URL; compose.yaml starts both.
# The image has no PostgreSQL programs, so the server can't start a private database in it.

FROM rust:1.95-bookworm AS build
WORKDIR /build

# First the dependencies with an empty program: this layer is rebuilt only when the manifest or the lock file changes.
# Tests and benchmarks are not in the image, so their targets are removed from the manifest: cargo refuses a manifest
# with a target without a file.
COPY Cargo.toml Cargo.lock ./
RUN awk '/^\[/ { skip = /^\[\[(test|bench|example)\]\]/ } !skip' Cargo.toml > stripped && mv stripped Cargo.toml \
    && mkdir src \
    && echo '//! Stub.' > src/lib.rs \
    && printf '//! Stub.\nfn main() {}\n' > src/main.rs \
    && cargo build --release --locked \
    && cargo clean --release --locked --package concierge-sandbox

# Then the program. The results of the empty program were removed above: cargo would miss a source file older than them.
COPY migrations migrations
COPY src src
RUN cargo build --release --locked

# The binary links only glibc and libgcc. The "cc" image has both, from the same Debian release as the builder, and no
# shell or package manager. "nonroot" is user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/concierge-sandbox /usr/local/bin/concierge-sandbox
ENV SANDBOX_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/concierge-sandbox", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/concierge-sandbox"]
