// matrix-js-sdk with its Rust crypto against a Matrixon: two users with two devices each, who encrypt.
//
//     node crypto.mjs GATEWAY_URL…
//
// Cross-signing, secret storage and key backup are set up, users and devices verify each other by emoji, a new device
// restores the history, a deleted one is forgotten by the others, and a fallback key opens what one-time keys cannot.
// Every request goes to the next gateway. Prints each step; the first thing that is not as it must be ends the run.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import * as sdk from "matrix-js-sdk";
import { CryptoEvent, VerificationPhase, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

import { alternatingFetch, logger, step, until, urls } from "./support.mjs";

const PASSWORD = "correct horse battery staple";
const SAS = "m.sas.v1";
const POLL_MS = 50;
const PATIENCE_MS = 30_000;

/** A fetch that can be held back, as on a device without a network. */
function pausableFetch() {
    let open = Promise.resolve();
    let resume = () => {};
    const fetchFn = async (resource, options) => {
        await open;
        return alternatingFetch(resource, options);
    };
    fetchFn.pause = () => (open = new Promise((resolve) => (resume = resolve)));
    fetchFn.resume = () => resume();
    return fetchFn;
}

/** Looks again and again, for what no event tells. */
async function eventually(check) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
        const found = await check();
        if (found) return found;
        if (Date.now() > end) throw new Error(`not within ${PATIENCE_MS} ms`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
}

/** What a user has beside devices: the name, and the key of secret storage once there is one. */
class Person {
    constructor(name) {
        this.name = name;
        this.recoveryKey = null;
    }

    get auth() {
        return { type: "m.login.password", identifier: { type: "m.id.user", user: this.name }, password: PASSWORD };
    }

    async register() {
        const nobody = sdk.createClient({ baseUrl: urls[0], fetchFn: alternatingFetch, logger });
        await step(`register ${this.name}`, async () => {
            const body = { username: this.name, password: PASSWORD, inhibit_login: true };
            const session = await nobody.registerRequest(body).then(
                () => assert.fail("registration asked for no authentication"),
                (error) => error.data.session,
            );
            await nobody.registerRequest({ ...body, auth: { type: "m.login.dummy", session } });
        });
        return this;
    }

    /** A new device that encrypts and syncs. */
    async device(label) {
        const fetchFn = pausableFetch();
        const nobody = sdk.createClient({ baseUrl: urls[0], fetchFn, logger });
        const session = await step(`${this.name} logs in on the ${label}`, () => nobody.loginRequest(this.auth));
        const client = sdk.createClient({
            baseUrl: urls[0],
            fetchFn,
            logger,
            accessToken: session.access_token,
            userId: session.user_id,
            deviceId: session.device_id,
            verificationMethods: [SAS],
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) => [Object.keys(keys)[0], this.recoveryKey.privateKey],
            },
        });
        client.person = this;
        client.network = fetchFn;
        await step(`the ${label} sets its keys up`, () => client.initRustCrypto({ useIndexedDB: false }));
        await step(`the ${label} syncs`, async () => {
            await client.startClient({ initialSyncLimit: 20, pollTimeout: 5_000 });
            await until(client, [sdk.ClientEvent.Sync], () => client.isInitialSyncComplete());
        });
        await step(`the ${label} has published its keys`, async () => {
            const query = { device_keys: { [session.user_id]: [session.device_id] } };
            await eventually(async () => {
                const answer = await raw(client, "POST", "/keys/query", query);
                return answer.device_keys?.[session.user_id]?.[session.device_id];
            });
        });
        return client;
    }
}

function raw(client, method, path, body) {
    return client.http.authedRequest(method, path, undefined, body);
}

/** For what asks for the password again. */
function withPassword(person) {
    return async (makeRequest) => {
        try {
            return await makeRequest(null);
        } catch (error) {
            if (error.httpStatus !== 401) throw error;
            return makeRequest({ ...person.auth, session: error.data.session });
        }
    };
}

async function setUp(client) {
    const { person } = client;
    const crypto = client.getCrypto();
    await step(`${person.name} sets up cross-signing`, () =>
        crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(person) }),
    );
    await step(`${person.name} sets up secret storage and backup`, () =>
        crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => (person.recoveryKey = await crypto.createRecoveryKeyFromPassphrase()),
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        }),
    );
    await step("both are ready", () =>
        eventually(async () => (await crypto.isCrossSigningReady()) && (await crypto.isSecretStorageReady())),
    );
    await step("the backup is in use", () => eventually(() => crypto.getActiveSessionBackupVersion()));
}

