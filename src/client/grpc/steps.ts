// References to methods of gRPC services with protobuf messages of their own, from the definitions that a code
// generator or proto-loader made: the service's path, how its messages are written and how its answers are read.

import { invalidInput } from "../errors.js";
import type { SagaStep, TccStep, XaStep } from "../step.js";

/** A method that takes a message of type `In`; what it answers is nobody's concern here. */
interface Takes<In> {
  readonly path: string;
  readonly requestSerialize: (message: In) => Uint8Array;
}

/** A method with the message that it answers. */
interface Method<In, Out> extends Takes<In> {
  readonly responseDeserialize: (bytes: Buffer) => Out;
}

/** A saga's step of two methods that take the same message: `grpcStep("bank:5000", { action, compensate })`. */
export function grpcStep<In>(
  address: string,
  methods: { readonly action: Takes<In>; readonly compensate: Takes<In> },
): SagaStep<In> {
  const { action, compensate } = methods;
  return {
    action: urlOf(address, action),
    compensate: urlOf(address, compensate),
    encode: (input) => action.requestSerialize(input),
  };
}

/** A TCC step of three methods that take the same message; the initiator gets what `try` answers. */
export function grpcTccStep<In, Out>(
  address: string,
  methods: { readonly try: Method<In, Out>; readonly confirm: Takes<In>; readonly cancel: Takes<In> },
): TccStep<In, Out> {
  return {
    try: urlOf(address, methods.try),
    confirm: urlOf(address, methods.confirm),
    cancel: urlOf(address, methods.cancel),
    ...codec(methods.try),
  };
}

/** One method: a message's target, an XA branch, a call of a workflow's step. */
export function grpcMethod<In, Out>(address: string, method: Method<In, Out>): XaStep<In, Out> {
  return { url: urlOf(address, method), ...codec(method) };
}

function codec<In, Out>(method: Method<In, Out>) {
  return {
    encode: (input: In): Uint8Array => method.requestSerialize(input),
    decode: (answer: Uint8Array): Out => method.responseDeserialize(Buffer.from(answer)),
  };
}

/** `host:port` means no TLS; `grpcs://host:port` does. */
function urlOf(address: string, { path }: { readonly path: string }): string {
  const [, scheme = "grpc", host] = /^(?:(grpcs?):\/\/)?([^\s/]+:\d{1,5})$/.exec(address) ?? [];
  if (host !== undefined && path.startsWith("/")) return `${scheme}://${host}${path}`;
  throw invalidInput(`not the address of a gRPC service: ${JSON.stringify(address)}`, {
    hint: 'write "host:port" or "grpcs://host:port", and give methods of a service definition',
  });
}
