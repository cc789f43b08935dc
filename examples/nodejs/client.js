// A client of understudy in Node.js: `node client.js HOST:PORT WORKFLOW [JSON]` starts a run and prints how it ended.

import { promisify } from "node:util";
import { RunService, insecure } from "./understudy.js";

const [address, workflow, input = "[]"] = process.argv.slice(2);
const service = new RunService(address, insecure);
const start = promisify(service.StartRun).bind(service);
const wait = promisify(service.WaitRun).bind(service);

const { run_id } = await start({ workflow, input: { json: Buffer.from(input) } });
const { outcome } = await wait({ run_id });
const { status, result, failure } = outcome;
const error = failure ? `${failure.type}: ${failure.message}` : "";
console.log(JSON.stringify({ run_id, status, result: result?.length ? JSON.parse(result) : null, error }));
service.close();