async function meet(alice, bob) {
    const { room_id: roomId } = await step("create an encrypted room", () =>
        alice.createRoom({
            preset: "private_chat",
            invite: [bob.getUserId()],
            initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
        }),
    );
    const changes = [sdk.ClientEvent.Room, sdk.RoomEvent.MyMembership, sdk.RoomStateEvent.Members];
    await step("bob is invited", () => until(bob, changes, () => bob.getRoom(roomId)?.getMyMembership() === "invite"));
    await step("bob joins", () => bob.joinRoom(roomId));
    for (const client of [alice, bob]) {
        await step("both are in the room, and it is encrypted", () =>
            eventually(async () => {
                const members = client.getRoom(roomId)?.getJoinedMemberCount();
                return members === 2 && (await client.getCrypto().isEncryptionEnabledInRoom(roomId));
            }),
        );
    }
    return roomId;
}

/** Sends a text, which every listener must be able to read. */
async function say(roomId, speaker, listeners, text) {
    const { event_id: eventId } = await step(`${speaker.person.name} says ${text}`, () =>
        speaker.sendTextMessage(roomId, text),
    );
    const [event] = (await raw(speaker, "GET", `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=5`)).chunk
        .filter((event) => event.event_id === eventId);
    assert.equal(event.type, "m.room.encrypted", "the server has seen the text");
    for (const listener of listeners) {
        await step(`${listener.person.name} reads ${text}`, () => reads(listener, roomId, eventId, text));
    }
    return eventId;
}

async function reads(client, roomId, eventId, text) {
    await eventually(() => {
        const event = client.getRoom(roomId)?.findEventById(eventId);
        return event?.getContent().body === text && !event.isDecryptionFailure();
    });
}

/** Both sides compare emoji and find them equal. */
async function verifyByEmoji(request, incoming) {
    await step("the request is accepted", () => incoming.accept());
    await step("both are ready", () => eventually(() => request.phase === VerificationPhase.Ready));
    const verifier = await step("emoji are asked for", () => request.startVerification(SAS));
    const counterpart = await step("the other side hears of it", () => eventually(() => incoming.verifier));
    const shown = (side) =>
        new Promise((resolve, reject) => {
            const known = side.getShowSasCallbacks();
            if (known) resolve(known);
            side.on(VerifierEvent.ShowSas, resolve);
            side.on(VerifierEvent.Cancel, () => reject(new Error("the verification was cancelled")));
        });
    const both = [verifier, counterpart].map(shown);
    const done = [verifier, counterpart].map((side) => side.verify());
    await step("both see the same emoji and say so", async () => {
        const [mine, theirs] = await Promise.all(both);
        assert.deepEqual(mine.sas.emoji, theirs.sas.emoji);
        await Promise.all([mine.confirm(), theirs.confirm()]);
    });
    await step("the verification is done", async () => {
        await Promise.all(done);
        await eventually(() => [request, incoming].every((side) => side.phase === VerificationPhase.Done));
    });
}

function nextRequest(client) {
    return new Promise((resolve) => client.once(CryptoEvent.VerificationRequestReceived, resolve));
}

async function verifyUsers(alice, bob, roomId) {
    await step("bob knows alice's identity", () =>
        eventually(() => bob.getCrypto().userHasCrossSigningKeys(alice.getUserId(), true)),
    );
    await step("alice knows bob's identity", () =>
        eventually(() => alice.getCrypto().userHasCrossSigningKeys(bob.getUserId(), true)),
    );
    const incoming = nextRequest(bob);
    const request = await step("alice asks bob to verify her", () =>
        alice.getCrypto().requestVerificationDM(bob.getUserId(), roomId),
    );
    await verifyByEmoji(request, await step("bob is asked", () => incoming));
    for (const [one, other] of [[alice, bob], [bob, alice]]) {
        await step(`${one.person.name} trusts ${other.person.name}`, () =>
            eventually(async () =>
                (await one.getCrypto().getUserVerificationStatus(other.getUserId())).isCrossSigningVerified(),
            ),
        );
    }
}

const devicesOf = async (viewer, client) => {
    const devices = await viewer.getCrypto().getUserDeviceInfo([client.getUserId()]);
    return [...(devices.get(client.getUserId())?.keys() ?? [])];
};

