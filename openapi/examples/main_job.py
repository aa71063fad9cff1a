"""The main job with the generated client: a session, its transcript, people, search, live events, and what goes wrong.

AMPLIFIER_URL, AMPLIFIER_KEY and AMPLIFIER_TOKEN say where and as whom.
"""

import json
import os
from collections.abc import Iterator
from typing import TypeVar

import httpx
from amplifier_client import AuthenticatedClient
from amplifier_client.api.configs import create_config
from amplifier_client.api.participants import put_participant
from amplifier_client.api.search import search
from amplifier_client.api.sessions import create_session
from amplifier_client.api.transcripts import append_transcript, get_transcript
from amplifier_client.models import (
    Appended,
    AppendTranscript,
    Config,
    CreateConfig,
    CreateConfigConfigData,
    CreateSession,
    Entry,
    Message,
    Participant,
    Permissions,
    Problem,
    PutParticipant,
    Role,
    SearchResults,
    Session,
    Transcript,
)

Answer = TypeVar("Answer")


def main() -> None:
    url, key, token = (os.environ[f"AMPLIFIER_{name}"] for name in ("URL", "KEY", "TOKEN"))
    with AuthenticatedClient(url, token, headers={"X-API-Key": key}) as client:
        data = CreateConfigConfigData.from_dict({"bundle": {"name": "travel"}})
        config = given(
            Config, create_config.sync(client=client, body=CreateConfig(name="Travel desk", config_data=data))
        )
        wanted = CreateSession(config_id=config.config_id, title="Flight to Geneva")
        session_id = given(Session, create_session.sync(client=client, body=wanted)).session_id

        appended = append(client, session_id, 0, "Is there a direct flight to Geneva?")
        print("appended up to", given(Appended, appended).last_seq)

        noor = PutParticipant(user_id="noor", role=Role.EDITOR, permissions=Permissions(invite=True))
        shared = given(Participant, put_participant.sync(session_id, client=client, body=noor))
        print("shared with", shared.user_id, "as", shared.role)

        page = given(Transcript, get_transcript.sync(session_id, client=client, limit=10))
        print("read", [(entry.seq, entry.message.role, entry.message["content"]) for entry in page.messages])

        found = given(SearchResults, search.sync(client=client, q='"direct flight"', session_id=session_id))
        print("found", [hit.headline for hit in found.items])

        for event, text in events(client.get_httpx_client(), session_id, after=0):
            print("event", event)
            if event == "message.created":
                print("said", Entry.from_dict(json.loads(text)).message["content"])
            if event == "participant.added":
                break

        # somebody else was faster: the answer has what was missed, and where to go on
        stale = append(client, session_id, 0, "Book it.")
        if isinstance(stale, Problem) and stale.status == 412 and isinstance(stale.last_seq, int):
            print("stale", [entry.seq for entry in stale.missed or []])
            print("appended up to", given(Appended, append(client, session_id, stale.last_seq, "Book it.")).last_seq)

        missing = get_transcript.sync("no-such-session", client=client)
        if isinstance(missing, Problem):
            print("missing", missing.status, missing.detail)


def append(client: AuthenticatedClient, session_id: str, expected_seq: int, text: str) -> Appended | Problem | None:
    """Appends what a user says, unless the transcript has moved on."""
    message = Message.from_dict({"role": "user", "content": text})
    body = AppendTranscript(messages=[message], expected_seq=expected_seq)
    return append_transcript.sync(session_id, client=client, body=body)


def given(kind: type[Answer], answer: object) -> Answer:
    """The answer, where it is not a problem."""
    if isinstance(answer, kind):
        return answer
    raise SystemExit(f"{answer.status}: {answer.detail}" if isinstance(answer, Problem) else "no answer")


def events(client: httpx.Client, session_id: str, after: int) -> Iterator[tuple[str, str]]:
    """The type and the data of each event: the generated client leaves out the operations that stream."""
    with client.stream("GET", f"/sessions/{session_id}/events", params={"after": after}, timeout=60) as stream:
        stream.raise_for_status()
        event = ""
        for line in stream.iter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                event = value
            elif field == "data":
                yield event, value


if __name__ == "__main__":
    main()
