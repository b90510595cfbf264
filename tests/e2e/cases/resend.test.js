'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { nextId, textOf } = require('../lib/raw');
const { until } = require('../lib/wait');

const newApp = fixture(test);

test('the SDK sends one message twice: one id, stored and delivered once', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const message = alice.message('txt', 'bob', { msg: 'once' });
  const first = await alice.conn.send(message);
  const second = await alice.conn.send(message);
  assert.equal(second.serverMsgId, first.serverMsgId);
  const marker = await alice.text('bob', 'marker');
  await bob.next('onTextMessage', (got) => got.id === marker.serverMsgId);
  assert.equal(bob.seen('onTextMessage', (got) => got.msg === 'once').length, 1);
});

test('the same client id twice on the wire, at once and later, gives the first answer; the receiver gets one item', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const id = nextId();
  for (let n = 0; n < 5; n += 1) alice.submitText('bob', 'once', { id });
  const answers = [];
  for (let n = 0; n < 5; n += 1) answers.push(await alice.answer(id));
  answers.push(await alice.text('bob', 'once', { id }));
  assert.equal(new Set(answers.map((answer) => answer.serverId)).size, 1);
  assert.equal(new Set(answers.map((answer) => answer.timestamp)).size, 1);
  await alice.text('bob', 'marker');
  await bob.frames.when(() => bob.items().some((meta) => textOf(meta) === 'marker'));
  assert.deepEqual(bob.items().map(textOf), ['once', 'marker']);
});

test('a resend after a reconnection, of the same device, is the same message', async () => {
  const app = await newApp();
  const bob = (await app.raw('bob')).autoAcknowledge();
  const id = nextId();
  const first = await app.raw('alice', { resource: 'phone' });
  const answer = await first.text('bob', 'once', { id });
  first.close();
  const second = await app.raw('alice', { resource: 'phone' });
  assert.equal((await second.text('bob', 'once', { id })).serverId, answer.serverId);
  await second.text('bob', 'marker');
  await bob.receive(2);
  assert.deepEqual(bob.items().map(textOf), ['once', 'marker']);
});

test('a send whose answer was lost with the line is not lost and not doubled', async () => {
  const app = await newApp();
  const proxy = await app.proxy();
  const bob = (await app.raw('bob')).autoAcknowledge();
  const alice = await app.raw('alice', { resource: 'phone', url: proxy.url });
  const id = nextId();
  proxy.mute = true;
  alice.submitText('bob', 'unanswered', { id });
  const [stored] = await bob.receive(1);
  proxy.cut();
  proxy.mute = false;
  await alice.closing();
  const again = await app.raw('alice', { resource: 'phone', url: proxy.url });
  assert.equal((await again.text('bob', 'unanswered', { id })).serverId, stored.id);
  await again.text('bob', 'marker');
  await bob.receive(2);
  assert.deepEqual(bob.items().map(textOf), ['unanswered', 'marker']);
});

test('another device with the same client id means another message', async () => {
  const app = await newApp();
  const [phone, desk] = [await app.raw('alice'), await app.raw('alice')];
  const id = nextId();
  const one = await phone.text('bob', 'from the phone', { id });
  const two = await desk.text('bob', 'from the desk', { id });
  assert.notEqual(one.serverId, two.serverId);
});

test('a recall with the client id of an earlier message is a recall: the SDK counts them apart', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const id = nextId();
  const sent = await alice.text('bob', 'oops', { id });
  const recall = { type: 6, ackMessageId: sent.serverId, contents: [{}] };
  const answer = await alice.answer(alice.submit('bob', recall, { id }));
  assert.notEqual(answer.serverId, sent.serverId);
  await bob.receive(2);
  assert.deepEqual(bob.items().map((meta) => meta.message.type), [1, 6]);
});

test('receipts, recalls and edits are as idempotent as messages', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const sent = await alice.text('bob', 'x');
  for (const message of [
    { type: 8, editMessageId: sent.serverId, editScope: 1, contents: [{ type: 0, text: 'y' }] },
    { type: 6, ackMessageId: sent.serverId, contents: [{}] },
  ]) {
    const id = nextId();
    const answers = [];
    for (let n = 0; n < 2; n += 1) answers.push(await alice.answer(alice.submit('bob', message, { id })));
    assert.deepEqual(answers.map((answer) => answer.status.errorCode ?? 0), [0, 0]);
    assert.equal(answers[0].serverId, answers[1].serverId);
  }
  await alice.text('bob', 'marker');
  await until('the marker came', () => bob.items().some((meta) => meta.message.contents[0].text === 'marker'));
  const kinds = bob.items().map((meta) => meta.message.type);
  assert.equal(kinds.filter((kind) => kind === 8).length, 1);
  assert.equal(kinds.filter((kind) => kind === 6).length, 1);
});
