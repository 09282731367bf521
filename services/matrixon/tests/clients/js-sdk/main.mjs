// matrix-js-sdk against a Matrixon: register, room, invite, join, messages, history, leave.
//
//     node main.mjs GATEWAY_URL…
//
// Every request goes to the next gateway, as behind a load balancer that is not sticky.
// Prints each step; the first thing that is not as it must be ends the run with exit code 1.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import * as sdk from "matrix-js-sdk";

import { alternatingFetch, logger, refused, step, until, urls } from "./support.mjs";

const PASSWORD = "correct horse battery staple";

/** A new account, and a client of it that syncs. */
async function join(name) {
    const nobody = sdk.createClient({ baseUrl: urls[0], fetchFn: alternatingFetch, logger });
    const account = await step(`register ${name}`, async () => {
        let session;
        try {
            await nobody.registerRequest({ username: name, password: PASSWORD });
            assert.fail("registration asked for no authentication");
        } catch (error) {
            assert.equal(error.httpStatus, 401, error.message);
            session = error.data.session;
            assert.ok(
                error.data.flows.some((flow) => flow.stages.every((stage) => stage === "m.login.dummy")),
                JSON.stringify(error.data),
            );
        }
        const auth = { type: "m.login.dummy", session };
        return nobody.registerRequest({ username: name, password: PASSWORD, auth, inhibit_login: true });
    });
    const flows = await step("login flows", () => nobody.loginFlows());
    assert.ok(flows.flows.some((flow) => flow.type === "m.login.password"));
    const session = await step("log in", () =>
        nobody.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: name },
            password: PASSWORD,
        }),
    );
    assert.equal(session.user_id, account.user_id);
    const client = sdk.createClient({
        baseUrl: urls[0],
        fetchFn: alternatingFetch,
        logger,
        accessToken: session.access_token,
        userId: session.user_id,
        deviceId: session.device_id,
    });
    assert.equal((await step("whoami", () => client.whoami())).user_id, session.user_id);
    await step("first sync", async () => {
        await client.startClient({ initialSyncLimit: 20, pollTimeout: 5_000 });
        await until(client, [sdk.ClientEvent.Sync], () => client.isInitialSyncComplete());
    });
    return client;
}

const texts = (room) =>
    room
        .getLiveTimeline()
        .getEvents()
        .filter((event) => event.getType() === "m.room.message" && !event.isRedacted())
        .map((event) => event.getContent().body);

async function enter(alice, bob) {
    const { room_id: roomId } = await step("create a room", () =>
        alice.createRoom({ name: "A room", topic: "js", preset: "private_chat" }),
    );
    await step("bob may not join uninvited", () => refused(bob.joinRoom(roomId), "M_FORBIDDEN"));
    await step("invite bob", () => alice.invite(roomId, bob.getUserId()));
    const changes = [sdk.ClientEvent.Room, sdk.RoomEvent.MyMembership, sdk.RoomStateEvent.Members, sdk.RoomEvent.Name];
    await step("bob sees the invitation", () =>
        until(bob, changes, () => bob.getRoom(roomId)?.getMyMembership() === "invite"),
    );
    await step("bob joins", () => bob.joinRoom(roomId));
    await step("bob is in the room", () =>
        until(bob, changes, () => bob.getRoom(roomId)?.getMyMembership() === "join"),
    );
    await step("bob knows the room's name", () => until(bob, changes, () => bob.getRoom(roomId).name === "A room"));
    await step("alice sees bob", () =>
        until(alice, changes, () => alice.getRoom(roomId)?.getMember(bob.getUserId())?.membership === "join"),
    );
    return roomId;
}

