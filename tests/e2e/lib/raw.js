'use strict';
// MSYNC on a bare socket, for what the SDK hides or refuses to do. The schema is this folder's own copy, so that a
// change of the server's schema that moves the wire shows up here.

const path = require('node:path');
const protobuf = require('protobufjs');
const { WebSocket } = require('ws');
const { Inbox } = require('./wait');

const root = new protobuf.Root();
root.loadSync(path.join(__dirname, '../proto/msync.proto'), { keepCase: false });
const types = Object.fromEntries(
  ['MSync', 'Provision', 'CommSyncUL', 'CommSyncDL', 'CommUnreadDL', 'CommNotice', 'Meta', 'MessageBody', 'StatisticsBody', 'Logout', 'MUCBody']
    .map((name) => [name, root.lookupType(`easemob.pb.${name}`)]),
);
const COMMAND = { SYNC: 0, UNREAD: 1, NOTICE: 2, PROVISION: 3, LOGOUT: 4 };
const PAYLOAD = { 0: 'CommSyncDL', 1: 'CommUnreadDL', 2: 'CommNotice', 3: 'Provision', 4: 'Logout' };
const USERS = 'easemob.com';

/** Plain object; fields that were not on the wire are absent, 64-bit numbers are decimal strings. */
function decode(name, bytes) {
  return types[name].toObject(types[name].decode(bytes), { longs: String, enums: Number, bytes: Buffer });
}

function encode(name, fields) {
  return Buffer.from(types[name].encode(types[name].fromObject(fields)).finish());
}

let ids = Date.now() - Date.UTC(2010, 1, 1);

class Raw {
  static connect(app, username, { url, resource } = {}) {
    const raw = new Raw();
    raw.app = app;
    raw.username = username;
    raw.resource = resource || `raw_${process.pid}_${++ids}`;
    raw.frames = new Inbox(`${username} (raw)`);
    raw.closed = new Inbox(`${username} (close)`);
    raw.socket = new WebSocket(url || app.server.socket);
    raw.socket.on('message', (data, binary) => raw.received(data, binary));
    raw.socket.on('close', (code, reason) => raw.closed.push({ code, reason: String(reason) }));
    raw.socket.on('ping', () => (raw.pings = (raw.pings || 0) + 1));
    return new Promise((resolve, reject) => {
      raw.socket.once('open', () => resolve(raw));
      raw.socket.on('error', reject);
    });
  }

  received(data, binary) {
    const envelope = decode('MSync', data);
    const frame = { command: envelope.command ?? 0, binary, bytes: data.length };
    frame.body = decode(PAYLOAD[frame.command], envelope.payload || Buffer.alloc(0));
    for (const meta of frame.body.metas || []) {
      if (meta.ns === 1) meta.message = decode('MessageBody', meta.payload);
      if ((meta.ns ?? 0) === 0) meta.statistics = decode('StatisticsBody', meta.payload);
    }
    this.frames.push(frame);
  }

  bytes(buffer) {
    this.socket.send(buffer);
  }

  frame(command, payload, extra = {}) {
    this.bytes(encode('MSync', { version: 0, command, payload, ...extra }));
  }

  jid(name = this.username, domain = USERS) {
    return { appKey: this.app.key, name, domain };
  }

  /** PROVISION and its answer. */
  async login(token, { osType = 16, user = this.username, appKey = this.app.key, reason, provision = {}, auth } = {}) {
    const payload = encode('Provision', {
      osType, version: '4.21.1', compressType: [0], encryptType: [0], deviceUuid: this.resource,
      deviceName: 'webim', resource: this.resource, actionVersion: 'v5.2', sessionId: `${Date.now()}:`,
      authToken: JSON.stringify({ token: `$t$${token}` }), protocolCompressType: [2],
      ...(reason ? { reason } : {}), ...provision,
    });
    this.frame(COMMAND.PROVISION, payload, {
      guid: { appKey, name: user, domain: USERS, clientResource: this.resource },
      auth: auth ?? `$t$${token}`, deviceId: 0, encryptType: [0],
    });
    return (await this.frames.take((frame) => frame.command === COMMAND.PROVISION, 'PROVISION')).body;
  }

  async unread() {
    this.frame(COMMAND.UNREAD);
    return (await this.frames.take((frame) => frame.command === COMMAND.UNREAD, 'UNREAD')).body;
  }

  /** A delivery, NOTICE or empty answer of a queue, not an answer to a send. */
  async delivery(queue, matches = () => true, ms) {
    const wanted = (frame) => frame.command === 0 && !Number(frame.body.metaId || 0)
      && frame.body.queue?.name === queue && matches(frame.body);
    return (await this.frames.take(wanted, `a delivery of ${queue}`, ms)).body;
  }

  /** Asks for a queue; with a key it acknowledges. Does not wait. */
  ask(queue, key) {
    const fields = { queue: this.jid(queue), ...(key === undefined ? {} : { key }) };
    this.frame(COMMAND.SYNC, encode('CommSyncUL', fields));
  }

  async pull(queue, key) {
    this.ask(queue, key);
    return this.delivery(queue);
  }

  /** Pulls and acknowledges until the queue is empty; gives the items in order. */
  async drain(queue) {
    const items = [];
    for (let batch = await this.pull(queue); ; batch = await this.pull(queue, batch.nextKey)) {
      items.push(...(batch.metas || []));
      if (batch.isLast) return items;
    }
  }

  /** One item, up. `meta` fields win. Gives the client id. */
  submit(to, message, meta = {}) {
    const id = meta.id || ++ids;
    const payload = Buffer.isBuffer(message) ? message : encode('MessageBody', {
      type: 1, from: { name: this.username }, to: { name: to }, ...message,
    });
    this.frame(COMMAND.SYNC, encode('CommSyncUL', { meta: { to: this.jid(to), ns: 1, payload, routetype: 0, ...meta, id } }));
    return id;
  }

  async answer(id, ms) {
    const wanted = (frame) => frame.command === 0 && String(frame.body.metaId) === String(id);
    return (await this.frames.take(wanted, `an answer to ${id}`, ms)).body;
  }

  submitText(to, text, meta) {
    return this.submit(to, { contents: [{ type: 0, text }] }, meta);
  }

  /** Sends a text and waits for the answer. */
  async text(to, text, meta) {
    return this.answer(this.submitText(to, text, meta));
  }

  /** All chat items delivered so far, in order of arrival. */
  items() {
    return this.frames.all((frame) => frame.command === 0).flatMap((frame) => frame.body.metas || [])
      .filter((meta) => meta.ns === 1);
  }

  /** Acknowledges every delivery by itself from now on, as the SDK does. */
  autoAcknowledge() {
    this.socket.on('message', () => {
      const { body, command } = this.frames.items.at(-1).item;
      if (command === COMMAND.NOTICE) this.ask(body.queue.name);
      if (command === 0 && body.queue && !body.isLast) this.ask(body.queue.name, body.nextKey ?? 0);
    });
    return this;
  }

  /** Waits until that many chat items came, each acknowledged (see above). */
  async receive(count, ms) {
    await this.frames.when(() => this.items().length >= count, `${count} items`, ms);
    return this.items();
  }

  closing(ms) {
    return this.closed.take(() => true, 'the socket closes', ms);
  }

  close() {
    this.socket.terminate();
  }
}

const textOf = (meta) => meta.message.contents[0].text;

module.exports = { Raw, COMMAND, encode, decode, textOf, nextId: () => ++ids };
