# What the reference's local image installs, as its docker/local.dockerfile has it, but for its programs and the tables of
# tiktoken: what `local` is measured against on the same base.
ARG BASE
FROM ${BASE}
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y curl python3 python3-venv python3-dev python3-pip ffmpeg build-essential git \
        cmake pkg-config libcairo2-dev libjpeg-dev libgif-dev tini && \
    apt-get clean && rm -rf /var/lib/apt/lists/*
RUN python3 -m pip install --break-system-packages uv && \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt uv pip install --system --break-system-packages dify_plugin
