'use strict';
// What no honest client sends. Each case ends by asking whether others are still served.
const test = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const net = require('node:net');
const { WebSocket } = require('ws');
const { fixture } = require('../lib/app');
const { Server } = require('../lib/server');
const { COMMAND, encode, textOf } = require('../lib/raw');
const { until } = require('../lib/wait');

const newApp = fixture(test);

/** Two bystanders; `check` makes sure that they still chat on the sockets they had. */
async function bystanders(app) {
  const ann = await app.raw('ann');
  const ben = (await app.raw('ben')).autoAcknowledge();
  let round = 0;
  return async () => {
    const text = `still here ${(round += 1)}`;
    const answer = await ann.text('ben', text);
    assert.equal(answer.status.errorCode ?? 0, 0);
    await ben.frames.when(() => ben.items().some((meta) => textOf(meta) === text), text);
    assert.deepEqual(app.server.panics(), []);
  };
}

/** Opens a TCP connection to the server and collects what comes. */
function tcp(app) {
  const [host, port] = app.server.listen.split(':');
  const socket = net.connect(Number(port), host);
  socket.received = '';
  socket.on('data', (chunk) => (socket.received += chunk));
  socket.on('close', () => (socket.over = true));
  socket.on('error', () => {});
  app.closers.push(() => socket.destroy());
  return socket;
}

test('frames that are no protobuf close the socket or are ignored; others are unaffected', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  for (const bytes of [Buffer.alloc(0), Buffer.from('ff'.repeat(64), 'hex'), crypto.randomBytes(5000), Buffer.from('4a05ffffffffff', 'hex'), Buffer.from('0a', 'hex')]) {
    const stranger = await app.raw('x', { login: false });
    stranger.bytes(bytes);
    await stranger.closing();
    const known = await app.raw('mallory');
    known.bytes(bytes);
    // Either it is closed, or it is still in order.
    await Promise.race([known.closing(), known.unread().catch(() => {})]);
    known.close();
  }
  await check();
});

test('every truncation of a good login frame does no harm', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const token = await app.userToken('mallory');
  const payload = encode('Provision', { osType: 16, version: '4.21.1', resource: 'r1', deviceUuid: 'u', authToken: '{}' });
  const whole = encode('MSync', { version: 0, command: 3, payload, guid: { appKey: app.key, name: 'mallory', domain: 'easemob.com' }, auth: `$t$${token}` });
  for (let length = 0; length < whole.length; length += 7) {
    const raw = await app.raw('mallory', { login: false });
    raw.bytes(whole.subarray(0, length));
    await raw.closing();
  }
  await check();
});

test('random bytes inside good frames, thousands of them, do no harm', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  let seed = 12345;
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  let raw = await app.raw('mallory');
  for (let round = 0; round < 3000; round += 1) {
    const body = encode('MessageBody', { type: 1 + Math.floor(random() * 8), from: { name: 'mallory' }, to: { name: 'ben2' }, contents: [{ type: 0, text: 'x' }], ackMessageId: '5', editMessageId: '6' });
    const frame = encode('MSync', { command: 0, payload: encode('CommSyncUL', { meta: { id: round + 1, to: raw.jid('ben2'), ns: 1, payload: body } }) });
    for (let flip = 0; flip < 1 + random() * 4; flip += 1) frame[Math.floor(random() * frame.length)] = Math.floor(random() * 256);
    if (raw.socket.readyState !== WebSocket.OPEN) raw = await app.raw('mallory');
    raw.bytes(frame);
    if (round % 100 === 99 && raw.socket.readyState === WebSocket.OPEN) {
      await Promise.race([raw.unread().catch(() => {}), raw.closing().catch(() => {})]);
    }
  }
  await check();
});

test('text frames are not understood: the socket is closed', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const raw = await app.raw('mallory');
  raw.socket.send('{"hello":"json"}');
  await raw.closing();
  await check();
});

test('a frame over the limit closes the socket, before it is read whole', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  for (const size of [100_000, 5_000_000]) {
    const raw = await app.raw('mallory');
    raw.bytes(Buffer.alloc(size, 1));
    await raw.closing();
  }
  await check();
});

test('unknown commands and a second PROVISION do no harm', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  for (const command of [2, 5, 99, 2147483647]) {
    const raw = await app.raw('mallory');
    raw.frame(command, crypto.randomBytes(20));
    await Promise.race([raw.closing(), raw.unread().catch(() => {})]);
  }
  const twice = await app.raw('mallory');
  twice.login(await app.userToken('ann')).catch(() => {});
  await Promise.race([twice.closing(), twice.text('ben', 'who am I').catch(() => {})]);
  await check();
});

test('texts that are not UTF-8 are refused, not forwarded', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const broken = Buffer.from('080112071205616c6963651a051203626f6222070800120 3ff fe fd'.replace(/ /g, ''), 'hex');
  const answer = await alice.answer(alice.submit('bob', broken));
  assert.notEqual(answer.status.errorCode ?? 0, 0);
  await alice.text('bob', 'good');
  const items = await bob.receive(1);
  assert.deepEqual(items.map(textOf), ['good']);
  await check();
});

