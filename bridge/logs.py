"""The sidecar's log: lines for people or JSON for machines, each with the request it belongs to; none for every request."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal

from bridge.calls import current_call

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s%(request)s"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and where they are known request_id, method and error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        call = current_call()
        if call is not None and call.request_id:
            line |= {"request_id": call.request_id, "method": call.method}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people, with the request's id at its end."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        call = current_call()
        record.request = f" [request {call.request_id}]" if call is not None and call.request_id else ""
        return super().format(record)


def set_up(log_format: Format, level: Level) -> None:
    """Send all logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # at WARNING it has a line for every request that is none
    for noisy in ("asyncio", "grpc", "hpack"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
