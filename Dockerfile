# Builds the server alone; it needs a PostgreSQL server, named by DATABASE_URL (see compose.yaml for both together).
# The private database the program starts without DATABASE_URL is not in this image.

FROM rust:1.95-bookworm AS build
WORKDIR /build

# First the dependencies, around a program that does nothing: this layer is rebuilt only when the manifest or the lock
# file changes. Tests and benchmarks stay out of the image, so their targets leave the manifest (cargo refuses to read a
# manifest that declares a target whose file is missing).
COPY Cargo.toml Cargo.lock ./
RUN awk '/^\[/ { skip = /^\[\[(test|bench|example)\]\]/ } !skip' Cargo.toml > stripped && mv stripped Cargo.toml \
    && mkdir src \
    && echo '//! Stub.' > src/lib.rs \
    && printf '//! Stub.\nfn main() {}\n' > src/main.rs \
    && cargo build --release --locked \
    && cargo clean --release --locked --package concierge-sandbox

# Then the program. The stub's own results were removed above: a source file older than them would not be noticed.
COPY migrations migrations
COPY src src
RUN cargo build --release --locked

# The binary links nothing but glibc and libgcc, which is what "cc" holds, of the same Debian release as the builder.
# There is no shell and no package manager; "nonroot" is user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/concierge-sandbox /usr/local/bin/concierge-sandbox
ENV SANDBOX_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/concierge-sandbox", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/concierge-sandbox"]
