'use strict';
// The rules of the queues, each with the breach that would make the unmodified SDK misbehave. On a bare socket, since
// the SDK hides what is asked and acknowledged.
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { textOf } = require('../lib/raw');

const newApp = fixture(test);

async function sendTexts(app, from, to, count, prefix = '') {
  const sender = await app.raw(from);
  const sent = Array.from({ length: count }, (_, n) => sender.submitText(to, `${prefix}${n}`));
  const ids = [];
  for (const id of sent) ids.push((await sender.answer(id)).serverId);
  return ids;
}

const syncs = (raw) => raw.frames.all((frame) => frame.command === 0).map((frame) => frame.body);
const deliveries = (raw) => syncs(raw).filter((body) => !Number(body.metaId || 0));

test('rule 1: every SYNC from the server carries a status, also answers and empty ones', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 45);
  const bob = await app.raw('bob');
  await bob.drain('alice');
  await bob.pull('nobody');
  await bob.text('alice', 'x');
  await bob.answer(bob.submit('alice', { type: 6, ackMessageId: '1', contents: [{}] }));
  assert.ok(syncs(bob).length >= 5);
  for (const body of syncs(bob)) assert.ok(body.status, JSON.stringify(body));
});

test('rule 2: every delivery and every NOTICE names its queue', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 30);
  const bob = (await app.raw('bob')).autoAcknowledge();
  await bob.drain('alice');
  await sendTexts(app, 'alice', 'bob', 30, 'live ');
  await bob.receive(60);
  for (const body of deliveries(bob)) assert.equal(body.queue?.name, 'alice');
  for (const { body } of bob.frames.all((frame) => frame.command === 2)) assert.equal(body.queue.name, 'alice');
});

test('rule 3: items come with isLast false and a key; isLast true comes alone', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 100);
  const bob = await app.raw('bob');
  assert.equal((await bob.drain('alice')).length, 100);
  for (const body of deliveries(bob)) {
    if (body.metas?.length) {
      assert.notEqual(body.isLast, true);
      assert.ok(Number(body.nextKey) > 0);
    } else {
      assert.equal(body.isLast, true);
    }
  }
  assert.equal(deliveries(bob).at(-1).isLast, true);
});

test('rule 4: a key is never given out twice for a queue, not even after a reconnection', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 600);
  const keys = [];
  for (let round = 0; round < 4; round += 1) {
    const bob = await app.raw('bob', { resource: 'phone' });
    // The last batch of a round is not acknowledged, so the same items travel again.
    keys.push((await bob.pull('alice')).nextKey);
    if (round === 2) keys.push((await bob.pull('alice', keys.at(-1))).nextKey);
    bob.close();
  }
  assert.equal(keys.length, 5);
  assert.ok(keys.every((key) => Number(key) > 0), keys.join(' '));
  assert.equal(new Set(keys).size, keys.length, keys.join(' '));
});

test('rule 5: a key of 0 or one that was never given out acknowledges nothing', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 3);
  const bob = await app.raw('bob', { resource: 'phone' });
  const first = await bob.pull('alice');
  assert.equal(first.metas.length, 3);
  for (const key of [0, '1', '18446744073709551615']) await bob.pull('alice', key);
  bob.close();
  const again = await app.raw('bob', { resource: 'phone' });
  assert.deepEqual((await again.drain('alice')).map(textOf), ['0', '1', '2']);
});

test('rule 6: what was sent but not acknowledged comes again on the next connection', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 5);
  const first = await app.raw('bob', { resource: 'phone' });
  assert.equal((await first.pull('alice')).metas.length, 5);
  first.close();
  const second = await app.raw('bob', { resource: 'phone' });
  assert.equal(second.listed.unread[0].queue.name, 'alice');
  assert.equal(second.listed.unread[0].n, 5);
  assert.deepEqual((await second.drain('alice')).map(textOf), ['0', '1', '2', '3', '4']);
  const third = await app.raw('bob', { resource: 'phone' });
  assert.deepEqual(third.listed.unread ?? [], []);
});

test('rule 7: what arrives while a queue is being pulled comes with the acknowledgement or after it, without a new login', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 1, 'old ');
  const bob = await app.raw('bob');
  const first = await bob.pull('alice');
  assert.deepEqual(first.metas.map(textOf), ['old 0']);
  // The batch is out, not acknowledged: these come in between.
  await sendTexts(app, 'alice', 'bob', 3, 'new ');
  bob.autoAcknowledge();
  bob.ask('alice', first.nextKey);
  const items = await bob.receive(4);
  assert.deepEqual(items.map(textOf), ['old 0', 'new 0', 'new 1', 'new 2']);
});

