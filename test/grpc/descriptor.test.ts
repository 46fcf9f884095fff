/**
 * `proto/` is a contract: the committed descriptor is what the files compile to, they are linted, and a change that
 * would break a client is found by comparison with it.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import protobuf from "protobufjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const buf = (...args: readonly string[]) => promisify(execFile)("node_modules/.bin/buf", args);
const committed = "proto/dtm.binpb";

describe("the proto files", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tandem-proto-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("compile to the committed descriptor", async () => {
    const built = join(folder, "built.binpb");
    await buf("build", "proto", "--exclude-source-info", "--as-file-descriptor-set", "-o", built);
    expect((await readFile(built)).equals(await readFile(committed))).toBe(true);
  });

  it("pass the linter", async () => {
    expect((await buf("lint", "proto")).stdout).toBe("");
  });

  const breaks: readonly (readonly [string, string, string])[] = [
    ["another number of a field", "string Gid = 1;", "string Gid = 10;"],
    ["another type of a field", "repeated bytes BinPayloads = 5;", "repeated string BinPayloads = 5;"],
    ["another name of a field", "string QueryPrepared = 6;", "string CheckBack = 6;"],
    ["a method that is gone", "  rpc NewGid(google.protobuf.Empty) returns (DtmGidReply);\n", ""],
    ["a number that is free again", "  reserved 4;\n", ""],
  ];
  for (const [name, from, to] of breaks)
    it(`cannot be changed unseen: ${name}`, async () => {
      const changed = join(folder, "changed");
      await cp("proto", changed, { recursive: true });
      const file = join(changed, "dtm.proto");
      const text = await readFile(file, "utf8");
      expect(text).toContain(from);
      await writeFile(file, text.replace(from, to));
      await expect(buf("breaking", changed, "--against", committed)).rejects.toThrow();
    });

  it("have the names, numbers and types that DTM's clients were compiled with (S-GRPC-1, section 5.1)", async () => {
    const { root } = protobuf.parse(await readFile("proto/dtm.proto", "utf8"), { keepCase: true });
    const fieldsOf = (name: string) =>
      root
        .lookupType(`dtmgimp.${name}`)
        .fieldsArray.map(
          (field) => `${field.id} ${field.map ? "map " : field.repeated ? "repeated " : ""}${field.type} ${field.name}`,
        );
    expect(fieldsOf("DtmTransOptions")).toEqual([
      ...["1 bool WaitResult", "2 int64 TimeoutToFail", "3 int64 RetryInterval", "5 map string BranchHeaders"],
      ...["6 int64 RequestTimeout", "7 int64 RetryLimit"],
    ]);
    expect(fieldsOf("DtmRequest")).toEqual([
      ...["1 string Gid", "2 string TransType", "3 DtmTransOptions TransOptions", "4 string CustomedData"],
      ...["5 repeated bytes BinPayloads", "6 string QueryPrepared", "7 string Steps", "8 map string ReqExtra"],
      "9 string RollbackReason",
    ]);
    expect(fieldsOf("DtmGidReply")).toEqual(["1 string Gid"]);
    expect(fieldsOf("DtmBranchRequest")).toEqual([
      ...["1 string Gid", "2 string TransType", "3 string BranchID", "4 string Op", "5 map string Data"],
      "6 bytes BusiPayload",
    ]);
    expect(fieldsOf("DtmProgressesReply")).toEqual([
      "1 DtmTransaction Transaction",
      "2 repeated DtmProgress Progresses",
    ]);
    expect(fieldsOf("DtmTransaction")).toEqual([
      ...["1 string Gid", "2 string Status", "3 string RollbackReason", "4 string Result"],
    ]);
    expect(fieldsOf("DtmProgress")).toEqual(["1 string Status", "2 bytes BinData", "3 string BranchID", "4 string Op"]);
    expect(fieldsOf("DtmTopicRequest")).toEqual(["1 string Topic", "2 string URL", "3 string Remark"]);
    const methods = root.lookupService("dtmgimp.Dtm").methodsArray;
    // What DTM's service lacks and its clients never call.
    const ours = ["Query DtmQueryRequest DtmProgressesReply"];
    const signatures = methods.map(({ name, requestType, responseType }) => `${name} ${requestType} ${responseType}`);
    expect(signatures.filter((signature) => !ours.includes(signature))).toEqual([
      ...["NewGid google.protobuf.Empty DtmGidReply"],
      ...["Submit", "Prepare", "Abort"].map((name) => `${name} DtmRequest google.protobuf.Empty`),
      "RegisterBranch DtmBranchRequest google.protobuf.Empty",
      "PrepareWorkflow DtmRequest DtmProgressesReply",
      ...["Subscribe", "Unsubscribe", "DeleteTopic"].map((name) => `${name} DtmTopicRequest google.protobuf.Empty`),
    ]);
  });
});
