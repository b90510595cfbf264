'use strict';
// 200 people write to each other through two edges while the three cores behind them are killed, stopped, drained and
// replaced. Their sockets do not notice, and nothing that was acknowledged is lost, doubled or out of order.
//   E2E_KILL_SECONDS=300 E2E_BIN=… node --test bad-days/cores-die.test.js

const test = require('node:test');
const assert = require('node:assert/strict');
const { App } = require('../lib/app');
const { Cores } = require('../lib/cores');
const { Raw, textOf, nextId } = require('../lib/raw');
const { until } = require('../lib/wait');

const SECONDS = Number(process.env.E2E_KILL_SECONDS || 45);
const PEOPLE = Number(process.env.E2E_KILL_PEOPLE || 200);
/** Between two sends of one person. */
const PAUSE_MS = 600;
/** A send counts for a bad day when it began within this time after it. */
const SPAN_MS = 5000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const pick = (list) => list[Math.floor(Math.random() * list.length)];

class Person {
  constructor(number) {
    this.name = `person${number}`;
    // Each pair is on both edges.
    this.peer = `person${number ^ 1}`;
    Object.assign(this, { sent: 0, acknowledged: [], answers: [], refused: 0, closes: [] });
  }

  async connect(app, edge, token) {
    this.raw = await Raw.connect(app, this.name, { url: `ws://${edge.listen}/websocket` });
    this.raw.socket.on('close', (code) => this.closes.push(code));
    assert.equal((await this.raw.login(token)).status.errorCode ?? 0, 0);
    this.raw.autoAcknowledge();
    await this.raw.unread();
  }

  /** One message after the other; a refused one is sent again as it was, like an application does. */
  async write(ends) {
    await sleep(Math.random() * PAUSE_MS);
    while (Date.now() < ends && !this.closes.length) {
      const [id, text] = [nextId(), `${(this.sent += 1)}`];
      const begun = Date.now();
      for (;;) {
        this.raw.submitText(this.peer, text, { id });
        const answer = await this.raw.answer(id, 60_000);
        if ((answer.status.errorCode ?? 0) === 0) {
          this.acknowledged.push({ id: answer.serverId, text });
          break;
        }
        this.refused += 1;
        await sleep(200);
      }
      this.answers.push({ begun, ms: Date.now() - begun });
      await sleep(PAUSE_MS * (0.5 + Math.random()));
    }
  }

  /** What came, each message once, by its id. */
  received() {
    return [...new Map(this.raw.items().map((meta) => [meta.id, textOf(meta)]))];
  }
}

/** What may happen to a core. Afterwards as many run as before. */
const DAYS = {
  async kill(core) {
    await core.kill();
    return () => core.start();
  },
  async stop(core) {
    core.child.kill('SIGSTOP');
    return async () => {
      core.child.kill('SIGCONT');
    };
  },
  async drain(core, cores) {
    // A rolling upgrade: the next one comes before this one goes.
    const spare = cores.servers.find((server) => !server.runs);
    await spare.start();
    const left = await core.drain();
    assert.equal(left, 0, 'sessions did not move');
    assert.deepEqual(await core.stop(), { code: 0, signal: null });
    return async () => {};
  },
};

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

test(`cores die for ${SECONDS} s under ${PEOPLE} people`, { timeout: (SECONDS + 240) * 1000 }, async () => {
  const cores = await Cores.start({ cores: 3, edges: 2, spare: 1 });
  const [{ admin, dataDir, logPath }] = cores.servers;
  const app = await App.create({}, Object.assign(Object.create(Object.getPrototypeOf(cores.servers[0])), { admin, dataDir, logPath, listen: cores.edges[0].listen }));
  const people = Array.from({ length: PEOPLE }, (_, number) => new Person(number));
  for (let at = 0; at < PEOPLE; at += 10) {
    await Promise.all(people.slice(at, at + 10).map(async (person, offset) =>
      person.connect(app, cores.edges[(at + offset) % 2], await app.userToken(person.name))));
  }

  const ends = Date.now() + SECONDS * 1000;
  const writing = people.map((person) => person.write(ends));
  const happened = [];
  await sleep(2000);
  let round = 0;
  while (Date.now() < ends - SPAN_MS) {
    // Each kind first once, then by chance.
    const day = Object.keys(DAYS)[round] || pick(Object.keys(DAYS));
    round += 1;
    const core = pick(cores.servers.filter((server) => server.runs));
    happened.push({ day, at: Date.now() });
    const mend = await DAYS[day](core, cores);
    await sleep(SPAN_MS);
    await mend();
    await sleep(500 + Math.random() * 1500);
  }
  await Promise.all(writing);

  // A person's pause after a bad day: the longest wait for an answer to what was sent in the seconds after it.
  for (const day of Object.keys(DAYS)) {
    const pauses = happened.filter((entry) => entry.day === day).flatMap(({ at }) => people.map((person) =>
      Math.max(0, ...person.answers.filter(({ begun, ms }) => begun + ms > at && begun < at + SPAN_MS).map(({ ms }) => ms))));
    if (!pauses.length) continue;
    const times = happened.filter((entry) => entry.day === day).length;
    console.log(`${day} (${times} times): pause p50 ${quantile(pauses, 0.5)} ms, p99 ${quantile(pauses, 0.99)} ms, longest ${Math.max(...pauses)} ms`);
  }
  const refused = people.reduce((sum, person) => sum + person.refused, 0);
  const total = people.reduce((sum, person) => sum + person.acknowledged.length, 0);
  console.log(`${total} acknowledged, ${refused} refused and sent again`);
  assert.deepEqual(people.flatMap((person) => person.closes), [], 'a socket was closed');

  const byName = new Map(people.map((person) => [person.name, person]));
  for (const person of people) {
    const peer = byName.get(person.peer);
    const acknowledged = new Map(person.acknowledged.map(({ id, text }) => [id, text]));
    await until(`${peer.name} has everything of ${person.name}`, () => {
      const got = new Set(peer.received().map(([id]) => id));
      return [...acknowledged.keys()].every((id) => got.has(id));
    }, { ms: 20_000 });
    const texts = peer.received().filter(([id]) => acknowledged.has(id)).map(([, text]) => Number(text));
    assert.deepEqual(texts, person.acknowledged.map(({ text }) => Number(text)), `order of ${person.name}`);
    const all = peer.received().map(([, text]) => text);
    assert.equal(new Set(all).size, all.length, `a message of ${person.name} is there twice`);
  }
  people.forEach((person) => person.raw.close());
  const running = [...cores.edges, ...cores.servers].filter((server) => server.runs);
  for (const server of running) {
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.deepEqual(server.panics(), []);
  }
  const check = cores.servers[0].check(cores.store);
  assert.equal(check.code, 0, check.output);
  await cores.end();
});
