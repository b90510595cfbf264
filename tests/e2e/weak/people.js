'use strict';
// Runs in the namespace of the clients: two people write to each other over the line that loses packets, first by the SDK, then
// by the open protocol. What it is told comes as JSON in E2E_WEAK; the last line that it prints is what it saw.

const { WebSocket } = require('ws');
const { Client } = require('../lib/sdk');

const { key, host, tokens, count, ms } = JSON.parse(process.env.E2E_WEAK);
// As in a browser: an exception in a callback of the SDK ends that callback and not the page.
process.on('uncaughtException', (error) => console.error(`weak: ${String(error.stack || error).slice(0, 300)}`));
process.on('unhandledRejection', () => {});

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
/** Sends that are under way together. */
const WINDOW = 20;

/** Messages as they are first seen. */
class Book {
  constructor() {
    this.seen = new Map();
  }

  note(id, text) {
    if (!this.seen.has(id)) this.seen.set(id, { text, at: Date.now() });
  }
}

/** The real SDK with its own reconnection; the application sends a rejected message again as it was. */
class SdkPerson {
  constructor(name, peer) {
    const app = { key, server: { socket: `ws://${host}/websocket`, rest: `http://${host}` } };
    Object.assign(this, { app, name, peer, book: new Book() });
    this.renew();
  }

  renew() {
    this.client?.conn.removeEventHandler('weak');
    this.client?.close();
    this.client = new Client(this.app, this.name, { deviceId: `weak-${this.name}` });
    this.client.conn.addEventHandler('weak', {
      onTextMessage: (message) => message.from === this.peer && this.book.note(message.id, message.msg),
      onDisconnected: () => { this.gaveUp = true; },
      onConnected: () => { this.gaveUp = false; },
    });
  }

  /** The SDK dials three times, up to 20 s each; then, or when its own timer was lost, the application begins anew. */
  async open() {
    for (;;) {
      const opened = this.client.open({ accessToken: tokens[this.name] }).then(() => true, () => false);
      if (await Promise.race([opened, sleep(65_000)])) return;
      await sleep(300);
      this.renew();
    }
  }

  async write() {
    const ids = [];
    for (let from = 1; from <= count; from += WINDOW) {
      let open = Array.from({ length: Math.min(WINDOW, count - from + 1) }, (_, n) => this.client.message('txt', this.peer, { msg: `${from + n}` }));
      while (open.length) {
        this.state = `sends ${open.length} from ${open[0].msg}`;
        const done = await Promise.allSettled(open.map((message) => this.client.conn.send(message)));
        done.forEach((result, n) => {
          if (result.status === 'fulfilled') ids[Number(open[n].msg) - 1] = result.value.serverMsgId;
        });
        open = open.filter((_, n) => done[n].status === 'rejected');
        if (open.length) await sleep(200);
        // The SDK gives up after some attempts of its own.
        while (open.length && !this.client.conn.isOpened()) {
          this.state = `has ${open.length} rejected and ${this.gaveUp ? 'logs in again' : 'waits for the SDK to reconnect'}`;
          if (this.gaveUp) {
            this.renew();
            await this.open();
          }
          await sleep(100);
        }
      }
    }
    return ids;
  }

  close() {
    return this.client.close();
  }
}

/** The open protocol: dials again as soon as nothing comes, resumes by position, says again what has no answer. */
class JsonPerson {
  constructor(name, peer) {
    Object.assign(this, { name, peer, book: new Book(), positions: {}, unanswered: new Map(), ids: [], dials: 0, device: `weak-json-${name}` });
    this.base = Date.now();
    this.watch = setInterval(() => this.look(), 250);
  }

  async open() {
    this.dial();
    while (!this.socket) await sleep(50);
  }