async function newDevice(first, viewer, roomId, said) {
    const { person } = first;
    const second = await person.device("second device");
    await step("the others hear of it", () =>
        eventually(async () => (await devicesOf(viewer, second)).includes(second.getDeviceId())),
    );
    const incoming = nextRequest(first);
    const request = await step("it asks to be verified", () => second.getCrypto().requestOwnUserVerification());
    await verifyByEmoji(request, await step("the first device is asked", () => incoming));
    await step("it is signed by its owner, as the others see", () =>
        eventually(async () => {
            const status = await viewer.getCrypto().getDeviceVerificationStatus(second.getUserId(), second.getDeviceId());
            return status?.signedByOwner;
        }),
    );
    await step("it has the secrets", () => eventually(() => second.getCrypto().isCrossSigningReady()));
    await step("it restores the backup", async () => {
        await second.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
        await eventually(async () => (await second.getCrypto().restoreKeyBackup()).imported > 0);
    });
    for (const [text, eventId] of said) {
        await step(`it reads ${text}, said before it was there`, () => reads(second, roomId, eventId, text));
    }
    return second;
}

async function backedUp(client, sessions) {
    await step(`${client.person.name}'s keys are backed up`, () =>
        eventually(async () => (await raw(client, "GET", "/room_keys/version")).count >= sessions),
    );
}

async function deletion(first, second, viewer) {
    const { person } = first;
    const gone = second.getDeviceId();
    second.stopClient();
    await step("the second device is deleted", () =>
        withPassword(person)((auth) => first.deleteDevice(gone, auth ?? undefined)),
    );
    await step("the other user sees it go", () =>
        eventually(async () => !(await devicesOf(viewer, second)).includes(gone)),
    );
    await step("so does the first device", () =>
        eventually(async () => !(await devicesOf(first, second)).includes(gone)),
    );
}

const claimedKey = async (client, target) => {
    const claim = { one_time_keys: { [target.getUserId()]: { [target.getDeviceId()]: "signed_curve25519" } } };
    const answer = await raw(client, "POST", "/keys/claim", claim);
    const keys = answer.one_time_keys?.[target.getUserId()]?.[target.getDeviceId()];
    assert.ok(keys, `no key was given: ${JSON.stringify(answer)}`);
    return Object.values(keys)[0];
};

async function fallback(alice, bob, roomId) {
    const second = await bob.person.device("other device");
    await step("alice hears of bob's other device", () =>
        eventually(async () => (await devicesOf(alice, second)).includes(second.getDeviceId())),
    );
    second.network.pause();
    await step("somebody takes all its one-time keys", async () => {
        let taken = 0;
        while (!(await claimedKey(bob, second)).fallback) taken++;
        assert.ok(taken >= 10, `only ${taken} one-time keys`);
        assert.ok((await claimedKey(bob, second)).fallback, "the fallback key stays");
    });
    const eventId = await say(roomId, alice, [bob], "opened by the fallback key");
    second.network.resume();
    await step("the other device opens it", () => reads(second, roomId, eventId, "opened by the fallback key"));
    await step("it uploads new one-time keys", () =>
        eventually(async () => !(await claimedKey(bob, second)).fallback),
    );
    second.stopClient();
}

try {
    const run = randomUUID().slice(0, 8);
    const alice = await (await new Person(`js-alice-${run}`).register()).device("first device");
    const bob = await (await new Person(`js-bob-${run}`).register()).device("first device");
    for (const client of [alice, bob]) await setUp(client);
    const roomId = await meet(alice, bob);
    const said = [];
    for (let number = 0; number < 6; number++) {
        const [speaker, listener] = number % 2 === 0 ? [alice, bob] : [bob, alice];
        said.push([`secret ${number}`, await say(roomId, speaker, [listener], `secret ${number}`)]);
    }
    await verifyUsers(alice, bob, roomId);
    await backedUp(alice, 2);
    const second = await newDevice(alice, bob, roomId, said);
    await say(roomId, bob, [alice, second], "to both devices");
    await say(roomId, second, [alice, bob], "from the second device");
    await deletion(alice, second, bob);
    await say(roomId, bob, [alice], "to the first device only");
    await fallback(alice, bob, roomId);
    for (const client of [alice, bob]) client.stopClient();
} catch (error) {
    console.error(`FAILED: ${error.stack}`);
    process.exit(1);
}
console.log("matrix-js-sdk with Rust crypto: all as it should be");
process.exit(0);