async function talk(alice, bob, roomId) {
    const said = [];
    for (let number = 0; number < 10; number++) {
        const [speaker, listener] = number % 2 === 0 ? [alice, bob] : [bob, alice];
        const text = `message ${number}`;
        const { event_id: eventId } = await step(`send ${text}`, () => speaker.sendTextMessage(roomId, text));
        const event = await step(`${text} arrives`, () =>
            until(listener, [sdk.RoomEvent.Timeline], () => listener.getRoom(roomId).findEventById(eventId)),
        );
        assert.equal(event.getContent().body, text);
        assert.equal(event.getSender(), speaker.getUserId());
        said.push(text);
    }
    await step("both see each message once, in order", () =>
        Promise.all(
            [alice, bob].map((client) =>
                until(client, [sdk.RoomEvent.Timeline, sdk.RoomEvent.LocalEchoUpdated], () => {
                    const seen = texts(client.getRoom(roomId));
                    assert.ok(seen.length <= said.length, `doubled: ${seen}`);
                    return seen.length === said.length && seen.every((text, index) => text === said[index]);
                }),
            ),
        ),
    );
    return said;
}

async function ephemeral(alice, bob, roomId) {
    await step("bob types", () => bob.sendTyping(roomId, true, 10_000));
    await step("alice sees it", () =>
        until(alice, [sdk.RoomMemberEvent.Typing], () => alice.getRoom(roomId).getMember(bob.getUserId()).typing),
    );
    const last = bob.getRoom(roomId).getLiveTimeline().getEvents().at(-1);
    await step("bob reads", () => bob.sendReadReceipt(last));
    await step("alice sees that", () =>
        until(alice, [sdk.RoomEvent.Receipt], () =>
            alice.getRoom(roomId).hasUserReadEvent(bob.getUserId(), last.getId()),
        ),
    );
}

async function history(bob, roomId, said) {
    // from the newest page to the oldest, as the server gives them
    const found = [];
    let token = null;
    await step("read the history", async () => {
        for (let page = 0; page < 20; page++) {
            const answer = await bob.createMessagesRequest(roomId, token, 4, sdk.Direction.Backward);
            const messages = answer.chunk.filter((event) => event.type === "m.room.message");
            found.push(...messages.map((event) => event.content.body));
            token = answer.end;
            if (!token || answer.chunk.length === 0) return;
        }
        assert.fail("the history does not end");
    });
    await step("the history is complete, in order", () => assert.deepEqual(found.reverse(), said));
}

async function part(alice, bob, roomId) {
    const { event_id: gone } = await step("send what will go", () => alice.sendTextMessage(roomId, "gone"));
    await step("redact it", () => alice.redactEvent(roomId, gone));
    await step("bob sees the redaction", () =>
        until(bob, [sdk.RoomEvent.Redaction, sdk.RoomEvent.Timeline], () =>
            bob.getRoom(roomId).findEventById(gone)?.isRedacted(),
        ),
    );
    await step("bob leaves", () => bob.leave(roomId));
    await step("bob has left", () =>
        until(bob, [sdk.RoomEvent.MyMembership], () => bob.getRoom(roomId)?.getMyMembership() === "leave"),
    );
    await step("alice sees it", () =>
        until(alice, [sdk.RoomStateEvent.Members, sdk.RoomMemberEvent.Membership], () => {
            return alice.getRoom(roomId).getMember(bob.getUserId()).membership === "leave";
        }),
    );
    await step("bob may not speak any more", () => refused(bob.sendTextMessage(roomId, "still here"), "M_FORBIDDEN"));
    await step("bob forgets the room", () => bob.forget(roomId));
    for (const client of [alice, bob]) {
        client.stopClient();
        await step("log out", () => client.logout());
    }
    await step("the token is worthless", () => refused(alice.whoami(), "M_UNKNOWN_TOKEN"));
}

try {
    const run = randomUUID().slice(0, 8);
    const alice = await join(`js-alice-${run}`);
    const bob = await join(`js-bob-${run}`);
    const roomId = await enter(alice, bob);
    const said = await talk(alice, bob, roomId);
    await ephemeral(alice, bob, roomId);
    await history(bob, roomId, said);
    await part(alice, bob, roomId);
} catch (error) {
    console.error(`FAILED: ${error.stack}`);
    process.exit(1);
}
console.log("matrix-js-sdk: all as it should be");
process.exit(0);
