'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

/** Sends many texts with a window, gives the server ids in order. */
async function sendMany(app, from, to, count) {
  const sender = await app.raw(from);
  const ids = [];
  for (let n = 0; n < count; n += 50) {
    const batch = Array.from({ length: Math.min(50, count - n) }, (_, at) => sender.submitText(to, `${from} ${n + at}`));
    for (const id of batch) ids.push((await sender.answer(id)).serverId);
  }
  return ids;
}

test('1,000 messages sent while away: each comes once and in order at login', async () => {
  const app = await newApp();
  await app.userToken('bob');
  const ids = await sendMany(app, 'alice', 'bob', 1000);
  const bob = await app.device('bob');
  await bob.count('onTextMessage', 1000, 60_000);
  await bob.next('onOfflineMessageSyncFinish', () => true, 60_000);
  const got = bob.seen('onTextMessage');
  assert.deepEqual(got.map((message) => message.id), ids);
  assert.deepEqual(got.map((message) => message.msg), Array.from({ length: 1000 }, (_, n) => `alice ${n}`));
  await app.caughtUp('bob');
});

test('the offline sync is announced, start and finish, and only when there is something', async () => {
  const app = await newApp();
  const [bob] = await app.online('bob');
  const [alice] = await app.online('alice');
  await alice.text('bob', 'live');
  await bob.next('onTextMessage');
  assert.equal(bob.seen('onOfflineMessageSyncStart').length, 0);
  await alice.text('carol', 'waiting');
  const carol = await app.device('carol');
  await carol.next('onOfflineMessageSyncStart');
  await carol.next('onTextMessage');
  await carol.next('onOfflineMessageSyncFinish');
});

test('many conversations waiting: all come, each in its order', async () => {
  const app = await newApp();
  const people = Array.from({ length: 30 }, (_, n) => `friend${n}`);
  const expected = {};
  await Promise.all(people.map(async (name) => (expected[name] = await sendMany(app, name, 'bob', 7))));
  const bob = await app.device('bob');
  await bob.next('onOfflineMessageSyncFinish', () => true, 30_000);
  await bob.count('onTextMessage', 210, 30_000);
  for (const name of people) {
    const got = bob.seen('onTextMessage', (message) => message.from === name);
    assert.deepEqual(got.map((message) => message.id), expected[name]);
  }
});

test('messages that arrive during the sync come after the waiting ones, once', async () => {
  const app = await newApp();
  await app.userToken('bob');
  const waiting = await sendMany(app, 'alice', 'bob', 300);
  const bob = app.client('bob');
  const opening = bob.open({ accessToken: await app.userToken('bob') });
  const live = await sendMany(app, 'alice', 'bob', 100);
  await opening;
  const got = await bob.count('onTextMessage', 400, 30_000);
  assert.deepEqual(got.map((message) => message.id), [...waiting, ...live]);
});

test('what was acknowledged does not come again to the same device', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const bob = await app.device('bob', { deviceId: 'phone' });
  await alice.text('bob', 'one');
  await bob.next('onTextMessage');
  await app.caughtUp('bob');
  await bob.close();
  const second = await alice.text('bob', 'two');
  const again = await app.device('bob', { deviceId: 'phone' });
  assert.equal((await again.next('onTextMessage')).id, second.serverMsgId);
  assert.equal(again.seen('onTextMessage').length, 1);
});

test('two devices of one user and a third that joins later', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const phone = await app.device('bob', { deviceId: 'phone' });
  const desk = await app.device('bob', { deviceId: 'desk' });
  const first = await alice.text('bob', 'to both');
  for (const device of [phone, desk]) assert.equal((await device.next('onTextMessage')).id, first.serverMsgId);
  await app.caughtUp('bob');
  await phone.close();
  await desk.close();
  const away = [];
  for (let n = 0; n < 5; n += 1) away.push((await alice.text('bob', `away ${n}`)).serverMsgId);
  // The third gets what no device of bob's had acknowledged, and everything from then on.
  const third = await app.device('bob', { deviceId: 'tablet' });
  await third.count('onTextMessage', 5);
  assert.deepEqual(third.seen('onTextMessage').map((message) => message.id), away);
  const last = await alice.text('bob', 'to the third');
  assert.equal((await third.next('onTextMessage', (message) => message.msg === 'to the third')).id, last.serverMsgId);
  // The first two still get their own share when they return.
  for (const deviceId of ['phone', 'desk']) {
    const back = await app.device('bob', { deviceId });
    await back.count('onTextMessage', 6);
    assert.deepEqual(back.seen('onTextMessage').map((message) => message.id), [...away, last.serverMsgId]);
  }
});

test('an own message that was sent while another own device was away reaches it later', async () => {
  const app = await newApp();
  const desk = await app.device('alice', { deviceId: 'desk' });
  await desk.close();
  const phone = await app.device('alice', { deviceId: 'phone' });
  const sent = await phone.text('bob', 'from the phone');
  const back = await app.device('alice', { deviceId: 'desk' });
  const got = await back.next('onTextMessage');
  assert.deepEqual([got.id, got.from, got.to], [sent.serverMsgId, 'alice', 'bob']);
});

test('messages to a user who registers later do not appear from before', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  await alice.text('late', 'before you existed');
  await app.register('late', 'pw');
  const late = app.client('late');
  await late.open({ pwd: 'pw' });
  await alice.text('late', 'welcome');
  await late.next('onTextMessage', (message) => message.msg === 'welcome');
});

test('who registers a deleted name anew gets nothing of what waited for the old owner', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  await app.register('bob', 'pw');
  await alice.text('bob', 'for the old bob');
  await app.ok('DELETE', '/users/bob');
  await app.register('bob', 'pw');
  const bob = app.client('bob');
  await bob.open({ pwd: 'pw' });
  await alice.text('bob', 'for the new bob');
  await bob.next('onTextMessage', (message) => message.msg === 'for the new bob');
  assert.equal(bob.seen('onTextMessage').length, 1);
});
