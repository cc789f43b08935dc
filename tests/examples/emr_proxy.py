"""EMR for tests: moto's server behind a proxy that is more honest than it.

moto takes steps for clusters that are terminated (and brings those back to life), its steps never get on, and it cannot
cancel them. The proxy refuses as EMR does; a step is PENDING, then RUNNING, then COMPLETED, each time it is looked at;
a cluster is STARTING when it is first looked at. It counts calls, and can keep an answer back, so that a
test may kill whoever waits for it.

    python -m tests.examples.emr_proxy 5000      both, for as long as it runs, at http://localhost:5000
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from moto.server import ThreadedMotoServer

STEP_STATES: Final = ("PENDING", "RUNNING", "COMPLETED")
SHUT: Final = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
PREFIX: Final = "ElasticMapReduce."
PATIENCE_S: Final = 60.0

Reply = tuple[int, dict[str, Any]]


class Held:
    """An answer that is kept back: `reached` when the call has been made, `let_go` to send it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()


class Emr:
    """`done` counts by operation what it has done. `steps` are their names by id; they come to `step_end` ("RUNNING":
    to no end). `most_running` is how many have been seen to run at the same time."""

    def __init__(self, moto: tuple[str, int], port: int = 0) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._looks: Counter[str] = Counter()
        self._ended: dict[str, str] = {}
        self._held: dict[str, Held] = {}
        self.done: Counter[str] = Counter()
        self.step_end = "COMPLETED"
        self.steps: dict[str, str] = {}
        self.most_running = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                proxy.answer(self)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        for held in self._held.values():
            held.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reset(self) -> None:
        """Forget all clusters of that server."""
        connection = HTTPConnection(*self._moto, timeout=PATIENCE_S)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()

    def states(self) -> list[str]:
        """Of the steps, oldest first."""
        with self._lock:
            return [self._step_state(step) for step in self.steps]

    @contextmanager
    def holding(self, operation: str) -> Generator[Held]:
        """Keep back the answer to the next such call, which is carried out."""
        held = self._held[operation] = Held()
        try:
            yield held
        finally:
            held.let_go.set()

    # --- a call

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        operation = handler.headers["X-Amz-Target"].removeprefix(PREFIX)
        headers = {name: handler.headers[name] for name in ("Authorization", "Content-Type", "X-Amz-Date")}
        with self._lock:
            status, reply = self._reply(operation, json.loads(body), headers)
            if status == 200:
                self.done[operation] += 1
            held = self._held.pop(operation, None)
        if held is not None:
            held.reached.set()
            held.let_go.wait(PATIENCE_S)
        sent = json.dumps(reply).encode()
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", "application/x-amz-json-1.1")
            handler.send_header("Content-Length", str(len(sent)))
            handler.end_headers()
            handler.wfile.write(sent)
        except ConnectionError:
            pass  # whoever asked has been killed

    def _reply(self, operation: str, asked: dict[str, Any], headers: dict[str, str]) -> Reply:
        match operation:
            case "AddJobFlowSteps":
                found = self._forward("DescribeCluster", {"ClusterId": asked["JobFlowId"]}, headers)
                if found[0] == 200 and found[1]["Cluster"]["Status"]["State"] in SHUT:
                    return _invalid("A job flow that is shutting down, terminated, or finished may not be modified")
                reply = self._forward(operation, asked, headers)
                for step, given in zip(reply[1].get("StepIds", []), asked["Steps"], strict=False):
                    self.steps[step] = given["Name"]
                return reply
            case "CancelSteps":
                return 200, {"CancelStepsInfoList": [self._cancelled(step) for step in asked["StepIds"]]}
            case "DescribeStep":
                return self._described_step(self._forward(operation, asked, headers))
            case "DescribeCluster":
                return self._described_cluster(self._forward(operation, asked, headers))
            case _:
                return self._forward(operation, asked, headers)

    def _described_step(self, reply: Reply) -> Reply:
        if reply[0] == 200:
            step = reply[1]["Step"]
            self._looks[step["Id"]] += 1
            step["Status"]["State"] = self._step_state(step["Id"])
            states = [self._step_state(each) for each in self.steps]
            self.most_running = max(self.most_running, states.count("RUNNING"))
        return reply

    def _described_cluster(self, reply: Reply) -> Reply:
        if reply[0] == 200:
            cluster = reply[1]["Cluster"]
            self._looks[cluster["Id"]] += 1
            if self._looks[cluster["Id"]] == 1 and cluster["Status"]["State"] not in SHUT:
                cluster["Status"]["State"] = "STARTING"
        return reply

    def _step_state(self, step: str) -> str:
        if step in self._ended:
            return self._ended[step]
        state = STEP_STATES[min(max(self._looks[step], 1), len(STEP_STATES)) - 1]
        if state != "COMPLETED" or self.step_end == "RUNNING":
            return min(state, "RUNNING", key=STEP_STATES.index)
        self._ended[step] = self.step_end
        return self.step_end

    def _cancelled(self, step: str) -> dict[str, str]:
        if step in self._ended:
            return {"StepId": step, "Status": "FAILED", "Reason": "it has ended"}
        self._ended[step] = "CANCELLED"
        return {"StepId": step, "Status": "SUBMITTED"}

    def _forward(self, operation: str, asked: dict[str, Any], headers: dict[str, str]) -> Reply:
        connection = HTTPConnection(*self._moto, timeout=PATIENCE_S)
        try:
            connection.request("POST", "/", json.dumps(asked), headers | {"X-Amz-Target": PREFIX + operation})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()


def _invalid(message: str) -> Reply:
    return 400, {"__type": "ValidationException", "message": message}


def main(port: str = "5000") -> None:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    proxy = Emr(moto.get_host_and_port(), int(port))
    print(f"EMR at {proxy.url}", flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    proxy.close()
    moto.stop()


if __name__ == "__main__":
    main(*sys.argv[1:2])
