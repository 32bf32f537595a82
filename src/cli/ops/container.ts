/**
 * What an image of the executable is made by.
 *
 * @module
 */

/** The C library and its loader, certificates, and nothing else: no shell. */
const BASE = "gcr.io/distroless/cc-debian12:nonroot";

/** The Containerfile, for Docker and Podman. */
export function containerfile(version: string): string {
  return `# As \`montana ops dump container\` prints it. Beside the executable for Linux:
#   montana ops dump container > Containerfile
#   docker build -f Containerfile -t montana:${version} .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp \\
#     -v montana:/home/nonroot -v /etc/montana/batcher.key:/run/secrets/key:ro \\
#     montana:${version} batcher --data-dir batcher --key-file /run/secrets/key --l2 …
# The key has to belong to user 65532, mode 0400. Give it more time to end than --shutdown-timeout:
#   docker run --stop-timeout 90 …
FROM ${BASE}

LABEL org.opencontainers.image.title="montana"
LABEL org.opencontainers.image.description="L2 blocks in, blobs out, blocks back."
LABEL org.opencontainers.image.version="${version}"
LABEL org.opencontainers.image.licenses="MIT"

COPY --chmod=0555 montana /usr/local/bin/montana

# Its own in the base image, so a new volume is, too. All that is kept is below it.
WORKDIR /home/nonroot
VOLUME ["/home/nonroot"]

USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/montana"]
CMD ["--help"]
`;
}
