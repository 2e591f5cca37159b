# Builds the images of the three programs. The targets are operator, sidecar and master:
#   docker build --target sidecar --tag snmp-operator/sidecar .
FROM rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
# Static and stripped programs.
RUN make release

FROM gcr.io/distroless/static:nonroot AS base
USER 65532:65532

FROM base AS operator
COPY --from=build /source/target/release-static/snmp-operator /snmp-operator
ENTRYPOINT ["/snmp-operator"]

FROM base AS sidecar
COPY --from=build /source/target/release-static/snmp-sidecar /snmp-sidecar
ENTRYPOINT ["/snmp-sidecar"]

FROM base AS master
COPY --from=build /source/target/release-static/snmp-master /snmp-master
ENTRYPOINT ["/snmp-master"]
