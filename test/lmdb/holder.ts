// Opens the store in the folder of the first argument and holds it until it is killed. Prints "open", or the error.
import { FolderError } from "../../src/store/lmdb/folder.js";
import { openLmdb } from "../../src/store/lmdb/lmdb.js";

try {
  openLmdb(process.argv[2]!);
  console.log(JSON.stringify("open"));
  setInterval(() => undefined, 60_000);
} catch (error) {
  if (!(error instanceof FolderError)) throw error;
  console.log(JSON.stringify({ reason: error.reason, pid: error.pid, message: error.message }));
}