test('rule 7: after "empty, last" the next item wakes the client again', async () => {
  const app = await newApp();
  const bob = (await app.raw('bob')).autoAcknowledge();
  const [alice] = [await app.raw('alice')];
  for (let n = 0; n < 30; n += 1) {
    await alice.text('bob', `${n}`);
    await bob.receive(n + 1);
  }
  assert.deepEqual(bob.items().map(textOf), Array.from({ length: 30 }, (_, n) => `${n}`));
});

test('rule 8: a queue that was left in the middle is listed after the next login, and ends with "empty, last"', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 600);
  const first = await app.raw('bob', { resource: 'phone' });
  const batch = await first.pull('alice');
  await first.pull('alice', batch.nextKey);
  first.close();
  const second = await app.raw('bob', { resource: 'phone' });
  assert.ok(second.listed.unread.some((entry) => entry.queue.name === 'alice'));
  await second.drain('alice');
  assert.equal(deliveries(second).at(-1).isLast, true);
});

test('rule 9: the queue of messages to oneself never bears the own resource', async () => {
  const app = await newApp();
  const [phone, desk] = [await app.raw('alice'), await app.raw('alice')];
  desk.autoAcknowledge();
  await phone.text('alice', 'note');
  await desk.receive(1);
  const third = await app.raw('alice');
  await phone.text('alice', 'note 2');
  await third.drain('alice');
  for (const raw of [desk, third]) {
    for (const body of [...deliveries(raw), ...raw.frames.all((frame) => frame.command === 2).map((f) => f.body)]) {
      assert.notEqual(body.queue.clientResource, raw.resource);
    }
  }
});

test('rule 10: a pull without a key does not resend what this connection has had', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 10);
  const bob = await app.raw('bob');
  const first = await bob.pull('alice');
  assert.equal(first.metas.length, 10);
  const again = await bob.pull('alice');
  assert.deepEqual(again.metas ?? [], []);
  assert.equal(again.isLast, true);
  await bob.pull('alice', first.nextKey);
  assert.equal(bob.items().length, 10);
});

test('rule 11: an item that would stop the client\'s decoder is refused at the sender', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const text = { contents: [{ type: 0, text: 'x' }] };
  const breakers = {
    'no content': { contents: [] },
    'broken JSON in ext': { ...text, ext: [{ key: 'k', type: 8, stringValue: '{broken' }] },
    'broken JSON in customExts': { contents: [{ type: 7, customEvent: 'e', customExts: [{ key: 'k', type: 8, stringValue: ']' }] }] },
    'broken meta': { ...text, meta: 'not json' },
    'a read receipt with a broken ext[0]': { type: 4, ackMessageId: '5', contents: [{}], ext: [{ key: 'c', type: 8, stringValue: '' }] },
    'type 0': { type: 0, ...text },
  };
  for (const [what, message] of Object.entries(breakers)) {
    const answer = await alice.answer(alice.submit('bob', message));
    assert.notEqual(answer.status.errorCode ?? 0, 0, what);
    assert.notEqual(answer.status.errorCode, 7, `${what}: code 7 with an unknown text hangs the promise`);
  }
  await alice.text('bob', 'marker');
  await bob.receive(1);
  assert.deepEqual(bob.items().map(textOf), ['marker']);
});

test('UNREAD: every listed queue ends by one "empty, last", however often it is pulled', async () => {
  const app = await newApp();
  for (const name of ['ann', 'ben', 'cat']) await sendTexts(app, name, 'bob', 25);
  const bob = await app.raw('bob');
  assert.deepEqual(bob.listed.unread.map((entry) => [entry.queue.name, entry.n]).sort(), [['ann', 25], ['ben', 25], ['cat', 25]]);
  // As the client does: all at once.
  bob.autoAcknowledge();
  for (const { queue } of bob.listed.unread) bob.ask(queue.name);
  const last = (name) => deliveries(bob).filter((body) => body.queue.name === name && body.isLast);
  await bob.frames.when(() => ['ann', 'ben', 'cat'].every((name) => last(name).length));
  assert.equal(bob.items().length, 75);
});

test('heartbeat UNREADs list only what this connection has not had yet', async () => {
  const app = await newApp();
  await sendTexts(app, 'alice', 'bob', 5);
  const bob = await app.raw('bob');
  assert.equal(bob.listed.unread.length, 1);
  const batch = await bob.pull('alice');
  assert.equal(batch.metas.length, 5);
  assert.deepEqual((await bob.unread()).unread ?? [], []);
});

test('a pull of a queue that the server does not know ends at once', async () => {
  const app = await newApp();
  const bob = await app.raw('bob');
  for (const name of ['stranger', 'x'.repeat(500), '', 'ünïcode', '../..']) {
    const empty = await bob.pull(name);
    assert.equal(empty.isLast, true);
    assert.deepEqual(empty.metas ?? [], []);
  }
});
