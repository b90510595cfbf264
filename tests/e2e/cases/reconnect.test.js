'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

async function waiting(app, count, to = 'bob') {
  await app.userToken(to);
  const sender = await app.raw('alice');
  const sent = Array.from({ length: count }, (_, n) => sender.submitText(to, `${n} ${'.'.repeat(60)}`));
  const ids = [];
  for (const id of sent) ids.push((await sender.answer(id)).serverId);
  return ids;
}

test('a line that breaks several times in mid-sync loses nothing and doubles nothing', async () => {
  const app = await newApp();
  const ids = await waiting(app, 600);
  const proxy = await app.proxy();
  proxy.cutAfter = [9_000, 21_111, 40_005];
  const bob = app.client('bob', { url: proxy.url, deviceId: 'phone' });
  await bob.open({ accessToken: await app.userToken('bob') });
  await bob.count('onTextMessage', 600, 60_000);
  assert.ok(proxy.connections >= 4, `${proxy.connections} connections`);
  assert.deepEqual(bob.seen('onTextMessage').map((message) => message.id), ids);
  await app.caughtUp('bob');
});

test('the same with a device that comes back under a new name each time', async () => {
  const app = await newApp();
  const ids = await waiting(app, 300);
  const proxy = await app.proxy();
  proxy.cutAfter = [9_000, 15_000];
  const bob = app.client('bob', { url: proxy.url, isFixedDeviceId: false, deviceId: undefined });
  await bob.open({ accessToken: await app.userToken('bob') });
  const got = () => [...new Set(bob.seen('onTextMessage').map((message) => message.id))];
  await bob.inbox.when(() => got().length >= 300, 'all messages', 60_000);
  assert.ok(proxy.connections >= 3);
  assert.deepEqual(got(), ids);
});

test('after a break between NOTICE and the end of a queue, later messages of that queue still come', async () => {
  const app = await newApp();
  const proxy = await app.proxy();
  const bob = app.client('bob', { url: proxy.url, deviceId: 'phone' });
  await bob.open({ accessToken: await app.userToken('bob') });
  const [line] = proxy.lines;
  // Enough for the client to have begun with the queue, not enough to end it.
  line.limit = line.down + 600;
  const ids = await waiting(app, 200);
  await bob.next('onReconnecting');
  const [alice] = await app.online('alice');
  ids.push((await alice.text('bob', 'after the break')).serverMsgId);
  await bob.count('onTextMessage', 201, 30_000);
  assert.deepEqual(bob.seen('onTextMessage').map((message) => message.id), ids);
  ids.push((await alice.text('bob', 'and live again')).serverMsgId);
  await bob.count('onTextMessage', 202);
});

test('messages written while the line is down are sent after it is back, once', async () => {
  const app = await newApp();
  const proxy = await app.proxy();
  const [bob] = await app.online('bob');
  const alice = app.client('alice', { url: proxy.url, deviceId: 'phone' });
  await alice.open({ accessToken: await app.userToken('alice') });
  proxy.cut();
  await alice.next('onReconnecting');
  const sent = await alice.text('bob', 'written while away').catch((error) => error);
  if (sent.serverMsgId) assert.equal((await bob.next('onTextMessage')).id, sent.serverMsgId);
  await alice.next('onConnected', () => alice.seen('onConnected').length >= 2);
  const marker = await alice.text('bob', 'marker');
  await bob.next('onTextMessage', (message) => message.id === marker.serverMsgId);
  assert.equal(bob.seen('onTextMessage', (message) => message.msg === 'written while away').length, 1);
});

test('the peer of a client whose line broke keeps sending; everything comes after the reconnection', async () => {
  const app = await newApp();
  const proxy = await app.proxy();
  const [alice] = await app.online('alice');
  const bob = app.client('bob', { url: proxy.url, deviceId: 'phone' });
  await bob.open({ accessToken: await app.userToken('bob') });
  const ids = [];
  for (let n = 0; n < 60; n += 1) {
    if (n === 20 || n === 40) proxy.cut();
    ids.push((await alice.text('bob', `${n}`)).serverMsgId);
  }
  await bob.count('onTextMessage', 60, 30_000);
  assert.deepEqual(bob.seen('onTextMessage').map((message) => message.id), ids);
});
