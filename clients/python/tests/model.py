"""A stub of the models' APIs, on 127.0.0.1: it repeats the last thing that a person said."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Stub(ThreadingHTTPServer):
    """The server; `requests` are the bodies of all requests for an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which the SDKs of OpenAI, Anthropic and Google find the stub."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "sk-stub",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-ant-stub",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "GOOGLE_GEMINI_BASE_URL": self.url,
            "GOOGLE_API_KEY": "stub",
        }


@contextlib.contextmanager
def running() -> Iterator[Stub]:
    """Serves in a thread until the end of the block."""
    stub = Stub()
    thread = threading.Thread(target=stub.serve_forever, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.shutdown()
        stub.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        if path.endswith("/count_tokens"):
            return self._answer(json.dumps({"input_tokens": 10}))
        self.server.requests.append(body)
        if path.endswith(":generateContent"):
            return self._answer(json.dumps(_content(body)))
        if path.endswith(":streamGenerateContent"):
            return self._answer(f"data: {json.dumps(_content(body))}\n\n", "text/event-stream")
        events = list(_responses(body) if path.endswith("/responses") else _messages(body))
        if body.get("stream"):
            text = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
            return self._answer(text, "text/event-stream")
        whole = events[-1]["response"] if path.endswith("/responses") else _message(body)
        return self._answer(json.dumps(whole))

    def _answer(self, text: str, content_type: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


def _said(messages: list[dict[str, Any]]) -> str:
    """Returns an echo of the last text of a user that is no reminder of the program."""
    texts: list[str] = []
    for message in messages:
        if message.get("role") == "user":
            content = message["content"]
            blocks = [{"text": content}] if isinstance(content, str) else content
            texts += [block["text"] for block in blocks if not block.get("text", "<").startswith("<")]
    return f"You said: {texts[-1]}" if texts else "Hello"


def _responses(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    text = {"type": "output_text", "text": _said(said), "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": body["model"],
        "output": [item],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage | details,
    }
    yield {"type": "response.created", "sequence_number": 0, "response": response | {"output": []}}
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    yield {"type": "response.output_text.delta", "sequence_number": 1, "delta": text["text"], "logprobs": [], **where}
    yield {"type": "response.output_item.done", "sequence_number": 2, "output_index": 0, "item": item}
    yield {"type": "response.completed", "sequence_number": 3, "response": response}


def _message(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": _said(body["messages"])}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _messages(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message = _message(body)
    [block] = message["content"]
    yield {"type": "message_start", "message": message | {"content": [], "stop_reason": None}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": block["text"]}}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 1},
    }
    yield {"type": "message_stop"}


def _content(body: dict[str, Any]) -> dict[str, Any]:
    said = [{"role": content["role"], "content": content["parts"]} for content in body["contents"]]
    content = {"role": "model", "parts": [{"text": _said(said)}]}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage}
