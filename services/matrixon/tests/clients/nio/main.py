"""matrix-nio against a Matrixon: register, room, invite, join, messages, history, leave.

    python main.py GATEWAY_URL…

Every request of a client goes to the next gateway, as behind a load balancer that is not sticky.
Prints each step; the first answer that is not as it must be ends the run with exit code 1.
"""

import asyncio
import itertools
import sys
import uuid

import nio

PASSWORD = "correct horse battery staple"


class Alternating(nio.AsyncClient):
    """A client whose homeserver is another gateway each time it is asked."""

    def __init__(self, urls: list[str], user: str) -> None:
        self._urls = itertools.cycle(urls)
        super().__init__(urls[0], user)

    @property
    def homeserver(self) -> str:
        return next(self._urls)

    @homeserver.setter
    def homeserver(self, _: str) -> None:
        pass


class Failure(Exception):
    pass


def expect(step: str, response, kind: type):
    """The response, if it is what nio calls success."""
    if not isinstance(response, kind):
        raise Failure(f"{step}: wanted {kind.__name__}, got {response!r}")
    print(f"ok: {step}", flush=True)
    return response


def check(step: str, condition: bool, detail: object = "") -> None:
    if not condition:
        raise Failure(f"{step}: {detail}")
    print(f"ok: {step}", flush=True)


async def sync_until(step: str, client: nio.AsyncClient, found):
    """Syncs until `found` returns something, at most ten times five seconds."""
    for _ in range(10):
        response = await client.sync(timeout=5_000)
        if not isinstance(response, nio.SyncResponse):
            raise Failure(f"{step}: /sync answered {response!r}")
        result = found(response)
        if result:
            print(f"ok: {step}", flush=True)
            return result
    raise Failure(f"{step}: never seen in /sync; the last answer: {response!r}")


def timeline(response: nio.SyncResponse, room_id: str) -> list:
    room = response.rooms.join.get(room_id)
    return room.timeline.events if room else []


def bodies(events: list) -> list[str]:
    return [event.body for event in events if isinstance(event, nio.RoomMessageText)]


async def accounts(alice: Alternating, bob: Alternating, names: list[str]) -> None:
    for client, name in zip((alice, bob), names):
        response = expect(f"register {name}", await client.register(name, PASSWORD), nio.RegisterResponse)
        check("its user id", response.user_id.startswith(f"@{name}:"), response.user_id)
    # a second session of bob, by password, in place of the first
    expect("bob logs out", await bob.logout(), nio.LogoutResponse)
    expect("bob logs in", await bob.login(PASSWORD), nio.LoginResponse)
    whoami = expect("whoami", await bob.whoami(), nio.WhoamiResponse)
    check("whoami is bob", whoami.user_id == bob.user_id, whoami)
    expect("alice's name", await alice.set_displayname("Alice"), nio.ProfileSetDisplayNameResponse)
    profile = expect("alice's profile", await bob.get_profile(alice.user_id), nio.ProfileGetResponse)
    check("bob sees alice's name", profile.displayname == "Alice", profile)


async def enter(alice: Alternating, bob: Alternating) -> str:
    created = await alice.room_create(name="A room", topic="nio", preset=nio.RoomPreset.private_chat)
    room_id = expect("create a room", created, nio.RoomCreateResponse).room_id
    refused = await bob.join(room_id)
    check("bob may not join uninvited", isinstance(refused, nio.JoinError) and refused.status_code == "M_FORBIDDEN", refused)
    expect("invite bob", await alice.room_invite(room_id, bob.user_id), nio.RoomInviteResponse)
    await sync_until("bob sees the invitation", bob, lambda response: room_id in response.rooms.invite)
    expect("bob joins", await bob.join(room_id), nio.JoinResponse)
    await sync_until("bob is in the room", bob, lambda response: room_id in response.rooms.join)
    check("bob knows the room's name", bob.rooms[room_id].name == "A room", bob.rooms[room_id].name)
    members = expect("members", await alice.joined_members(room_id), nio.JoinedMembersResponse)
    found = {member.user_id: member.display_name for member in members.members}
    check("both are members", found.keys() == {alice.user_id, bob.user_id}, found)
    check("with alice's name", found[alice.user_id] == "Alice", found)
    return room_id


