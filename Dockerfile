# No "# syntax" line: it would make the builder pull a front end, and nothing here needs a newer one than the engine's.
ARG RUST_VERSION=1.95
ARG DEBIAN_VERSION=12
ARG DEBIAN_RELEASE=bookworm

FROM docker.io/library/rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
WORKDIR /src
ARG GIT_REVISION=unknown
ENV GIT_REVISION=${GIT_REVISION}
COPY . .
# Cache mounts keep the registry and the target folder between builds; the binary is copied out of the mount.
# touch: COPY keeps file times, and cargo takes a source that is older than the last build for built already. After a
# build from a newer checkout it would put that one's code into this image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    find crates deploy migrations -type f -exec touch {} + \
    && cargo build --locked --profile dist --bin spark-replicator \
    && install -D -m 0755 target/dist/spark-replicator /out/usr/bin/spark-replicator

# No RUN below: the image has no shell, and the stage needs no network.
FROM gcr.io/distroless/cc-debian${DEBIAN_VERSION}:nonroot
ARG VERSION=0.1.0
ARG GIT_REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=""
LABEL org.opencontainers.image.title="spark-replicator" \
      org.opencontainers.image.description="Keeps a Postgres database equal to MLS feeds on the Spark platform" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${GIT_REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
# The default, loopback, could not be published. Mount your configuration as /etc/spark-replicator/replicator.toml.
ENV SPARK_REPLICATOR__SERVER__LISTEN=0.0.0.0:9464
# A number, so that Kubernetes' runAsNonRoot can check it.
USER 65532:65532
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/bin/spark-replicator", "healthcheck"]
ENTRYPOINT ["/usr/bin/spark-replicator"]
CMD ["run"]
