// tandem/grpc: the coordinator over gRPC, and participants that are gRPC services. Needs @grpc/grpc-js.

export { type GrpcCallsOptions, grpcCalls } from "./calls.js";
export { type GrpcEndpointOptions, grpcEndpoint } from "./endpoint.js";
export { addRoutes, deliveryOf, participantMethod } from "./participants.js";
export { grpcMethod, grpcStep, grpcTccStep } from "./steps.js";
