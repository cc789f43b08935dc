// A worker of understudy in Node.js: `node worker.js HOST:PORT`.
//
// What is said in which order, and what follows from what, is in proto/understudy_proto/v1/workers.proto; the numbers in
// the comments are those of its chapter "A session".

import crypto from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import grpc from "@grpc/grpc-js";
import { WorkerService, insecure, json } from "./understudy.js";

const CANCELLED = "FAILURE_KIND_CANCELLED";
const TIMEOUT = "FAILURE_KIND_TIMEOUT";
const LONGEST_PAUSE_MS = 5_000;
const { INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED, UNAUTHENTICATED, UNIMPLEMENTED } = grpc.status;
const HOPELESS = [INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED, UNAUTHENTICATED, UNIMPLEMENTED];

// Runs `tasks`, an object of functions (args, attempt) => result, until it is told to leave. `attempt` has the `signal` that
// tells a function to end, the `key` to give to outside systems, and `progress(value)`.
export class Worker {
  constructor(address, tasks, { slots = 4, labels = {}, queues = [], graceMs = 30_000 } = {}) {
    this.service = new WorkerService(address, insecure);
    this.tasks = tasks;
    this.graceMs = graceMs;
    this.hello = {
      worker_id: crypto.randomUUID(),
      name: `nodejs (pid ${process.pid})`,
      protocol_min: 1,
      protocol_max: 1,
      tasks: Object.keys(tasks),
      slots,
      labels,
      queues,
      agent: `nodejs/${process.versions.node}`,
    };
    this.held = new Map(); // by token, as text: { token, slots, abort, report }
    this.leaving = false;
    this.stream = null;
  }

  // 6: one stream after the other, until all is said.
  async work() {
    for (let pauseMs = 100; !this.left(); pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const error = await this.carry(() => (pauseMs = 100));
      if (error && HOPELESS.includes(error.code)) throw error;
      if (!this.left()) await sleep(pauseMs);
    }
    this.service.close();
  }

  // 1, 5: one stream, from hello to its end; resolves to its error, if it had one.
  carry(welcomed) {
    return new Promise((resolve) => {
      const stream = this.service.Work();
      let heartbeat;
      stream.on("data", (said) => {
        if (said.welcome) {
          this.stream = stream;
          heartbeat = setInterval(() => this.say({}), Number(said.welcome.heartbeat.seconds) * 1000);
          this.begin(said.welcome);
          welcomed();
        }
        this.take(said);
      });
      let failure;
      stream.on("error", (error) => (failure = error));
      stream.on("close", () => {
        clearInterval(heartbeat);
        this.stream = null;
        resolve(failure);
      });
      stream.write({ hello: { ...this.hello, holds: [...this.held.values()].map(({ token }) => token) } });
    });
  }

  // 3, 4: grant what is free, and say again what was not settled.
  begin(welcome) {
    for (const token of welcome.stale ?? []) this.forget(token);
    const held = [...this.held.values()];
    const running = held.filter(({ report }) => !report).reduce((sum, { slots }) => sum + slots, 0);
    for (const { report } of held) if (report) this.say(report);
    this.say({ credits: this.leaving ? 0 : this.hello.slots - running, leaving: this.leaving });
  }

  take(said) {
    for (const dispatch of said.dispatches ?? []) this.run(dispatch);
    for (const { token } of said.cancels ?? []) this.held.get(text(token))?.abort(CANCELLED, "it was cancelled");
    for (const { token } of said.settled ?? []) this.held.delete(text(token));
    if (this.left()) this.stream?.end();
  }

  // 7, 8: user code is told to end through its signal; how it ends is reported in any case.
  async run(dispatch) {
    const { token, slots } = dispatch;
    const controller = new AbortController();
    let ended;
    const abort = (kind, message) => {
      ended ??= { kind, type: kind === TIMEOUT ? "TaskTimedOut" : "CancelledError", message };
      controller.abort(new Error(message));
    };
    const attempt = { token, slots, abort, report: null };
    this.held.set(text(token), attempt);
    const timers = dispatch.timeout ? [setTimeout(abort, ms(dispatch.timeout), TIMEOUT, "it took too long")] : [];
    const started_at = now();
    const outcome = {};
    try {
      const { args, kwargs } = JSON.parse(dispatch.arguments);
      const result = await this.tasks[dispatch.task]([...args, ...(Object.keys(kwargs).length ? [kwargs] : [])], {
        signal: controller.signal,
        key: dispatch.idempotency_key,
        progress: (value) => this.say({ progress: [{ token, progress: json(value) }] }),
      });
      outcome.result = json(result);
    } catch (error) {
      const kind = "FAILURE_KIND_ERROR";
      const final = dispatch.final_errors?.includes(error.name) ?? false;
      outcome.failure = ended ?? { kind, type: error.name, message: error.message, traceback: error.stack, final };
    }
    timers.forEach(clearTimeout);
    attempt.report ??= { results: [{ token, ...outcome, started_at, ended_at: now() }] };
    if (this.held.get(text(token)) === attempt) this.say({ ...attempt.report, credits: this.leaving ? 0 : slots });
    else this.say({ credits: this.leaving ? 0 : slots });
  }

  // 9: nothing new; what does not end in time is given back.
  async leave() {
    this.leaving = true;
    this.say({ leaving: true });
    if (this.left()) this.stream?.end();
    await sleep(this.graceMs, undefined, { ref: false });
    for (const attempt of this.held.values()) {
      if (attempt.report) continue;
      attempt.report = { given_back: [{ token: attempt.token, reason: "the worker is leaving" }] };
      attempt.abort(CANCELLED, "the worker is leaving");
      this.say(attempt.report);
    }
  }

  left() {
    return this.leaving && this.held.size === 0;
  }

  forget(token) {
    this.held.get(text(token))?.abort(CANCELLED, "it is no longer this worker's");
    this.held.delete(text(token));
  }

  say(request) {
    this.stream?.write(request);
  }
}

const text = (token) => JSON.stringify([token.key, token.execution, token.call, token.attempt, token.dispatch]);
const ms = ({ seconds, nanos }) => Number(seconds) * 1000 + nanos / 1e6;
const now = () => ({ seconds: Math.floor(Date.now() / 1000), nanos: (Date.now() % 1000) * 1e6 });

// --- the tasks of this example

const tasks = {
  async shout([words]) {
    return words.map((word) => `${word.toUpperCase()}!`);
  },
  async refuse([why]) {
    throw new RangeError(why);
  },
  async linger(_, { signal, progress }) {
    progress("lingering");
    await sleep(3_600_000, undefined, { signal });
  },
};

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const worker = new Worker(process.argv[2] ?? "127.0.0.1:7607", tasks, { labels: { nodejs: "" } });
  process.once("SIGTERM", () => worker.leave());
  process.once("SIGINT", () => worker.leave());
  await worker.work();
}