  dial() {
    this.dials += 1;
    this.dialled = Date.now();
    const socket = new WebSocket(`ws://${host}/ws/v1`);
    socket.on('error', () => {});
    socket.on('open', () => {
      // Everything at once: a round trip is dear.
      socket.send(JSON.stringify({ type: 'hello', app: key, user: this.name, token: tokens[this.name], device: { id: this.device }, positions: this.positions }));
      this.sayUnanswered(socket);
    });
    socket.on('message', (data) => this.hear(socket, JSON.parse(data)));
    socket.on('close', () => {
      if (this.socket === socket) this.socket = undefined;
    });
  }

  /** What is unanswered and was not said on this socket, in order: nothing overtakes what the old socket has lost. */
  sayUnanswered(socket) {
    for (const frame of this.unanswered.values()) {
      if (frame.id <= (socket.said || 0)) continue;
      socket.send(JSON.stringify(frame));
      socket.said = frame.id;
    }
  }

  look() {
    if (this.closed) return;
    const quiet = Date.now() - Math.max(this.heardAt || 0, this.dialled);
    const waits = !this.socket || this.unanswered.size > 0 || this.pinged > (this.heardAt || 0);
    if (waits && quiet > 2500) this.dial();
    else if (this.socket && quiet > 2000 && !(this.pinged > this.heardAt)) {
      this.pinged = Date.now();
      this.socket.send('{"type":"ping"}');
    }
  }

  hear(socket, frame) {
    if (frame.type === 'bye') return;
    if (frame.type === 'welcome') {
      const old = this.socket;
      this.socket = socket;
      if (old && old !== socket) old.terminate();
      this.sayUnanswered(socket);
    }
    if (this.socket !== socket) return;
    this.heardAt = Date.now();
    if (frame.type === 'message') this.book.note(frame.message, frame.body.msg);
    if (frame.position) {
      this.positions[frame.conversation] = frame.position;
      socket.send(JSON.stringify({ type: 'ack', conversation: frame.conversation, position: frame.position }));
    }
    if (frame.type === 'sent' && this.unanswered.has(frame.id)) {
      this.ids[Number(this.unanswered.get(frame.id).body.msg) - 1] = frame.message;
      this.unanswered.delete(frame.id);
    }
  }

  async write() {
    for (let n = 1; n <= count; n += 1) {
      while (this.unanswered.size >= WINDOW) await sleep(20);
      const frame = { type: 'send', id: this.base + n, to: this.peer, body: { type: 'txt', msg: `${n}` } };
      this.unanswered.set(frame.id, frame);
      this.state = `sends ${n}`;
      if (this.socket) this.sayUnanswered(this.socket);
    }
    while (this.unanswered.size) await sleep(50);
    return this.ids;
  }

  async close() {
    this.closed = true;
    clearInterval(this.watch);
    this.socket?.terminate();
  }
}

async function run(Person, [first, second]) {
  const begun = Date.now();
  const people = [new Person(first, second), new Person(second, first)];
  await Promise.all(people.map((person) => person.open()));
  const opened = Date.now() - begun;
  const progress = setInterval(() => console.error(people.map(({ name, book, state }) => `${name} sees ${book.seen.size}, ${state}`).join('; ')), 30_000);
  const ids = await Promise.all(people.map((person) => person.write()));
  while (people.some((person) => person.book.seen.size < count)) await sleep(50);
  clearInterval(progress);
  const last = Math.max(...people.flatMap((person) => [...person.book.seen.values()].map(({ at }) => at))) - begun;
  console.error(`weak: ${Person.name}: the last message after ${last} ms`);
  const got = people.map((person) => [...person.book.seen].map(([id, { text }]) => ({ id, text })));
  await Promise.all(people.map((person) => person.close()));
  return { opened, last, ids, got, dials: people.map((person) => person.dials) };
}

(async () => {
  const late = setTimeout(() => {
    console.error('weak: not in time');
    process.exit(1);
  }, ms);
  const sdk = await run(SdkPerson, ['alice', 'bob']);
  const json = await run(JsonPerson, ['carol', 'dave']);
  clearTimeout(late);
  console.log(JSON.stringify({ sdk, json }));
  process.exit(0);
})();
