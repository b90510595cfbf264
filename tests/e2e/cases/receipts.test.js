'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { sdk } = require('../lib/sdk');

const newApp = fixture(test);

test('with the option `delivery` the sender learns that the message arrived', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const bob = await app.device('bob', { delivery: true });
  const sent = await alice.text('bob', 'x');
  assert.equal((await alice.next('onDeliveredMessage')).mid, sent.serverMsgId);
  // The SDK sends the receipt without a catch: let it have its answer before the close.
  await bob.next('onReceivedMessage');
});

test('a delivery receipt for a message that was fetched later reaches the sender as well', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const sent = await alice.text('bob', 'x');
  const bob = await app.device('bob', { delivery: true });
  assert.equal((await alice.next('onDeliveredMessage')).mid, sent.serverMsgId);
  await bob.next('onReceivedMessage');
});

test('a read receipt reaches the sender', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  const got = await bob.next('onTextMessage');
  await bob.conn.send(sdk.message.create({ type: 'read', chatType: 'singleChat', to: 'alice', id: got.id }));
  const read = await alice.next('onReadMessage');
  assert.deepEqual([read.mid, read.from], [sent.serverMsgId, 'bob']);
});

test('a conversation receipt reaches the peer', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  await bob.conn.send(sdk.message.create({ type: 'channel', chatType: 'singleChat', to: 'alice' }));
  const got = await alice.next('onChannelMessage');
  assert.deepEqual([got.from, got.to], ['bob', 'alice']);
});

test('receipts wait for a sender who is away', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  const got = await bob.next('onTextMessage');
  const { resource } = alice;
  await alice.close();
  await bob.conn.send(sdk.message.create({ type: 'delivery', chatType: 'singleChat', to: 'alice', ackId: got.id }));
  await bob.conn.send(sdk.message.create({ type: 'read', chatType: 'singleChat', to: 'alice', id: got.id }));
  await bob.conn.send(sdk.message.create({ type: 'channel', chatType: 'singleChat', to: 'alice' }));
  const again = await app.device('alice');
  assert.notEqual(again.resource, undefined);
  assert.notEqual(resource, undefined);
  assert.equal((await again.next('onDeliveredMessage')).mid, sent.serverMsgId);
  assert.equal((await again.next('onReadMessage')).mid, sent.serverMsgId);
  await again.next('onChannelMessage');
});

test("a read receipt is mirrored to the reader's other devices", async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const [phone, desk] = [await app.device('bob'), await app.device('bob')];
  const sent = await alice.text('bob', 'x');
  const got = await phone.next('onTextMessage');
  await phone.conn.send(sdk.message.create({ type: 'read', chatType: 'singleChat', to: 'alice', id: got.id }));
  assert.equal((await desk.next('onReadMessage')).mid, sent.serverMsgId);
});

test('receipts do not count as messages', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  await alice.text('bob', 'x');
  const got = await bob.next('onTextMessage');
  await bob.conn.send(sdk.message.create({ type: 'read', chatType: 'singleChat', to: 'alice', id: got.id }));
  await alice.next('onReadMessage');
  assert.equal(alice.seen('onMessage').length, 0);
});