test('JSON that nests without end in ext is refused', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const alice = await app.raw('alice');
  const stringValue = '['.repeat(2000) + ']'.repeat(2000);
  const answer = await alice.answer(alice.submit('bob', { contents: [{ type: 0, text: 'x' }], ext: [{ key: 'k', type: 8, stringValue }] }));
  assert.notEqual(answer.status.errorCode ?? 0, 0);
  await check();
});

test('long names, odd names and control characters in names are refused with an answer', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const alice = await app.raw('alice');
  for (const name of ['x'.repeat(65), 'x'.repeat(20_000), '../../etc', 'a\u0000b', 'a\nb', '名字', ' ', 'a#b', 'a/b/c']) {
    const answer = await alice.text(name, 'x');
    assert.notEqual(answer.status.errorCode ?? 0, 0, JSON.stringify(name.slice(0, 20)));
  }
  for (const resource of ['x'.repeat(5000), 'a\u0000b', 'a/b']) {
    const raw = await app.raw('alice', { login: false });
    const said = await raw.login(await app.userToken('alice'), { provision: { resource } });
    assert.notEqual(said.status.errorCode ?? 0, 0, JSON.stringify(resource.slice(0, 20)));
  }
  await check();
});

test('a login that never comes is closed', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const raw = await app.raw('mallory', { login: false });
  await raw.closing(40_000);
  await check();
});

test('slow loris: a request that trickles in is cut off, and many of them keep nobody out', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const slow = Array.from({ length: 50 }, () => tcp(app));
  for (const socket of slow) socket.write('POST /e2e/x/users HTTP/1.1\r\nhost: x\r\n');
  const drip = setInterval(() => slow.forEach((socket) => socket.writable && socket.write('x: y\r\n')), 500);
  try {
    await check();
    await until('all are cut off', () => slow.every((socket) => socket.over), { ms: 90_000, every: 200 });
  } finally {
    clearInterval(drip);
  }
  await check();
});

test('a body that never ends is cut off with 408 or a close', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const socket = tcp(app);
  socket.write(`POST ${new URL(app.base).pathname}/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n{"grant`);
  await until('it is refused', () => socket.received.includes(' 408 ') || socket.over, { ms: 90_000, every: 100 });
  await check();
});

test('HTTP that is none is refused', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  for (const bytes of ['\x16\x03\x01\x02\x00', 'GET / HTTP/9.9\r\n\r\n', 'x'.repeat(100_000), `GET /${'a'.repeat(60_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, `GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(2000)}\r\n`]) {
    const socket = tcp(app);
    socket.write(bytes);
    socket.end();
    await until('it ends', () => socket.over || socket.readableEnded, { ms: 20_000 });
    assert.doesNotMatch(socket.received, /^HTTP\/1.1 2/);
  }
  await check();
});

test('paths and queries of any bytes are answered with an error, never with a panic', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const paths = ['/users/%', '/users/%zz', '/users/%ff%fe', '/users/%00', `/users/${'a'.repeat(5000)}`, '/users?limit=-1', '/users?limit=99999999999999999999', '/users?cursor=%ff', '/users?cursor=undefined&limit=null', '//', '/users//status', '/chatfiles/%2e%2e', '/users/ann/offline_msg_status/notanumber'];
  for (const where of paths) {
    const { status } = await app.call('GET', where);
    assert.ok(status < 500 || status === 501, `${where}: ${status}`);
  }
  await check();
});

test('a client that never reads is dropped, and memory stays bounded', async () => {
  const server = await Server.start({ name: 'stall' });
  try {
    const app = await newApp({}, server);
    const check = await bystanders(app);
    const before = server.residentBytes();
    const deaf = await app.raw('deaf');
    deaf.socket.pause();
    const sender = await app.raw('alice');
    const text = 'x'.repeat(4000);
    let accepted = 0;
    // 40 MB to somebody who does not read: it may wait in the store, not in memory.
    for (let round = 0; round < 100; round += 1) {
      const ids = Array.from({ length: 100 }, () => sender.submitText('deaf', text));
      for (const id of ids) accepted += ((await sender.answer(id, 60_000)).status.errorCode ?? 0) === 0;
    }
    assert.equal(accepted, 10_000);
    await check();
    const grown = server.residentBytes() - before;
    assert.ok(grown < 120 * 1024 * 1024, `grew by ${Math.round(grown / 1048576)} MiB`);
    assert.deepEqual(server.panics(), []);
  } finally {
    await server.kill();
    server.removeData();
  }
});

test('a flood of sends by one client is answered, every one, and others still get through', async () => {
  const app = await newApp();
  const check = await bystanders(app);
  const alice = await app.raw('alice');
  const ids = Array.from({ length: 5000 }, (_, n) => alice.submitText('bob', `${n}`));
  const began = Date.now();
  await check();
  assert.ok(Date.now() - began < 15_000);
  const answers = [];
  for (const id of ids) answers.push(await alice.answer(id, 60_000));
  const taken = answers.filter((answer) => (answer.status.errorCode ?? 0) === 0);
  assert.ok(taken.length > 0);
  assert.equal(new Set(taken.map((answer) => answer.serverId)).size, taken.length);
});
