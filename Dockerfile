# One file, three images: `operator` (no TensorFlow in it), `trainer` (CPU) and `trainer-gpu`. `npm run images` builds
# them; any builder that knows stages does. BASE: a Debian 12, the public slim image unless another is given.
ARG BASE=docker.io/library/debian:12-slim

# npm and the lists of packages; what is installed here stays here.
FROM ${BASE} AS tools
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm ca-certificates binutils \
 && update-ca-certificates
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY operator/package.json operator/
COPY trainer-image/package.json trainer-image/

# Packages of one workspace, without development's, types and source maps; of Node.js the program alone, without symbols.
FROM tools AS operator-packages
# A file with npm's settings that the build may have mounted; likewise pip's below.
ARG NPM_CONFIG_USERCONFIG
RUN npm ci --no-progress --omit=dev --include-workspace-root --workspace operator && rm -r trainer-image \
 && strip -o node node_modules/node-linux-*/bin/node && rm -rf node_modules/node-linux-* \
 && find node_modules \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.map' \) -delete

FROM tools AS trainer-packages
ARG NPM_CONFIG_USERCONFIG
RUN npm ci --no-progress --omit=dev --include-workspace-root --workspace trainer-image && rm -r operator \
 && strip -o node node_modules/node-linux-*/bin/node && rm -rf node_modules/node-linux-* \
 && find node_modules \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.map' \) -delete

# The binding is compiled against the libraries in PyPI's TensorFlow wheel.
FROM trainer-packages AS compiler
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++ python3 python3-pip
COPY trainer-image/engine trainer-image/engine

FROM compiler AS engine
ARG PIP_CONFIG_FILE
RUN ./node --disable-warning=ExperimentalWarning trainer-image/engine/native/install.ts --prefix /engine

FROM compiler AS engine-gpu
ARG PIP_CONFIG_FILE
RUN ./node --disable-warning=ExperimentalWarning trainer-image/engine/native/install.ts --gpu --prefix /engine

FROM ${BASE} AS operator
COPY --from=operator-packages /app /app
COPY crds /app/crds
COPY operator /app/operator
USER 65532:65532
# One arena for all threads: with one each, what a thread frees is no use to another.
ENV MALLOC_ARENA_MAX=1
ENTRYPOINT ["/app/node", "--disable-warning=ExperimentalWarning", "/app/operator/main.ts"]

FROM ${BASE} AS trainer
COPY --from=trainer-packages /app /app
COPY --from=engine /engine /app/node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8
COPY crds /app/crds
COPY trainer-image /app/trainer-image
USER 1000:1000
# As above.
ENV MALLOC_ARENA_MAX=1
# The signals' handlers come before all else: a container's first process ignores what nobody handles.
ENTRYPOINT ["/app/node", "--disable-warning=ExperimentalWarning", "--import=/app/trainer-image/signals.ts", "/app/trainer-image/main.ts"]

FROM ${BASE} AS trainer-gpu
COPY --from=trainer-packages /app /app
COPY --from=engine-gpu /engine /app/node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8
COPY crds /app/crds
COPY trainer-image /app/trainer-image
USER 1000:1000
# What the container runtime of NVIDIA is to give the container.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["/app/node", "--disable-warning=ExperimentalWarning", "--import=/app/trainer-image/signals.ts", "/app/trainer-image/main.ts"]
