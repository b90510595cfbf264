'use strict';
// Kill -9 under load, again and again: what was acknowledged is there once, in order, and the stored logs are sound.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { App } = require('../lib/app');
const { Raw, textOf, nextId } = require('../lib/raw');
const { Server } = require('../lib/server');

const ROUNDS = Number(process.env.E2E_KILL_ROUNDS || 20);
const PAIRS = 6;
const WINDOW = 8;
/** Acknowledged sends per round before the kill; it falls somewhere after. */
const PER_ROUND = 150;

/** A sender that keeps WINDOW sends in flight, and resends what was not answered when the line broke. */
class Load {
  constructor(app, number) {
    Object.assign(this, { app, from: `sender${number}`, to: `receiver${number}`, resource: 'load' });
    this.acknowledged = [];
    this.pending = new Map();
    this.count = 0;
  }

  async run(raw, done) {
    const resend = [...this.pending];
    this.pending.clear();
    const flights = [];
    const fly = async (id, text) => {
      this.pending.set(id, text);
      raw.submitText(this.to, text, { id });
      const answer = await raw.answer(id, 20_000);
      if ((answer.status.errorCode ?? 0) !== 0) throw new Error(`refused: ${JSON.stringify(answer.status)}`);
      this.pending.delete(id);
      this.acknowledged.push({ text, serverId: answer.serverId });
      done();
    };
    const lane = async (first) => {
      for (const [id, text] of first) await fly(id, text);
      while (raw.socket.readyState === 1) await fly(nextId(), `${(this.count += 1)}`);
    };
    // The unanswered ones go first and in their order, so that the order of the texts stays that of the sends.
    for (const [id, text] of resend) flights.push(fly(id, text));
    await Promise.all(flights);
    await Promise.all(Array.from({ length: WINDOW }, () => lane([])));
  }
}

test(`kill -9 under load, ${ROUNDS} rounds`, { timeout: 20 * 60_000 }, async () => {
  const server = await Server.start({ name: 'kill9' });
  const app = await App.create({}, server);
  const tokens = {};
  const loads = Array.from({ length: PAIRS }, (_, number) => new Load(app, number));
  for (const load of loads) {
    for (const name of [load.from, load.to]) tokens[name] = await app.userToken(name);
  }
  let inFlight = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    let answers = 0;
    let enough;
    const killTime = new Promise((resolve) => (enough = resolve));
    const lines = await Promise.all(loads.map((load) => app.raw(load.from, { token: tokens[load.from], resource: load.resource })));
    const runs = loads.map((load, number) => load.run(lines[number], () => {
      answers += 1;
      if (answers >= PER_ROUND + round * 13) enough();
    }).catch((error) => error));
    const failed = await Promise.race([killTime, Promise.all(runs)]);
    assert.equal(failed, undefined, `round ${round} ended early: ${failed}`);
    await server.kill();
    lines.forEach((line) => line.close());
    inFlight += loads.reduce((sum, load) => sum + load.pending.size, 0);
    await server.start();
  }
  // The last round's unanswered sends, so that each send has one fate.
  for (const load of loads) {
    const line = await app.raw(load.from, { token: tokens[load.from], resource: load.resource });
    for (const [id, text] of load.pending) {
      const answer = await line.text(load.to, text, { id });
      load.acknowledged.push({ text, serverId: answer.serverId });
    }
    line.close();
  }
  let total = 0;
  for (const load of loads) {
    const receiver = await app.raw(load.to, { token: tokens[load.to] });
    const got = await receiver.drain(load.from);
    receiver.close();
    const ids = got.map((meta) => meta.id);
    assert.equal(new Set(ids).size, ids.length, 'an item came twice');
    const texts = got.map(textOf);
    assert.equal(new Set(texts).size, texts.length, 'a send was stored twice');
    const byText = new Map(got.map((meta) => [textOf(meta), meta.id]));
    for (const { text, serverId } of load.acknowledged) {
      assert.equal(byText.get(text), serverId, `acknowledged send ${text} of ${load.from} is lost or has another id`);
    }
    // One sender's sends keep their order, also those that were sent again after a kill.
    assert.deepEqual(texts, Array.from({ length: load.acknowledged.length }, (_, n) => `${n + 1}`));
    assert.ok(ids.every((id, n) => n === 0 || BigInt(id) > BigInt(ids[n - 1])), 'ids out of order');
    total += ids.length;
  }
  console.log(`${total} acknowledged sends over ${ROUNDS} kills, ${inFlight} in flight when killed: each there once`);
  assert.ok(total >= ROUNDS * PER_ROUND);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  assert.deepEqual(server.panics(), []);
  const checked = server.check();
  assert.equal(checked.code, 0, checked.output);
  await app.close();
  server.removeData();
});

