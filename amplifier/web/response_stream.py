"""The stream of OpenAI's Responses API: a run as `response.*` events. run_stream.py follows the run."""

from typing import Any

import msgspec

from amplifier.live.frames import Frame, escaped
from amplifier.transcripts.response_items import items_of
from amplifier.web.response_view import OutputItem, begun, failure, of_run, said
from amplifier.web.run_stream import RunStream

_DELTA = "llm:stream_block_delta"
_ENDS = {"completed": "response.completed", "incomplete": "response.incomplete"}


class ResponseStream(RunStream):
    """The events of a run that OpenAI's clients know: what the agent says, in parts where its model sends parts.

    Calls of tools are left out: the agent executes them, and a client would execute them again.
    """

    config_id = ""

    def _connected(self, scope: Any) -> bytes:
        self._number = 0
        self._output: list[OutputItem] = []
        self._open = False  # whether the last item of the output still grows
        self._response = begun(self._session_id, self._run_id, self.config_id)
        return self._with_response("response.created") + self._with_response("response.in_progress")

    def _event(self, frame: Frame) -> bytes:
        if frame.type == _DELTA:
            data = msgspec.json.decode(frame.data)
            if data.get("block_type", "text") == "text" and data.get("text"):
                return self._opened() + self._grown(data["text"])
        elif frame.type == "message.created":
            entry = msgspec.json.decode(frame.data)
            items = items_of(entry["seq"], entry["message"])
            texts = [_text_of(item) for item in items if item["type"] == "message" and item["role"] == "assistant"]
            return b"".join([self._closed(text) for text in texts if text])
        return b""

    def _ended(self, row: Any) -> bytes:
        rest = self._closed("".join(part["text"] for part in self._output[-1].content)) if self._open else b""
        if row["response"] and not self._output:
            rest += self._closed(row["response"])
        self._response = of_run(row, self._output)
        return rest + self._with_response(_ENDS.get(self._response.status, "response.failed"))

    def _failed(self, detail: str, more: dict[str, Any] | None = None) -> bytes:
        self._response.status, self._response.error = "failed", failure(detail)
        self._response.output = self._output
        return self._with_response("response.failed")

    def _opened(self) -> bytes:
        """Returns the events that begin an item, if none has begun."""
        if self._open:
            return b""
        self._open = True
        item = said(f"msg_{self._run_id}_{len(self._output)}", "")
        self._output.append(item)
        part, item.content = item.content[0], []
        item.status = "in_progress"
        added = self._of_item("response.output_item.added", item=item)
        item.content = [part]
        return added + self._of_part("response.content_part.added", part=part)

    def _grown(self, text: str) -> bytes:
        self._output[-1].content[0]["text"] += text
        return self._of_part("response.output_text.delta", delta=text, logprobs=[])

    def _closed(self, text: str) -> bytes:
        """Returns the events that complete an item with its whole text, of which parts may have been sent."""
        events = self._opened()
        item = self._output[-1]
        part = item.content[0]
        if not part["text"]:
            events += self._grown(text)
        part["text"], item.status, self._open = text, "completed", False
        events += self._of_part("response.output_text.done", text=text, logprobs=[])
        events += self._of_part("response.content_part.done", part=part)
        return events + self._of_item("response.output_item.done", item=item)

    def _of_item(self, kind: str, **members: Any) -> bytes:
        return self._sent(kind, output_index=len(self._output) - 1, **members)

    def _of_part(self, kind: str, **members: Any) -> bytes:
        return self._of_item(kind, item_id=self._output[-1].id, content_index=0, **members)

    def _with_response(self, kind: str) -> bytes:
        return self._sent(kind, response=self._response)

    def _sent(self, kind: str, **members: Any) -> bytes:
        """Returns an event with its number."""
        data = msgspec.json.encode({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), escaped(data))


def _text_of(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"] if part["type"] == "output_text")
