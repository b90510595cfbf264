'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { rejection } = require('../lib/sdk');

const newApp = fixture(test);

function edit(client, messageId, to, msg, fields = {}) {
  const modifiedMessage = client.message('txt', to, { msg, ...fields });
  return client.conn.modifyMessage({ messageId, modifiedMessage });
}

test('an edit answers with what happened, and the peer and own devices learn of it', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const other = await app.device('alice');
  const sent = await alice.text('bob', 'helo');
  await bob.next('onTextMessage');
  const { message } = await edit(alice, sent.serverMsgId, 'bob', 'hello');
  assert.equal(message.modifiedInfo.operationCount, 1);
  assert.equal(message.modifiedInfo.operatorId, 'alice');
  assert.ok(Math.abs(message.modifiedInfo.operationTime - Date.now()) < 10_000);
  for (const client of [bob, other]) {
    const got = await client.next('onModifiedMessage');
    assert.deepEqual([got.id, got.msg, got.from, got.chatType], [sent.serverMsgId, 'hello', 'alice', 'singleChat']);
    assert.equal(Number(got.time), Number(sent.message.time));
    assert.equal(got.modifiedInfo.operationCount, 1);
  }
});

test('the ext can be edited with the text', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'a', { ext: { v: 1 } });
  await edit(alice, sent.serverMsgId, 'bob', 'b', { ext: { v: 2 } });
  const got = await bob.next('onModifiedMessage');
  assert.deepEqual([got.msg, got.ext], ['b', { v: 2 }]);
});

test('a custom message can be edited', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.send('custom', 'bob', { customEvent: 'vote', customExts: { n: '1' } });
  const modifiedMessage = alice.message('custom', 'bob', { customEvent: 'vote', customExts: { n: '2' } });
  await alice.conn.modifyMessage({ messageId: sent.serverMsgId, modifiedMessage });
  assert.deepEqual((await bob.next('onModifiedMessage')).customExts, { n: '2' });
});

test('who was away gets the message and its edit', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const sent = await alice.text('bob', 'old');
  await edit(alice, sent.serverMsgId, 'bob', 'new');
  const bob = await app.device('bob');
  const got = await bob.next('onModifiedMessage');
  assert.deepEqual([got.id, got.msg], [sent.serverMsgId, 'new']);
});

test('edits are counted, and one too many is refused with type 50', async () => {
  const app = await newApp({ edits_per_message: 2 });
  const [alice] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'a');
  await edit(alice, sent.serverMsgId, 'bob', 'b');
  const { message } = await edit(alice, sent.serverMsgId, 'bob', 'c');
  assert.equal(message.modifiedInfo.operationCount, 2);
  assert.equal((await rejection(edit(alice, sent.serverMsgId, 'bob', 'd'))).type, 50);
});

test("somebody else's message cannot be edited: type 603", async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'mine');
  await bob.next('onTextMessage');
  assert.equal((await rejection(edit(bob, sent.serverMsgId, 'alice', 'yours'))).type, 603);
});

test('a message that does not exist cannot be edited: type 1302', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice', 'bob');
  await alice.text('bob', 'x');
  assert.equal((await rejection(edit(alice, '123456789012345', 'bob', 'y'))).type, 1302);
});

test('a recalled message cannot be edited', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  await alice.conn.recallMessage({ mid: sent.serverMsgId, to: 'bob', chatType: 'singleChat' });
  assert.equal((await rejection(edit(alice, sent.serverMsgId, 'bob', 'y'))).type, 1302);
});

test('a text cannot become another type: type 1303', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  const modifiedMessage = alice.message('custom', 'bob', { customEvent: 'e', customExts: {} });
  assert.equal((await rejection(alice.conn.modifyMessage({ messageId: sent.serverMsgId, modifiedMessage }))).type, 1303);
});

test('where editing is switched off it is refused with type 505', async () => {
  const app = await newApp({ edit_enabled: false });
  const [alice] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  assert.equal((await rejection(edit(alice, sent.serverMsgId, 'bob', 'y'))).type, 505);
});
