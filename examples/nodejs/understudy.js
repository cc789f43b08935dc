// The services of understudy.v1, as their .proto files describe them.

import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const protos = process.env.UNDERSTUDY_PROTO ?? fileURLToPath(new URL("../../proto", import.meta.url));
const files = ["runs", "workers"].map((name) => `understudy_proto/v1/${name}.proto`);
// Numbers of 64 bits stay texts: they are handed back as they came. Enums are named.
const definition = loader.loadSync(files, { includeDirs: [protos], keepCase: true, longs: String, enums: String });

export const { RunService, WorkerService } = grpc.loadPackageDefinition(definition).understudy.v1;
export const insecure = grpc.credentials.createInsecure();
export const json = (value) => Buffer.from(JSON.stringify(value ?? null));
