'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { sdk } = require('../lib/sdk');
const { encode, decode } = require('../lib/raw');

const newApp = fixture(test);

async function pair() {
  const app = await newApp();
  return [app, ...(await app.online('alice', 'bob'))];
}

test('a text arrives with the id and time of the answer', async () => {
  const [, alice, bob] = await pair();
  const sent = await alice.text('bob', 'hello, 你好 🎉');
  assert.match(sent.serverMsgId, /^\d{16,19}$/);
  assert.equal(sent.message.id, sent.serverMsgId);
  const got = await bob.next('onTextMessage');
  assert.equal(got.id, sent.serverMsgId);
  assert.equal(got.time, sent.message.time);
  assert.ok(Math.abs(got.time - Date.now()) < 10_000);
  assert.deepEqual([got.from, got.to, got.msg, got.chatType], ['alice', 'bob', 'hello, 你好 🎉', 'singleChat']);
  assert.equal(got.onlineState, 1);
});

test('the answer also raises onReceivedMessage with both ids', async () => {
  const [, alice] = await pair();
  const sent = await alice.text('bob', 'x');
  const event = await alice.next('onReceivedMessage');
  assert.deepEqual([event.id, event.mid], [sent.localMsgId, sent.serverMsgId]);
});

test('ext values of every type arrive as they were sent', async () => {
  const [, alice, bob] = await pair();
  const ext = {
    int: 1, negative: -5, big: 4_000_000_000, zero: 0, double: 1.5, text: 'x', empty: '', yes: true, no: false,
    object: { a: [1, { b: null }] }, list: [1, 'two', false], nothing: null,
  };
  await alice.text('bob', 'with ext', { ext });
  assert.deepEqual((await bob.next('onTextMessage')).ext, ext);
});

test('ext of the types that only other SDKs send arrives', async () => {
  const [app, , bob] = await pair();
  const raw = await app.raw('alice');
  await raw.answer(raw.submit('bob', {
    contents: [{ type: 0, text: 'typed' }],
    ext: [
      { key: 'u', type: 3, varintValue: 7 }, { key: 'l', type: 4, varintValue: '8' },
      { key: 'f', type: 5, floatValue: 0.5 }, { key: 'd', type: 6, doubleValue: 2.25 },
    ],
  }));
  assert.deepEqual((await bob.next('onTextMessage')).ext, { u: 7, l: 8, f: 0.5, d: 2.25 });
});

test('a location arrives', async () => {
  const [, alice, bob] = await pair();
  await alice.send('loc', 'bob', { addr: 'Main St 1', buildingName: 'Tower', lat: 52.52, lng: -13.405 });
  const got = await bob.next('onLocationMessage');
  assert.deepEqual([got.addr, got.buildingName, got.lat, got.lng], ['Main St 1', 'Tower', 52.52, -13.405]);
});

test('a command arrives and stays out of onMessage', async () => {
  const [, alice, bob] = await pair();
  await alice.send('cmd', 'bob', { action: 'typing', ext: { n: 1 } });
  await alice.text('bob', 'after');
  const got = await bob.next('onCmdMessage');
  assert.deepEqual([got.action, got.ext], ['typing', { n: 1 }]);
  await bob.next('onTextMessage');
  await bob.next('onMessage');
  assert.ok(bob.seen('onMessage').flat().every((message) => message.type === 'txt'));
});

test('a custom message arrives with its event and its values', async () => {
  const [, alice, bob] = await pair();
  await alice.send('custom', 'bob', { customEvent: 'gift', customExts: { name: 'rose', n: '3' }, ext: { k: 'v' } });
  const got = await bob.next('onCustomMessage');
  assert.deepEqual([got.customEvent, got.customExts, got.ext], ['gift', { name: 'rose', n: '3' }, { k: 'v' }]);
});

