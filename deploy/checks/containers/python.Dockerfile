# Debian with its Python where the public image of Python has it, and with what else that has: what `connector` stands on.
ARG BASE
FROM ${BASE}
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates netbase python3 tzdata && \
    rm -rf /var/lib/apt/lists/* && \
    ln -s /usr/bin/python3 /usr/local/bin/python3
