"""A scripted provider of language models, run as a container's program: Anthropic's Messages API at /v1/messages, OpenAI's
chat completions and embeddings at /v1/chat/completions and /v1/embeddings. What it does wrong is written in the model's
name, behind a dot: "claude-test.drop", "gpt-test.once-429.7". Each request leaves a line of JSON on standard output, and so
does each connection that the other side has closed before its time."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECES = ["SELECT customer_name FROM mydb.public.orders ", "ORDER BY amount DESC;"]
# Characters of two, three and four bytes, and what JSON writes with a backslash.
HARD_PIECES = ["größe \u20ac ", "\U0001f986\n\"quoted\" \\ ", "fin"]
USAGE = (12, 9)

seen: Counter[str] = Counter()
lock = threading.Lock()


def say(**what) -> None:
    print(json.dumps(what), flush=True)


def anthropic_events(model: str, pieces: list[str]) -> list[bytes]:
    def event(kind: str, **data) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data}, ensure_ascii=False)}\n\n".encode()

    return [event("message_start", message={"id": "m", "model": model, "role": "assistant", "content": [],
                                            "usage": {"input_tokens": USAGE[0], "output_tokens": 1}}),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces),
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": USAGE[1]}),
            event("message_stop")]


def openai_events(model: str, pieces: list[str]) -> list[bytes]:
    def event(data) -> bytes:
        return f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\r\n\r\n".encode()

    def chunk(delta: dict, reason: str | None = None) -> bytes:
        return event({"id": "c", "object": "chat.completion.chunk", "model": model,
                      "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    return [chunk({"role": "assistant", "content": ""}), b": keep-alive\r\n\r\n", *(chunk({"content": piece}) for piece in pieces),
            chunk({}, "stop"), event({"model": model, "choices": [], "usage": {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1]}}),
            event("[DONE]")]


def anthropic_whole(model: str, text: str) -> dict:
    return {"model": model, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}}


def openai_whole(model: str, text: str) -> dict:
    return {"model": model, "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1]}}


def system_of(body: dict) -> str:
    """What the model was told before the conversation."""
    return body.get("system") or "".join(m["content"] for m in body["messages"] if m["role"] == "system")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        pass

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = body.get("model", "")
        with lock:
            seen[model] += 1
            number = seen[model]
        say(path=self.path, model=model, number=number, inputs=len(body["input"]) if isinstance(body.get("input"), list) else None)
        wrong = self.what_is_wrong(body)
        if wrong:
            say(wrong=wrong)
            self.answer(400, {"error": {"message": f"wrong: {wrong}"}})
        elif self.path == "/v1/embeddings":
            self.embed(body)
        else:
            script = model.split(".")[1] if "." in model else "good"
            getattr(self, f"do_{script.split('-')[0]}")(body, number, script.partition("-")[2])
        self.close_connection = True

    def what_is_wrong(self, body: dict) -> list[str]:
        claude = self.path == "/v1/messages"
        checks = {
            "path": self.path in ("/v1/messages", "/v1/chat/completions", "/v1/embeddings"),
            "key": self.headers.get("x-api-key" if claude else "authorization", "").startswith("sk-" if claude else "Bearer sk-"),
            "anthropic-version": not claude or bool(self.headers.get("anthropic-version")),
            "max_tokens": not claude or isinstance(body.get("max_tokens"), int),
            "the user's token": not claude or "authorization" not in self.headers,
        }
        if body.get("model") == "claude-sonnet-4-20250514":  # the quick start's own request
            checks["the quick start's key"] = self.headers.get("x-api-key") == "sk-ant-..."
            checks["stream"] = body.get("stream") is True
        return [what for what, ok in checks.items() if not ok]

    # -- scripts

    def do_good(self, body: dict, _number: int, _more: str) -> None:
        if body["stream"]:
            self.begin_stream()
            for event in self.events(body, PIECES):
                self.chunk(event)
            self.end_stream()
        else:
            self.answer(200, self.whole(body, "".join(PIECES)))

    def do_bytes(self, body: dict, _number: int, _more: str) -> None:
        """Each byte in a chunk of its own: cuts inside characters, lines and escapes."""
        self.begin_stream()
        for byte in b"".join(self.events(body, HARD_PIECES)):
            self.chunk(bytes([byte]))
        self.end_stream()

    def do_echo(self, body: dict, _number: int, _more: str) -> None:
        """What came before the conversation."""
        self.answer(200, self.whole(body, system_of(body)))

    def do_stall(self, body: dict, _number: int, _more: str) -> None:
        """The first words, then silence."""
        self.begin_stream()
        for event in self.events(body, PIECES)[:3]:
            self.chunk(event)
        self.await_closed(body)

    def do_silent(self, body: dict, _number: int, _more: str) -> None:
        self.await_closed(body)

    def do_drop(self, body: dict, number: int, more: str) -> None:
        """drop: in the middle of an event. drop-end: before the word that ends it. drop-once: before the answer, the first time."""
        if more == "once":
            if number > 1:
                self.do_good(body, number, "")
            return
        self.begin_stream()
        events = self.events(body, PIECES)
        whole = b"".join(events[:3])
        self.chunk(whole if more == "end" else whole + events[3][: len(events[3]) // 2])

    def do_status(self, _body: dict, _number: int, more: str) -> None:
        self.answer(int(more), {"error": {"type": "some_error", "message": f"status {more} as it was asked for"}})

    def do_once(self, body: dict, number: int, more: str) -> None:
        if number > 1:
            return self.do_good(body, number, "")
        self.answer(int(more), {"error": {"message": "not now"}}, {"retry-after": "1"})

    def do_later(self, _body: dict, _number: int, more: str) -> None:
        self.answer(429, {"error": {"message": "not now"}}, {"retry-after": more})

    def do_garbage(self, _body: dict, _number: int, more: str) -> None:
        if more == "http":
            self.connection.sendall(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n")
        elif more == "page":
            self.connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 18\r\n\r\n<html>Hello</html>")
        else:  # in the middle of a stream
            self.begin_stream()
            self.chunk({"event": b"data: {\"type\":\n\n", "utf8": b"data: {\"type\":\"\xff\xfe\"}\n\n",
                        "list": b"data: []\n\n", "chunk": b""}[more])
            if more == "chunk":
                self.connection.sendall(b"zz\r\nnot a size\r\n")

    def do_error(self, body: dict, _number: int, _more: str) -> None:
        """An error of the provider's in the middle of its answer."""
        self.begin_stream()
        self.chunk(b"".join(self.events(body, PIECES)[:3]))
        self.chunk(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy inside"}}\n\n')

    def embed(self, body: dict) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"index": i, "embedding": [float(len(text)), 0.5]} for i, text in enumerate(texts)]
        # The order is the index's, not the list's.
        self.answer(200, {"model": body["model"], "data": data[::-1], "usage": {"prompt_tokens": len(texts)}})

    # -- how it is sent

    def events(self, body: dict, pieces: list[str]) -> list[bytes]:
        return (anthropic_events if self.path == "/v1/messages" else openai_events)(body["model"], pieces)

    def whole(self, body: dict, text: str) -> dict:
        return (anthropic_whole if self.path == "/v1/messages" else openai_whole)(body["model"], text)

    def answer(self, status: int, body: dict, headers: dict | None = None) -> None:
        data = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Said", "content-type: application/json", f"content-length: {len(data)}",
                 *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def begin_stream(self) -> None:
        self.connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        if data:
            self.connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end_stream(self) -> None:
        self.connection.sendall(b"0\r\n\r\n")

    def await_closed(self, body: dict) -> None:
        self.connection.settimeout(300)
        began = time.monotonic()
        while self.connection.recv(4096):
            pass
        say(closed=body["model"], after=time.monotonic() - began)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
