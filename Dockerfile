# Two stages: one builds, the other holds what runs. No install scripts: all binaries come as packages.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY proto ./proto
COPY src ./src
COPY cluster ./cluster
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-bookworm-slim
ENV NODE_ENV=production TANDEM_STORE_URL=lmdb:/var/lib/tandem
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/proto ./proto
COPY --from=build /app/dist ./dist
RUN install -d -o node -g node /var/lib/tandem && chmod +x dist/cluster/main.js \
 && ln -s /app/dist/cluster/main.js /usr/local/bin/tandem
USER node
VOLUME /var/lib/tandem
EXPOSE 36789 36790
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:36789/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Inside a container loopback reaches nobody. There is no authentication yet: publish the ports to trusted networks only.
# Much garbage, little that lives: a larger young generation costs a twentieth less CPU (docs/operating.md).
ENTRYPOINT ["node", "--max-semi-space-size=64", "/app/dist/cluster/main.js"]
CMD ["serve", "--host", "0.0.0.0", "--insecure"]