async def talk(alice: Alternating, bob: Alternating, room_id: str) -> list[str]:
    await alice.sync(timeout=0, full_state=True)
    said, heard = [], []
    for number in range(10):
        speaker, listener = (alice, bob) if number % 2 == 0 else (bob, alice)
        text = f"message {number}"
        content = {"msgtype": "m.text", "body": text}
        sent = expect(f"send {text}", await speaker.room_send(room_id, "m.room.message", content), nio.RoomSendResponse)
        said.append(text)
        event = await sync_until(
            f"{text} arrives",
            listener,
            lambda response: next((e for e in timeline(response, room_id) if e.event_id == sent.event_id), None),
        )
        check("with its text", event.body == text and event.sender == speaker.user_id, event)
    twice = [await alice.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "once"}, tx_id="same") for _ in "ab"]
    check("one transaction, one event", twice[0].event_id == twice[1].event_id, twice)
    said.append("once")
    await sync_until("it arrives", bob, lambda response: "once" in bodies(timeline(response, room_id)))
    expect("bob types", await bob.room_typing(room_id, True), nio.RoomTypingResponse)
    await sync_until("alice sees it", alice, lambda _: bob.user_id in alice.rooms[room_id].typing_users)
    receipt = await bob.update_receipt_marker(room_id, twice[0].event_id)
    expect("bob reads it", receipt, nio.UpdateReceiptMarkerResponse)
    read = lambda _: bob.user_id in alice.rooms[room_id].threaded_read_receipts
    await sync_until("alice sees that", alice, read)
    return said


async def history(bob: Alternating, room_id: str, said: list[str]) -> None:
    found, token = [], bob.next_batch
    for _ in range(20):
        page = await bob.room_messages(room_id, start=token, direction=nio.MessageDirection.back, limit=4)
        if not isinstance(page, nio.RoomMessagesResponse):
            raise Failure(f"history: {page!r}")
        found += bodies(page.chunk)
        token = page.end
        if not page.end or not page.chunk:
            break
    check("the history is complete, in order", found[::-1] == said, found)


async def part(alice: Alternating, bob: Alternating, room_id: str) -> None:
    gone = (await alice.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "gone"})).event_id
    expect("redact", await alice.room_redact(room_id, gone, reason="test"), nio.RoomRedactResponse)
    redacted = lambda response: any(
        isinstance(event, nio.RedactionEvent) and event.redacts == gone for event in timeline(response, room_id)
    )
    await sync_until("bob sees the redaction", bob, redacted)
    expect("bob leaves", await bob.room_leave(room_id), nio.RoomLeaveResponse)
    await sync_until("bob has left", bob, lambda response: room_id in response.rooms.leave)
    left = lambda _: bob.user_id not in alice.rooms[room_id].users
    await sync_until("alice sees it", alice, left)
    refused = await bob.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "still here"})
    check("bob may not speak any more", isinstance(refused, nio.RoomSendError) and refused.status_code == "M_FORBIDDEN", refused)
    expect("bob forgets the room", await bob.room_forget(room_id), nio.RoomForgetResponse)
    joined = expect("alice's rooms", await alice.joined_rooms(), nio.JoinedRoomsResponse)
    check("alice is still there", joined.rooms == [room_id], joined)
    for client in (alice, bob):
        expect("log out", await client.logout(), nio.LogoutResponse)
    refused = await alice.whoami()
    check("the token is worthless", isinstance(refused, nio.WhoamiError) or refused is None, refused)


async def main(urls: list[str]) -> None:
    run = uuid.uuid4().hex[:8]
    names = [f"nio-alice-{run}", f"nio-bob-{run}"]
    alice, bob = (Alternating(urls, name) for name in names)
    try:
        await accounts(alice, bob, names)
        room_id = await enter(alice, bob)
        said = await talk(alice, bob, room_id)
        await history(bob, room_id, said)
        await part(alice, bob, room_id)
    finally:
        await alice.close()
        await bob.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        asyncio.run(main(sys.argv[1:]))
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
    print("matrix-nio: all as it should be")