test('the body is forwarded byte for byte: order, presence and unknown fields', async () => {
  const app = await newApp();
  const [alice, carol] = [await app.raw('alice'), await app.raw('carol')];
  const known = encode('MessageBody', {
    type: 1, from: { name: 'alice' }, to: { name: 'carol' }, contents: [{ type: 0, text: '', subType: 0 }],
  });
  // Field 100, a string, before; field 999, bytes, after.
  const body = Buffer.concat([Buffer.from('a20603616263', 'hex'), known, Buffer.from('ba3e04deadbeef', 'hex')]);
  const answer = await alice.answer(alice.submit('carol', body));
  assert.equal(answer.status.errorCode ?? 0, 0);
  const { metas: [meta] } = await carol.delivery('alice');
  assert.equal(meta.payload.toString('hex'), body.toString('hex'));
  assert.equal(decode('MessageBody', meta.payload).contents[0].subType, 0);
});

test('a text stays a text and a combined message stays one: subType 0 is kept as sent', async () => {
  const [app, alice, bob] = await pair();
  await alice.text('bob', 'plain');
  await bob.next('onTextMessage');
  const raw = await app.raw('alice');
  await raw.answer(raw.submit('bob', {
    contents: [{ type: 0, subType: 0, text: 'fallback', title: 't', summary: 's', combineLevel: 1, remotePath: 'http://h/f', secretKey: 'k', displayName: 'c', fileLength: 3 }],
  }));
  const got = await bob.next('onCombineMessage');
  assert.deepEqual([got.title, got.summary, got.compatibleText], ['t', 's', 'fallback']);
});

test('a batch raises one onMessage with the same messages', async () => {
  const [, alice, bob] = await pair();
  const sent = await alice.text('bob', 'one');
  const [message] = await bob.next('onMessage');
  assert.equal(message.id, sent.serverMsgId);
});

test("one sender's messages keep their order", async () => {
  const [, alice, bob] = await pair();
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => alice.text('bob', `m${n}`)));
  const got = await bob.count('onTextMessage', 100);
  assert.deepEqual(got.map((message) => message.msg), Array.from({ length: 100 }, (_, n) => `m${n}`));
  assert.deepEqual(got.map((message) => message.id), answers.map((answer) => answer.serverMsgId));
  const ids = got.map((message) => BigInt(message.id));
  assert.ok(ids.every((id, n) => n === 0 || id > ids[n - 1]), 'ids grow with the order');
});

test('a message to a name that nobody has is accepted, as documented', async () => {
  const [, alice] = await pair();
  const sent = await alice.text('nobody', 'hello?');
  assert.match(sent.serverMsgId, /^\d+$/);
});

test('a body above the limit is refused with type 511, one below is not', async () => {
  const app = await newApp({ message_limit: 3000 });
  const [alice, bob] = await app.online('alice', 'bob');
  await alice.text('bob', 'x'.repeat(2900));
  await bob.next('onTextMessage');
  const error = await alice.text('bob', 'x'.repeat(3001)).then(() => null, (reason) => reason);
  assert.equal(error.type, 511);
  await alice.text('bob', 'still here');
  await bob.next('onTextMessage', (message) => message.msg === 'still here');
});

test('a group that does not exist is refused with type 605', async () => {
  const [, alice] = await pair();
  const message = sdk.message.create({ chatType: 'groupChat', type: 'txt', to: '123456789', msg: 'x' });
  const error = await alice.conn.send(message).then(() => null, (reason) => reason);
  assert.equal(error.type, 605);
});

test('joining a room that does not exist is answered, with type 705', async () => {
  const [, alice] = await pair();
  const error = await alice.conn.joinChatRoom({ roomId: '987654321' }).then(() => null, (reason) => reason);
  assert.equal(error.type, 705);
});

test("another tenant's user of the same name hears nothing", async () => {
  const [, alice, bob] = await pair();
  const other = await newApp();
  const [stranger] = await other.online('bob');
  await alice.text('bob', 'for our bob');
  await bob.next('onTextMessage');
  const [carol] = await other.online('carol');
  await carol.text('bob', 'marker');
  await stranger.next('onTextMessage', (message) => message.msg === 'marker');
  assert.equal(stranger.seen('onTextMessage').length, 1);
});
