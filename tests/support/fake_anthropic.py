"""A scripted stand-in for Anthropic's Messages API, run as a container's program: streams two pieces of text when the
request is what the quick start's curl line should become, else says on its log and in its answer what is wrong."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

PIECES = ["SELECT customer_name FROM mydb.public.orders ", "ORDER BY amount DESC;"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wrong = [what for what, ok in {
            "path": self.path == "/v1/messages",
            "x-api-key": self.headers.get("x-api-key") == "sk-ant-...",
            "anthropic-version": bool(self.headers.get("anthropic-version")),
            "model": body.get("model") == "claude-sonnet-4-20250514",
            "max_tokens": isinstance(body.get("max_tokens"), int),
            "stream": body.get("stream") is True,
            "authorization": "authorization" not in self.headers,
        }.items() if not ok]
        if wrong:
            print(f"wrong: {wrong}", flush=True)
            self.send_error(400, f"wrong: {wrong}")
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.event("message_start", message={"id": "m", "model": body["model"], "role": "assistant", "content": [],
                                             "usage": {"input_tokens": 12, "output_tokens": 1}})
        self.event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in PIECES:
            self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        self.event("content_block_stop", index=0)
        self.event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
        self.event("message_stop")
        self.close_connection = True

    def event(self, kind: str, **data) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())
        self.wfile.flush()


if __name__ == "__main__":
    HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
