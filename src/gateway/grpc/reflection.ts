/**
 * Server reflection, v1 and v1alpha (the same messages), over the committed descriptor: tools ask what there is and get
 * the raw descriptors as the compiler wrote them.
 */
import { ProtobufReader, ProtobufWriter } from "../../wire/protobuf.js";
import type { Methods, StreamMethod } from "./method.js";
import { codes, ok } from "./status.js";

interface File {
  readonly name: string;
  readonly bytes: Buffer;
  readonly dependencies: readonly string[];
  /** Full names of messages, enums, services and methods. */
  readonly symbols: readonly string[];
  readonly services: readonly string[];
}

/** Both versions of the service, for a `FileDescriptorSet`. Only services that `served` names are listed. */
export function reflectionMethods(descriptorSet: Buffer, served: (service: string) => boolean): Methods {
  const files = new Map(filesOf(descriptorSet).map((file) => [file.name, file]));
  const bySymbol = new Map(
    [...files.values()].flatMap((file) => file.symbols.map((symbol) => [symbol, file] as const)),
  );
  const services = [...files.values()].flatMap((file) => file.services).filter(served);
  const method: StreamMethod = {
    kind: "stream",
    name: "reflection",
    open: (replies) => ({
      message: (message) => replies.send(answer(message, files, bySymbol, services)),
      ended: () => replies.end(ok),
    }),
  };
  return new Map(
    ["v1", "v1alpha"].map((version) => [`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, method]),
  );
}

function answer(
  message: Buffer,
  files: ReadonlyMap<string, File>,
  bySymbol: ReadonlyMap<string, File>,
  services: readonly string[],
): Buffer {
  const { host, field, text } = question(message);
  const reply = new ProtobufWriter().text(1, host).bytes(2, message);
  const found = field === 3 ? files.get(text) : field === 4 ? bySymbol.get(text) : undefined;
  if (found !== undefined) {
    const descriptors = new ProtobufWriter();
    for (const file of withDependencies(found, files)) descriptors.bytes(1, file.bytes);
    return reply.bytes(4, descriptors.finish()).finish();
  }
  if (field === 6 && bySymbol.has(text)) return reply.bytes(5, new ProtobufWriter().text(1, text).finish()).finish();
  if (field === 7) {
    const list = new ProtobufWriter();
    for (const service of services) list.bytes(1, new ProtobufWriter().text(1, service).finish());
    return reply.bytes(6, list.finish(), true).finish();
  }
  const error = new ProtobufWriter().uint(1, codes.notFound).text(2, "there is no such file or symbol").finish();
  return reply.bytes(7, error).finish();
}

/** The one question of a request; of several, the last. */
function question(message: Buffer): { readonly host: string; readonly field: number; readonly text: string } {
  const reader = new ProtobufReader(message);
  let [host, field, text] = ["", 0, ""];
  while (reader.next()) {
    if (reader.field === 1) host = reader.text() ?? host;
    else if (reader.field >= 3 && reader.field <= 7) {
      field = reader.field;
      text = reader.field === 5 ? (reader.skip() ?? "") : (reader.text() ?? "");
    } else reader.skip();
  }
  return { host, field, text };
}

/** A file after all that it needs. */
function withDependencies(file: File, files: ReadonlyMap<string, File>, seen = new Set<File>()): Set<File> {
  for (const name of file.dependencies) {
    const needed = files.get(name);
    if (needed !== undefined && !seen.has(needed)) withDependencies(needed, files, seen);
  }
  return seen.add(file);
}

/** Files of a `google.protobuf.FileDescriptorSet`. */
function filesOf(set: Buffer): readonly File[] {
  return members(set, 1).map((bytes) => {
    const text = (field: number) => members(bytes, field).map((value) => value.toString("utf8"));
    const scope = text(2)[0] ?? "";
    const services = members(bytes, 6).map((service) => named(scope, service));
    const methods = members(bytes, 6).flatMap((service) =>
      members(service, 2).map((method) => named(named(scope, service), method)),
    );
    const types = [
      ...members(bytes, 4).flatMap((type) => nested(scope, type)),
      ...members(bytes, 5).map((e) => named(scope, e)),
    ];
    const symbols = [...services, ...methods, ...types];
    return { name: text(1)[0] ?? "", bytes, dependencies: text(3), symbols, services };
  });
}

/** A message type with all types inside it. */
function nested(scope: string, type: Buffer): readonly string[] {
  const name = named(scope, type);
  return [
    name,
    ...members(type, 3).flatMap((inner) => nested(name, inner)),
    ...members(type, 4).map((e) => named(name, e)),
  ];
}

/** The full name of a descriptor, whose own name is always field 1. */
function named(scope: string, descriptor: Buffer): string {
  const name = members(descriptor, 1)[0]?.toString("utf8") ?? "";
  return scope === "" ? name : `${scope}.${name}`;
}

function members(message: Buffer, field: number): readonly Buffer[] {
  const found: Buffer[] = [];
  const reader = new ProtobufReader(message);
  while (reader.next()) {
    const bytes = reader.field === field ? reader.bytes() : reader.skip();
    if (bytes !== undefined) found.push(bytes);
  }
  return found;
}
