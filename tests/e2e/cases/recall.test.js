'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { rejection } = require('../lib/sdk');

const newApp = fixture(test);
const recall = (client, mid, to, extra = {}) =>
  client.conn.recallMessage({ mid, to, chatType: 'singleChat', ...extra });

test('a recall reaches the peer and the own other devices, with its extension', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const other = await app.device('alice');
  const sent = await alice.text('bob', 'oops');
  await bob.next('onTextMessage');
  await recall(alice, sent.serverMsgId, 'bob', { ext: 'why' });
  const got = await bob.next('onRecallMessage');
  assert.deepEqual([got.mid, got.from, got.ext], [sent.serverMsgId, 'alice', 'why']);
  assert.equal((await other.next('onRecallMessage')).mid, sent.serverMsgId);
});

test('a recalled message vanishes from the undelivered queue: only the recall is delivered', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const kept = await alice.text('bob', 'kept');
  const gone = await alice.text('bob', 'the secret');
  await recall(alice, gone.serverMsgId, 'bob');
  const marker = await alice.text('bob', 'marker');
  const bob = await app.device('bob');
  await bob.next('onTextMessage', (message) => message.id === marker.serverMsgId);
  assert.equal((await bob.next('onRecallMessage')).mid, gone.serverMsgId);
  assert.deepEqual(bob.seen('onTextMessage').map((message) => message.id), [kept.serverMsgId, marker.serverMsgId]);
});

test('the text of a recalled message is on no frame at all', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const gone = await alice.text('bob', 'the secret text');
  await recall(alice, gone.serverMsgId, 'bob');
  const bob = await app.raw('bob');
  const items = await bob.drain('alice');
  assert.ok(items.length >= 1);
  for (const item of items) assert.ok(!item.payload.includes('the secret text'));
});

test('after the window a recall is refused with type 504', async () => {
  const app = await newApp({ recall_window_ms: 1 });
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  await bob.next('onTextMessage');
  assert.equal((await rejection(recall(alice, sent.serverMsgId, 'bob'))).type, 504);
});

test('where recall is switched off it is refused with type 505', async () => {
  const app = await newApp({ recall_enabled: false });
  const [alice] = await app.online('alice');
  const sent = await alice.text('bob', 'x');
  assert.equal((await rejection(recall(alice, sent.serverMsgId, 'bob'))).type, 505);
});

test('an unknown id is refused', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice', 'bob');
  await alice.text('bob', 'x');
  assert.ok((await rejection(recall(alice, '123456789012345', 'bob'))).type > 0);
});

test("somebody else's message cannot be recalled", async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'mine');
  await bob.next('onTextMessage');
  const error = await rejection(recall(bob, sent.serverMsgId, 'alice'));
  assert.ok(error.type > 0);
  await bob.text('alice', 'marker');
  await alice.next('onTextMessage');
  assert.equal(alice.seen('onRecallMessage').length, 0);
});

test('a message of another conversation cannot be recalled through this one', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('carol', 'for carol');
  await rejection(recall(alice, sent.serverMsgId, 'bob'));
  const carol = await app.device('carol');
  assert.equal((await carol.next('onTextMessage')).msg, 'for carol');
  assert.equal(bob.seen('onRecallMessage').length, 0);
});
