// What the programs of this directory share: the gateways in turn, steps that say what they do, and patience.

import assert from "node:assert/strict";

const PATIENCE_MS = 30_000;

// The SDK is talkative, also about errors that this program wants to see happen.
const ignore = () => {};
for (const level of ["trace", "debug", "info", "warn"]) console[level] = ignore;
export const logger = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore, getChild: () => logger };

export const urls = process.argv.slice(2);
if (urls.length === 0) {
    console.error("node PROGRAM GATEWAY_URL…");
    process.exit(2);
}

let turn = 0;
/** fetch, at the next gateway. */
export function alternatingFetch(resource, options) {
    const url = new URL(resource);
    const gateway = new URL(urls[turn++ % urls.length]);
    url.protocol = gateway.protocol;
    url.host = gateway.host;
    return fetch(url, options);
}

export async function step(name, action) {
    try {
        const result = await action();
        console.log(`ok: ${name}`);
        return result;
    } catch (error) {
        error.message = `${name}: ${error.message}`;
        throw error;
    }
}

/** Resolves with what `check` returns once that is truthy; looks again whenever the client tells of `events`. */
export function until(client, events, check) {
    return new Promise((resolve, reject) => {
        const look = () => {
            const found = check();
            if (!found) return;
            stop();
            resolve(found);
        };
        const timer = setTimeout(() => {
            stop();
            reject(new Error(`not within ${PATIENCE_MS} ms`));
        }, PATIENCE_MS);
        const stop = () => {
            clearTimeout(timer);
            for (const event of events) client.off(event, look);
        };
        for (const event of events) client.on(event, look);
        look();
    });
}

export async function refused(promise, errcode) {
    try {
        await promise;
    } catch (error) {
        assert.equal(error.errcode, errcode, `refused with ${error.errcode}: ${error.message}`);
        return;
    }
    throw new Error(`allowed, but ought to be refused with ${errcode}`);
}
