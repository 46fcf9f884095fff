// tandem/nats: the coordinator over NATS, and participants that listen on NATS subjects. Needs nats.

export { natsCalls } from "./calls.js";
export { type NatsEndpointOptions, natsEndpoint } from "./endpoint.js";
export { type ServeOptions, type Serving, serveRoutes } from "./participants.js";
