"""The format `jsonl`: a line for each message, as reads of a transcript return it."""

from amplifier.exports.source import Exported, Line, as_json


class JsonLines:
    """Writes each message as it was sent, with its number, author, time and key."""

    def __init__(self, session: Exported) -> None:
        pass

    def begin(self) -> str:
        """Returns nothing."""
        return ""

    def add(self, line: Line) -> str:
        """Returns the line of a message."""
        if line.json is None:
            return ""
        time = line.created_at.isoformat().replace("+00:00", "Z")
        key = "" if line.key is None else f',"key":{as_json(line.key)}'
        author = f'"author_user_id":{as_json(line.author_user_id)},"author_app_id":{as_json(line.author_app_id)}'
        message = line.json.decode().replace("\n", " ").replace("\r", " ")  # between tokens only
        return f'{{"seq":{line.seq},"message":{message},{author},"created_at":"{time}"{key}}}\n'

    def end(self) -> str:
        """Returns nothing."""
        return ""
