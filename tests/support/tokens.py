"""Tokens as an application that knows JWT_SECRET makes them."""

import time

import jwt

SECRET = "integration-tests-secret-0123456789abcdef"


def token(sub: str | None = "alice", seconds: int = 600, secret: str = SECRET, algorithm: str = "HS256", **claims) -> str:
    body: dict[str, object] = {"exp": int(time.time()) + seconds, **claims}
    if sub is not None:
        body["sub"] = sub
    return jwt.encode({name: value for name, value in body.items() if value is not None}, secret, algorithm=algorithm)
