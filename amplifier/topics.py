"""A session that is followed in this process."""

from amplifier.frames import Frame
from amplifier.subscribers import Subscriber


class Topic:
    """Its followers, the number up to which it was read for all of them, and who was there last."""

    def __init__(self, session_id: str, cursor: int) -> None:
        self.session_id, self.cursor = session_id, cursor
        self.subscribers: set[Subscriber] = set()
        self.presence: Frame | None = None

    def offer(self, frames: list[Frame], cursor: int, permitted: set[str]) -> None:
        """Moves on to `cursor`. Whoever came while it was read reads for themselves."""
        for subscriber in self.subscribers:
            if subscriber.user_id in permitted:
                subscriber.offer(frames, self.cursor, cursor)
            else:
                subscriber.fall_behind()
        self.cursor = cursor

    def show(self, presence: Frame) -> None:
        """Who is there now, when that is something new."""
        if self.presence is None or self.presence.data != presence.data:
            self.presence = presence
            for subscriber in self.subscribers:
                subscriber.show(presence)
