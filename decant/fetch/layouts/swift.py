"""ms-swift's layouts for rerankers and embeddings: chat messages, or query, response and rejected_response.

https://swift.readthedocs.io/en/latest/BestPractices/Reranker.html
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts import values
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.given import Given

JOINS = False
COLUMNS = Columns(
    {
        "messages": (),
        "positive_messages": (),
        "negative_messages": (),
        "query": ("question",),
        "response": ("positive",),
        "rejected_response": ("negative",),
        "system": ("prompt",),
        "query_id": (*QUERY_ID, "_id", "id"),
    },
    query=("messages", "query"),
    candidates=("positive_messages", "response"),
    negatives=("negative_messages", "rejected_response"),
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`; `messages` alone are a chat, not a query."""
    if "messages" in seen:
        return bool({"positive_messages", "negative_messages", "rejected_response"} & seen.keys())
    return "rejected_response" in seen and COLUMNS.find("query", seen) is not None


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`. A system message is the query's prompt."""
    prompt = values.text(record, "system")
    if isinstance(prompt, Unreadable):
        return prompt
    positive = _candidates(record, "positive_messages", "response")
    negative = _candidates(record, "negative_messages", "rejected_response")
    given = Given(record.get("query"), positive, negative, prompt=prompt)
    given.query_id = values.identifier(record.get("query_id"))
    messages = record.get("messages")
    return given if messages is None else _with_messages(given, messages)


def _with_messages(given: Given, messages: Any) -> Given | Unreadable:
    """Take the query from a chat, and its answer as the positive where there is none."""
    if not isinstance(messages, list) or _last(messages, "user") is None:
        fault = f"`messages` is {values.short(messages)}, without a message of the user"
        return Unreadable(fault, 'write `messages` as a list such as [{"role": "user", "content": "…"}]')
    given.query = _last(messages, "user")
    system = _last(messages, "system")
    given.prompt = system if isinstance(system, str) else given.prompt
    if given.positive is None and _is_by(messages[-1], "assistant"):
        given.positive = _last(messages, "assistant")
    return given


def _candidates(record: Mapping[str, Any], messages: str, response: str) -> Any:
    chats = record.get(messages)
    if chats is None:
        return record.get(response)
    return [_candidate(chat) for chat in chats] if isinstance(chats, list) else chats


def _candidate(chat: Any) -> Any:
    """The content of a chat's last answer, or of its last message where nobody answers; else what is there."""
    messages = [chat] if isinstance(chat, dict) else chat
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return chat
    answer = _last(messages, "assistant")
    return messages[-1].get("content", chat) if answer is None else answer


def _last(messages: list[Any], role: str) -> Any:
    """The content of the role's last message; None where there is none."""
    contents = (message.get("content") for message in reversed(messages) if _is_by(message, role))
    return next(contents, None)


def _is_by(message: Any, role: str) -> bool:
    return isinstance(message, dict) and message.get("role") == role
